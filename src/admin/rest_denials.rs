//! `/throttling/deny-policies` of the Admin v4 contract: a thin face over the messages.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::{DenyPolicy, PolicyId};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::deny_body::{DenyBody, DenyStatusBody, read_time};
use crate::messages::{ChangeDenyPolicy, CreateDenyPolicy, DeleteDenyPolicy, ListDenyPolicies};
use crate::rest_policies::caller;

/// Scopes that may read deny policies.
pub(crate) const VIEW: &[&str] = &["apim:admin", "apim:bl_view", "apim:bl_manage"];
/// Scopes that may change them.
pub(crate) const MANAGE: &[&str] = &["apim:admin", "apim:bl_manage"];

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/throttling/deny-policies", get(list).post(create))
        .route("/throttling/deny-policy/{id}", get(one).patch(change).delete(remove))
        .with_state(admin.clone())
}

/// A list of deny policies, which this contract has without pages.
#[derive(Serialize)]
struct DenyList {
    count: usize,
    list: Vec<DenyBody>,
}

#[derive(Deserialize)]
struct Search {
    query: Option<String>,
}

async fn bodies(admin: &Address<Admin>, signed: &Signed) -> Result<Vec<DenyBody>, ApiError> {
    let message = ListDenyPolicies { tenant: signed.0.principal.tenant.clone() };
    let found = admin.ask(message).await.map_err(AdminError::from)?;
    Ok(found.iter().map(|policy| DenyBody::of(policy)).collect())
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Query(search): Query<Search>,
) -> Result<Json<DenyList>, ApiError> {
    signed.require(VIEW)?;
    let query = search.query.unwrap_or_default();
    let (kind, value) = terms_of(&query)?;
    let mut list = bodies(&admin, &signed).await?;
    list.retain(|body| body.is_found_by(kind, value));
    Ok(Json(DenyList { count: list.len(), list }))
}

/// Reads `conditionType:API & conditionValue:test/1.0.0`.
fn terms_of(query: &str) -> Result<(Option<&str>, Option<&str>), ApiError> {
    let (mut kind, mut value) = (None, None);
    for term in query.split('&').map(str::trim).filter(|term| !term.is_empty()) {
        match term.split_once(':') {
            Some(("conditionType", text)) => kind = Some(text.trim()),
            Some(("conditionValue", text)) => value = Some(text.trim()),
            _ => {
                let text = "query: there are conditionType:TYPE and conditionValue:TEXT, joined by &";
                return Err(ApiError::bad_request(text));
            }
        }
    }
    Ok((kind, value))
}

async fn one(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<DenyBody>, ApiError> {
    signed.require(VIEW)?;
    let wanted = condition_id(&id)?;
    let message = ListDenyPolicies { tenant: signed.0.principal.tenant.clone() };
    let found = admin.ask(message).await.map_err(AdminError::from)?;
    let policy = found.iter().find(|policy| policy.id == wanted);
    policy.map(|policy| Json(DenyBody::of(policy))).ok_or_else(|| ApiError::not_found("deny policy", id))
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<DenyBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let caller = caller(signed, key);
    let policy = body.into_policy(&caller.principal.tenant, PolicyId::from_random([0; 16]))?;
    let made = admin.ask(CreateDenyPolicy { caller, policy }).await.map_err(AdminError::from)??;
    let location = format!("/api/am/admin/v4/throttling/deny-policy/{}", made.reply.id);
    Ok(written(made, |body| (StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response()))
}

async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<DenyStatusBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    if body.condition_status.is_none() && body.expires_at.is_none() {
        return Err(ApiError::bad_request("conditionStatus: is missing"));
    }
    let expires_at = match body.expires_at {
        None => None,
        Some(None) => Some(None),
        Some(Some(text)) => Some(Some(read_time(&text)?)),
    };
    let id = condition_id(&id)?;
    let message = ChangeDenyPolicy { caller: caller(signed, key), id, is_active: body.condition_status, expires_at };
    let made = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(written(made, |body| Json(body).into_response()))
}

async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let message = DeleteDenyPolicy { caller: caller(signed, key), id: condition_id(&id)? };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

fn written(made: Committed<Arc<DenyPolicy>>, answer: impl FnOnce(DenyBody) -> Response) -> Response {
    let Committed { reply, index, unreached } = made;
    Stamped { body: answer(DenyBody::of(&reply)), index, unreached }.into_response()
}

/// An id that cannot be one is of a policy that does not exist.
fn condition_id(text: &str) -> Result<PolicyId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("deny policy", text))
}
