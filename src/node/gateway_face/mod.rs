//! The original's REST API of a gateway, `/api/am/gateway/v2`: what this node's gateway serves, what is known of it, and
//! whether the gateway is to serve an API at all.

mod artifacts;
mod known;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, http::StatusCode};
use portcullis_database::Handle;
use portcullis_database::access::{Gateway as GatewayAccess, KeyManager};
use portcullis_database::handle::View;
use portcullis_gateway::Gateway;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{DeployedApi, TenantDomain};
use serde::Deserialize;
use serde_json::json;

use crate::places::Places;

/// Scopes that let a caller look at a gateway.
const SCOPES: &[&str] = &["apim:admin"];

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) gateway: Arc<Gateway>,
    /// What the gateway may read: the deployed projection.
    pub(crate) deployed: Handle<GatewayAccess>,
    /// Who knows applications and subscriptions; `None` where that is another node.
    pub(crate) keys: Option<Handle<KeyManager>>,
    pub(crate) places: Places,
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(face: Face) -> Router {
    Router::new()
        .route("/redeploy-api", post(redeploy))
        .route("/undeploy-api", post(undeploy))
        .route("/server-startup-healthcheck", get(started))
        .route("/api-artifact", get(artifacts::api))
        .route("/local-entry", get(artifacts::local_entries))
        .route("/sequence", get(artifacts::sequences))
        .route("/end-points", get(artifacts::endpoints))
        .route("/apis", get(known::apis))
        .route("/apis/{apiId}", get(known::api))
        .route("/applications", get(known::applications))
        .route("/subscriptions", get(known::subscription))
        .with_state(Arc::new(face))
}

/// The parameters of these operations; each takes those that it needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    api_name: Option<String>,
    version: Option<String>,
    tenant_domain: Option<String>,
    context: Option<String>,
    name: Option<String>,
    uuid: Option<String>,
    #[serde(rename = "apiUUID")]
    api_uuid: Option<String>,
    #[serde(rename = "appUUID")]
    app_uuid: Option<String>,
}

type Asked = Result<Query<Wanted>, QueryRejection>;
type Shared = State<Arc<Face>>;

impl Wanted {
    /// Reads the parameters of a caller who may look, and the tenant that is looked at: the caller's own, or any for the
    /// first tenant's administrators.
    fn of(signed: &Signed, asked: Asked) -> Result<(Self, TenantDomain), ApiError> {
        signed.require(SCOPES)?;
        let Query(wanted) = asked.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
        let principal = &signed.0.principal;
        let tenant = match wanted.tenant_domain.as_deref().filter(|domain| !domain.is_empty()) {
            Some(domain) => TenantDomain(domain.to_owned()),
            None => principal.tenant.clone(),
        };
        if tenant != principal.tenant && !principal.tenant.is_super() {
            return Err(ApiError::forbidden(format!("{principal} is not of the tenant {tenant}.")));
        }
        Ok((wanted, tenant))
    }

    /// Reads the parameters, and finds the API that they name among those that the gateway has.
    fn find(face: &Face, signed: &Signed, asked: Asked) -> Result<Found, ApiError> {
        let (wanted, tenant) = Self::of(signed, asked)?;
        let (name, version) = (needed("apiName", wanted.api_name)?, needed("version", wanted.version)?);
        let view = face.deployed.view();
        let is_meant = |api: &&Arc<DeployedApi>| api.name == name && api.version == version;
        let api = deployed(&view, face.gateway.environments(), &tenant).find(is_meant).cloned();
        let api = api.ok_or_else(|| ApiError::not_found("API", format!("{name} {version}")))?;
        Ok(Found { view, api })
    }
}

/// An API that the gateway has.
struct Found {
    view: View<GatewayAccess>,
    api: Arc<DeployedApi>,
}

fn needed(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| ApiError::bad_request(format!("{name}: is missing.")))
}

/// Returns the APIs of a tenant that are deployed in the environments that the gateway serves, each once: as in the first of
/// them that has it.
fn deployed<'a>(
    view: &'a View<GatewayAccess>,
    environments: &'a [String],
    tenant: &'a TenantDomain,
) -> impl Iterator<Item = &'a Arc<DeployedApi>> {
    let apis = &view.deployed().apis;
    let all = environments.iter().enumerate().flat_map(move |(number, name)| {
        let of_environment = apis.iter().filter(move |((at, _), _)| at == name);
        let is_elsewhere =
            move |id| environments[..number].iter().any(|before| apis.contains_key(&(before.clone(), id)));
        of_environment.filter(move |((_, id), _)| !is_elsewhere(*id))
    });
    all.map(|(_, api)| api).filter(move |api| api.tenant == *tenant)
}

/// Has the gateway serve an API again that it was told not to serve. What is deployed is known here without it.
async fn redeploy(State(face): Shared, signed: Signed, asked: Asked) -> Result<Response, ApiError> {
    let found = Wanted::find(&face, &signed, asked)?;
    face.gateway.set_aside(found.api.id, false);
    Ok(deploy_status("DEPLOYED"))
}

/// Has this one gateway not serve an API, until it is told otherwise or starts again.
async fn undeploy(State(face): Shared, signed: Signed, asked: Asked) -> Result<Response, ApiError> {
    let found = Wanted::find(&face, &signed, asked)?;
    face.gateway.set_aside(found.api.id, true);
    Ok(deploy_status("UNDEPLOYED"))
}

fn deploy_status(status: &str) -> Response {
    Json(json!({ "deployStatus": status, "jsonPayload": "" })).into_response()
}

/// Says whether what is deployed is served, to whoever asks.
async fn started(State(face): Shared) -> Response {
    if face.gateway.has_routes() {
        return "OK".into_response();
    }
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error.").into_response()
}
