//! `/signing-keys` of Portcullis' own API: a thin face over the messages.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Problem, Signed, Stamped};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::KeyManager;
use crate::keyring::SigningKeyStanding;
use crate::signing_keys::{ListSigningKeys, RetireSigningKey, RotateSigningKey, SigningKeyFault, SigningKeyRow};

/// For how long a new key is only shown where the caller does not say: twice as long as readers keep the JWK set.
const OVERLAP_S_DEFAULT: u64 = 600;
/// The longest that a new key may only be shown: thirty days.
const OVERLAP_S_MAX: u64 = 2_592_000;

pub(crate) fn routes(address: Address<KeyManager>) -> Router {
    Router::new()
        .route("/signing-keys", get(list).post(rotate))
        .route("/signing-keys/{id}", delete(retire))
        .with_state(address)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    overlap_s: Option<u64>,
}

#[derive(Deserialize)]
struct Retirement {
    #[serde(default)]
    force: bool,
}

/// Returns who asks, where that is an administrator of the first tenant, whose keys sign for all.
fn operator(signed: Result<Signed, ApiError>) -> Result<Caller, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    let (principal, origin) = (signed.0.principal, signed.0.origin);
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    Ok(Caller::new(principal).from_address(origin))
}

fn as_json(row: &SigningKeyRow) -> Value {
    let state = match row.standing {
        SigningKeyStanding::Next => "next",
        SigningKeyStanding::Signing => "signing",
        SigningKeyStanding::Retired => "retired",
    };
    json!({
        "id": row.id.to_string(),
        "algorithm": row.algorithm,
        "state": state,
        "created_at": rfc3339(row.created_at),
        "signs_from": row.signs_from.map(rfc3339),
        "retired_at": row.retired_at.map(rfc3339),
    })
}

async fn list(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<Value>, Problem> {
    operator(signed)?;
    let rows = face.ask(ListSigningKeys).await.map_err(|error| ApiError::from_fault(&error))?;
    let list: Vec<Value> = rows.iter().map(as_json).collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

async fn rotate(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
    body: Result<portcullis_http::Body<Rotation>, ApiError>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let portcullis_http::Body(rotation) = body?;
    let algorithm = match rotation.algorithm.as_deref() {
        None => None,
        Some(name) => Some(
            portcullis_jose::Algorithm::SIGNING
                .into_iter()
                .find(|one| one.name() == name)
                .ok_or_else(|| ApiError::bad_request("algorithm: must be ES256, RS256 or EdDSA"))?,
        ),
    };
    let overlap_s = rotation.overlap_s.unwrap_or(OVERLAP_S_DEFAULT);
    if overlap_s > OVERLAP_S_MAX {
        return Err(ApiError::bad_request(format!("overlap_s: must be at most {OVERLAP_S_MAX} (thirty days)")).into());
    }
    let message = RotateSigningKey { caller, algorithm, overlap: Duration::from_secs(overlap_s) };
    let made = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?.map_err(fault)?;
    let replaces: Vec<String> = made.replaces.iter().map(ToString::to_string).collect();
    let body = json!({ "id": made.id.to_string(), "algorithm": made.algorithm.name(), "replaces": replaces });
    let body = (StatusCode::CREATED, Json(body));
    Ok(Stamped { body, index: made.index, unreached: Vec::new() }.into_response())
}

async fn retire(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
    Query(retirement): Query<Retirement>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let id = id.parse().map_err(|_| ApiError::not_found("signing key", &id))?;
    let message = RetireSigningKey { caller, id, is_forced: retirement.force };
    let retired = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = retired.map_err(fault)?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index, unreached }.into_response())
}

fn fault(fault: SigningKeyFault) -> ApiError {
    match fault {
        SigningKeyFault::Submit(cause) => ApiError::from_fault(&cause),
        SigningKeyFault::CannotMake => ApiError::internal("No key could be made; the log says why."),
    }
}
