//! `/api/am/devops/v0`: a thin face over the messages.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use portcullis_actor::Address;
use portcullis_database::{Committed, command};
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::api::versioned_context;
use portcullis_model::call_log::{CallLog, CallLogLevel};
use portcullis_model::limit::PAGE_LIMIT_MAX;
use portcullis_model::{Api, ApiId, TenantDomain};
use serde::Deserialize;
use serde_json::{Value, json};

use super::handlers::{ListCallLogs, SetCallLog};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

const SCOPES: &[&str] = &["apim:admin"];
/// The original's components that write correlation logs. None of them is here.
const COMPONENTS: [&str; 5] = ["http", "jdbc", "ldap", "synapse", "method-calls"];

type Shared = State<Address<Admin>>;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/tenant-logs/{tenant}/apis", get(list))
        .route("/tenant-logs/{tenant}/apis/{apiId}", get(show).put(set))
        .route("/config/correlation", get(correlation).put(set_correlation))
        .with_state(admin.clone())
}

/// Checks that a caller may look at the logs of a tenant: his own, or any where he is of the first.
fn tenant_of(signed: &Signed, tenant: String) -> Result<TenantDomain, ApiError> {
    signed.require(SCOPES)?;
    let (principal, tenant) = (&signed.0.principal, TenantDomain(tenant));
    if principal.tenant != tenant && !principal.tenant.is_super() {
        return Err(ApiError::forbidden(format!("{principal} is not of the tenant {tenant}.")));
    }
    Ok(tenant)
}

fn level_of(text: &str) -> Result<CallLogLevel, ApiError> {
    CallLogLevel::of_contract(text)
        .ok_or_else(|| ApiError::bad_request("logLevel: must be one of OFF, BASIC, STANDARD, FULL."))
}

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "log-level")]
    level: Option<String>,
}

async fn list(
    State(admin): Shared,
    signed: Signed,
    Path(tenant): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    let tenant = tenant_of(&signed, tenant)?;
    let wanted = filter.level.as_deref().filter(|text| !text.is_empty()).map(level_of).transpose()?;
    let all = admin.ask(ListCallLogs { tenant, api: None }).await.map_err(AdminError::from)?;
    Ok(Json(written(&all, wanted)))
}

async fn show(
    State(admin): Shared,
    signed: Signed,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let tenant = tenant_of(&signed, tenant)?;
    Ok(Json(of_one(&admin, tenant, api_id(&id)?).await?))
}

fn api_id(text: &str) -> Result<ApiId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("API", text.chars().take(100).collect::<String>()))
}

async fn of_one(admin: &Address<Admin>, tenant: TenantDomain, id: ApiId) -> Result<Value, ApiError> {
    let found = admin.ask(ListCallLogs { tenant, api: Some(id) }).await.map_err(AdminError::from)?;
    if found.is_empty() {
        return Err(ApiError::not_found("API", id));
    }
    Ok(written(&found, None))
}

/// Returns the contract's list: each API, and each operation that has a level of its own.
fn written(all: &[(Arc<Api>, CallLog)], wanted: Option<CallLogLevel>) -> Value {
    let mut list = Vec::new();
    for (api, log) in all {
        let context = versioned_context(&api.context, &api.version);
        let entry = |level: CallLogLevel| json!({ "context": context, "logLevel": level.as_contract(), "apiId": api.id.to_string() });
        list.push((log.all, entry(log.all)));
        for ((verb, target), level) in &log.operations {
            let mut entry = entry(*level);
            entry["resourceMethod"] = verb.as_str().into();
            entry["resourcePath"] = target.as_str().into();
            list.push((*level, entry));
        }
    }
    let shown = list.into_iter().filter(|(level, _)| wanted.is_none_or(|wanted| wanted == *level));
    let shown: Vec<Value> = shown.take(PAGE_LIMIT_MAX).map(|(_, entry)| entry).collect();
    json!({ "apis": shown })
}

/// The contract's `LoggingApiInput`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    log_level: String,
    #[serde(default)]
    resource_method: Option<String>,
    #[serde(default)]
    resource_path: Option<String>,
}

async fn set(
    State(admin): Shared,
    signed: Signed,
    key: MaybeKey,
    Path((tenant, id)): Path<(String, String)>,
    Body(wanted): Body<Wanted>,
) -> Result<Response, ApiError> {
    let (tenant, api) = (tenant_of(&signed, tenant)?, api_id(&id)?);
    let level = level_of(&wanted.log_level)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let operation = match (given(wanted.resource_method), given(wanted.resource_path)) {
        (Some(verb), Some(target)) => Some((verb.to_ascii_uppercase(), target)),
        (None, None) => None,
        _ => return Err(ApiError::bad_request("resourceMethod and resourcePath go together.")),
    };
    let command = command::SetCallLog { tenant: tenant.clone(), api, operation, level };
    let message = SetCallLog { caller: caller(signed, key), command };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let body = Json(of_one(&admin, tenant, api).await?).into_response();
    Ok(Stamped { body, index, unreached }.into_response())
}

/// Returns the original's components, none of which is here: calls are found again by their request id.
async fn correlation(signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(SCOPES)?;
    let all = COMPONENTS.map(|name| json!({ "name": name, "enabled": "false", "properties": [] }));
    Ok(Json(json!({ "components": all })))
}

#[derive(Deserialize)]
struct Correlation {
    #[serde(default)]
    components: Vec<ComponentBody>,
}

#[derive(Deserialize)]
struct ComponentBody {
    name: String,
    #[serde(default)]
    enabled: Value,
}

async fn set_correlation(signed: Signed, Body(body): Body<Correlation>) -> Result<Json<Value>, ApiError> {
    for component in &body.components {
        if !COMPONENTS.contains(&component.name.as_str()) {
            return Err(ApiError::not_found("component", &component.name));
        }
        if component.enabled == Value::Bool(true) || component.enabled == "true" {
            return Err(ApiError::bad_request(format!(
                "{}: writes no correlation log here. Every call has a request id, which is in the access log: set a log level \
                 of its API.",
                component.name
            )));
        }
    }
    correlation(signed).await
}
