//! `/trusted-issuers` of Portcullis' own API: a thin face over the messages.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, Problem, Signed, Stamped};
use portcullis_jose::{Algorithm, Jwk};
use portcullis_model::Timestamp;
use portcullis_model::authorization::TrustedIssuer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::KeyManager;
use crate::trusted_issuers::{ListTrustedIssuers, TrustIssuer};

/// Keys of one issuer.
const KEYS_MAX: usize = 20;
/// Characters of an issuer or an audience.
const NAME_CHARS_MAX: usize = 2_048;

pub(crate) fn routes(address: Address<KeyManager>) -> Router {
    Router::new().route("/trusted-issuers", get(list).put(put).delete(delete)).with_state(address)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerBody {
    issuer: String,
    #[serde(default)]
    audience: Option<String>,
    jwks: KeySet,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Named {
    issuer: String,
}

fn administrator(signed: Result<Signed, ApiError>) -> Result<Caller, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    Ok(Caller::new(signed.0.principal).from_address(signed.0.origin))
}

async fn list(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<Value>, Problem> {
    let tenant = administrator(signed)?.principal.tenant;
    let rows = face.ask(ListTrustedIssuers { tenant }).await.map_err(|error| ApiError::from_fault(&error))?;
    let show = |(issuer, trusted): &(String, TrustedIssuer)| {
        let keys: Value = serde_json::from_str(&trusted.keys).unwrap_or_default();
        json!({
            "issuer": issuer,
            "audience": trusted.audience,
            "created_at": rfc3339(trusted.created_at),
            "jwks": { "keys": keys },
        })
    };
    let list: Vec<Value> = rows.iter().map(show).collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

async fn put(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
    body: Result<Body<IssuerBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = administrator(signed)?;
    let Body(body) = body?;
    let is_name = |name: &str| !name.is_empty() && name.len() <= NAME_CHARS_MAX;
    if !is_name(&body.issuer) || body.audience.as_deref().is_some_and(|name| !is_name(name)) {
        let reason = format!("issuer, audience: must have 1 to {NAME_CHARS_MAX} characters");
        return Err(ApiError::bad_request(reason).into());
    }
    let is_usable = |key: &Jwk| Algorithm::ALL.into_iter().any(|one| key.public_key(one).is_some());
    if !(1..=KEYS_MAX).contains(&body.jwks.keys.len()) || !body.jwks.keys.iter().all(is_usable) {
        let reason = format!("jwks: must hold 1 to {KEYS_MAX} public keys of kind EC, RSA or OKP");
        return Err(ApiError::bad_request(reason).into());
    }
    let keys = serde_json::to_string(&body.jwks.keys).map_err(|_| ApiError::internal("The keys cannot be written."))?;
    let trusted = TrustedIssuer { keys, audience: body.audience, created_at: Timestamp(0) };
    change(&face, TrustIssuer { caller, issuer: body.issuer, trusted: Some(trusted) }).await
}

async fn delete(
    State(face): State<Address<KeyManager>>,
    signed: Result<Signed, ApiError>,
    Query(named): Query<Named>,
) -> Result<Response, Problem> {
    let caller = administrator(signed)?;
    change(&face, TrustIssuer { caller, issuer: named.issuer, trusted: None }).await
}

async fn change(face: &Address<KeyManager>, message: TrustIssuer) -> Result<Response, Problem> {
    let changed = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = changed.map_err(|cause| ApiError::from_fault(&cause))?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index, unreached }.into_response())
}
