//! `/environments` of the Admin v4 contract: a thin face over the messages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_database::handle::random_bytes;
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::environment::DEFAULT_ENVIRONMENT;
use portcullis_model::{Environment, EnvironmentId, Refused};
use serde_json::{Value, json};

use super::body::{self, EnvironmentBody};
use super::handlers::{DeleteEnvironment, ListEnvironments, PutEnvironment};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

const VIEW: &[&str] = &["apim:admin", "apim:environment_read"];
const MANAGE: &[&str] = &["apim:admin", "apim:environment_manage"];
const NOUN: &str = "gateway environment";

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/environments", get(list).post(create))
        .route("/environments/{environmentId}", get(read).put(change).delete(remove))
        .with_state(admin.clone())
}

async fn all(admin: &Address<Admin>, signed: &Signed) -> Result<Vec<Arc<Environment>>, ApiError> {
    let message = ListEnvironments { tenant: signed.0.principal.tenant.clone() };
    Ok(admin.ask(message).await.map_err(AdminError::from)?)
}

/// Reads the id of an environment that may be changed.
fn id(text: &str) -> Result<EnvironmentId, ApiError> {
    if text == DEFAULT_ENVIRONMENT {
        let reason = format!("{DEFAULT_ENVIRONMENT} is read-only: it is there from the start; add another one");
        return Err(AdminError::from(Refused::invalid("environmentId", reason)).into());
    }
    text.parse().map_err(|_| ApiError::not_found(NOUN, text))
}

async fn list(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let list: Vec<Value> = all(&admin, &signed).await?.iter().map(|one| body::write(one)).collect();
    Ok(Json(json!({"count": list.len(), "list": list})))
}

async fn read(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(wanted): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(MANAGE)?;
    let found = all(&admin, &signed).await?.into_iter().map(|one| body::write(&one)).find(|one| one["id"] == *wanted);
    found.map(Json).ok_or_else(|| ApiError::not_found(NOUN, wanted))
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(sent): Body<EnvironmentBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let caller = caller(signed, key);
    let id = EnvironmentId::from_random(random_bytes());
    let environment = body::read(sent, id, caller.principal.tenant.clone()).map_err(AdminError::from)?;
    let made = admin.ask(PutEnvironment { caller, environment, is_new: true }).await.map_err(AdminError::from)??;
    let location = format!("/api/am/admin/v4/environments/{}", made.reply.id);
    let answer = (StatusCode::CREATED, [(LOCATION, location)], Json(body::write(&made.reply))).into_response();
    Ok(Stamped { body: answer, index: made.index, unreached: made.unreached }.into_response())
}

async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(wanted): Path<String>,
    Body(sent): Body<EnvironmentBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let (caller, id) = (caller(signed, key), id(&wanted)?);
    let environment = body::read(sent, id, caller.principal.tenant.clone()).map_err(AdminError::from)?;
    let made = admin.ask(PutEnvironment { caller, environment, is_new: false }).await.map_err(AdminError::from)??;
    let answer = Json(body::write(&made.reply)).into_response();
    Ok(Stamped { body: answer, index: made.index, unreached: made.unreached }.into_response())
}

async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(wanted): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let message = DeleteEnvironment { caller: caller(signed, key), id: id(&wanted)? };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
