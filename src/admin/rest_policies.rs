//! `/throttling/policies` of the Admin v4 contract: a thin face over the messages.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::{Caller, Committed, Idempotency};
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::{PolicyId, PolicyLevel, Refused};
use serde::Serialize;
use serde_json::Value;

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangePolicy, CreatePolicy, DeletePolicy, GetPolicy, ListPolicies, RuledPolicy};
use crate::policy_body::PolicyBody;

/// Scopes that may read policies.
pub(crate) const VIEW: &[&str] = &["apim:admin", "apim:tier_view", "apim:admin_tier_view"];
/// Scopes that may change policies.
pub(crate) const MANAGE: &[&str] = &["apim:admin", "apim:tier_manage", "apim:admin_tier_manage"];
/// Scopes that may delete policies.
pub(crate) const DELETE: &[&str] =
    &["apim:admin", "apim:tier_manage", "apim:admin_tier_manage", "apim:policies_import_export"];

/// A level as a part of the path.
#[derive(Clone)]
struct Face {
    admin: Address<Admin>,
    level: PolicyLevel,
    path: &'static str,
}

impl Face {
    /// Custom rules look at the calls of all tenants.
    fn require_tenant(&self, signed: &Signed) -> Result<(), ApiError> {
        let is_allowed = self.level != PolicyLevel::Custom || signed.0.principal.tenant.is_super();
        let reason = || Refused::NotAllowed { reason: "only the first tenant has custom rules".to_owned() };
        if is_allowed { Ok(()) } else { Err(AdminError::from(reason()).into()) }
    }
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    let face = |level, path| Face { admin: admin.clone(), level, path };
    let plans = face(PolicyLevel::Subscription, "subscription");
    let applications = face(PolicyLevel::Application, "application");
    let advanced = face(PolicyLevel::Advanced, "advanced");
    let custom = face(PolicyLevel::Custom, "custom");
    Router::new()
        .merge(writable("/throttling/policies/subscription", plans))
        .merge(writable("/throttling/policies/application", applications))
        .merge(writable("/throttling/policies/advanced", advanced))
        .merge(writable("/throttling/policies/custom", custom))
}

fn writable(path: &str, face: Face) -> Router {
    let router = Router::new()
        .route(path, get(list).post(create))
        .route(&format!("{path}/{{id}}"), get(one).put(change).delete(remove));
    router.with_state(face)
}

/// A list of policies, which this contract has without pages.
#[derive(Serialize)]
struct PolicyList {
    count: usize,
    list: Vec<Value>,
}

async fn list(State(face): State<Face>, signed: Signed) -> Result<Json<PolicyList>, ApiError> {
    signed.require(VIEW)?;
    face.require_tenant(&signed)?;
    let message = ListPolicies { tenant: signed.0.principal.tenant, level: face.level };
    let found = face.admin.ask(message).await.map_err(AdminError::from)?;
    let list: Vec<_> = found.iter().map(PolicyBody::shown).collect();
    Ok(Json(PolicyList { count: list.len(), list }))
}

async fn one(State(face): State<Face>, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    face.require_tenant(&signed)?;
    let id = policy_id(&id)?;
    let message = GetPolicy { tenant: signed.0.principal.tenant, level: face.level, id };
    let found = face.admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Json(PolicyBody::shown(&found)))
}

async fn create(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<PolicyBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    face.require_tenant(&signed)?;
    let caller = caller(signed, key);
    let (policy, rules) = body.into_policy(caller.principal.tenant.clone(), face.level)?;
    let made = face.admin.ask(CreatePolicy { caller, policy, rules }).await.map_err(AdminError::from)??;
    Ok(written(&face, StatusCode::CREATED, made))
}

async fn change(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<PolicyBody>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    face.require_tenant(&signed)?;
    let id = policy_id(&id)?;
    let caller = caller(signed, key);
    let (policy, rules) = body.into_policy(caller.principal.tenant.clone(), face.level)?;
    let made = face.admin.ask(ChangePolicy { caller, id, policy, rules }).await.map_err(AdminError::from)??;
    Ok(written(&face, StatusCode::OK, made))
}

async fn remove(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(DELETE)?;
    face.require_tenant(&signed)?;
    let message = DeletePolicy { caller: caller(signed, key), level: face.level, id: policy_id(&id)? };
    let Committed { reply: (), index, unreached } = face.admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

fn written(face: &Face, status: StatusCode, made: Committed<RuledPolicy>) -> Response {
    let Committed { reply, index, unreached } = made;
    let location = format!("/api/am/admin/v4/throttling/policies/{}/{}", face.path, reply.policy.id);
    let body = (status, [(LOCATION, location)], Json(PolicyBody::shown(&reply)));
    Stamped { body, index, unreached }.into_response()
}

/// An id that cannot be one is of a policy that does not exist.
fn policy_id(text: &str) -> Result<PolicyId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("policy", text))
}

/// Returns who asks, with how a retry is recognised.
pub(crate) fn caller(signed: Signed, key: MaybeKey) -> Caller {
    let idempotency = key.0.map(|key| Idempotency { key: key.key, request: key.request });
    Caller::new(signed.0.principal).with_idempotency(idempotency).from_address(signed.0.origin)
}
