//! `/settings`, `/tenants`, `/roles/{roleId}`: what clients of the Publisher ask before they begin.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::contract::environment;
use portcullis_http::{ApiError, List, PageQuery};
use portcullis_model::Environment;
use portcullis_model::asset::AssetKind;
use portcullis_model::environment::VirtualHost;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer};
use super::request::{Params, Request, role_of_path};
use crate::actor::Publisher;
use crate::messages::{HasRole, ListAssets, ListEnvironments, ListExternalStores, ListTenants};
use crate::outside::HasAssistant;

const SETTINGS: &[&str] = &["apim:api_view", "apim:publisher_settings"];
const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
const ROLES: &[&str] = &["apim:api_create", "apim:api_publish", "apim:api_manage"];

/// The scopes of the Publisher's paths.
const SCOPES: &[&str] = &[
    "apim:api_create",
    "apim:api_delete",
    "apim:api_definition_view",
    "apim:api_import_export",
    "apim:api_list_view",
    "apim:api_manage",
    "apim:api_publish",
    "apim:api_view",
    "apim:llm_provider_read",
    "apim:publisher_organization_read",
    "apim:publisher_settings",
    "apim:shared_scope_manage",
    "apim:subscription_block",
    "apim:subscription_manage",
    "apim:subscription_view",
    "apim:tier_manage",
    "apim:tier_view",
];

/// Writes a virtual host as the Publisher's contract has it: events come in where calls do.
fn write_vhost(one: &VirtualHost) -> Value {
    let mut body = environment::write_vhost(one);
    body["websubHttpPort"] = one.http_port.into();
    body["websubHttpsPort"] = one.https_port.into();
    body
}

fn write_environment(one: &Environment) -> Value {
    json!({
        "id": if one.is_default() { one.name.clone() } else { one.id.to_string() },
        "name": one.name,
        "displayName": one.display_name,
        "type": one.kind.as_contract(),
        "gatewayType": "Regular",
        "serverUrl": "https://localhost:9443/services/",
        "provider": one.provider,
        "showInApiConsole": true,
        "vhosts": one.vhosts.iter().map(write_vhost).collect::<Value>(),
        "endpointURIs": environment::write_uris(one),
        "additionalProperties": environment::write_properties(one),
        "permissions": environment::write_permission(one),
    })
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    there: Option<Extension<HasAssistant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(SETTINGS)?;
    let (stores_asker, has_assistant) = (asker.clone(), there.is_some_and(|Extension(HasAssistant(is))| is));
    let organizations = ListAssets { asker: asker.clone(), kind: AssetKind::Organization, api: None };
    let has_organizations = !flat(publisher.ask(organizations).await)?.value.is_empty();
    let environments = flat(publisher.ask(ListEnvironments { asker }).await)?.value;
    let environments: Vec<Value> = environments.iter().map(|one| write_environment(one)).collect();
    let stores = flat(publisher.ask(ListExternalStores { asker: stores_asker }).await)?.value;
    let settings = json!({
        "devportalUrl": "",
        "environment": environments,
        "gatewayTypes": ["Regular"],
        "scopes": SCOPES,
        "monetizationAttributes": [],
        "externalStoresEnabled": !stores.is_empty(),
        "docVisibilityEnabled": false,
        "portalConfigurationOnlyModeEnabled": false,
        "crossTenantSubscriptionEnabled": true,
        "defaultAdvancePolicy": "Unlimited",
        "defaultSubscriptionPolicy": "Unlimited",
        "authorizationHeader": "Authorization",
        "IsJWTEnabledForLoginTokens": false,
        "orgAccessControlEnabled": has_organizations,
        "allowSubscriptionValidationDisabling": false,
        "designAssistantEnabled": has_assistant,
        "aiAuthTokenProvided": has_assistant,
        "retryCallWithNewOAuthTokenEnabled": true,
        "subscriberContactAttributes": null,
        "securityAuditProperties": {},
        "customProperties": [],
    });
    Ok(axum::Json(settings).into_response())
}

/// Which tenants are meant.
#[derive(serde::Deserialize)]
pub struct TenantQuery {
    state: Option<String>,
}

pub async fn has_tenant(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(domain): Path<String>,
) -> Result<Response, ApiError> {
    for is_active in [true, false] {
        let asker = request.asker(VIEW)?;
        if flat(publisher.ask(ListTenants { asker, is_active }).await)?.value.contains(&domain) {
            return Ok(StatusCode::OK.into_response());
        }
    }
    Ok(StatusCode::NOT_FOUND.into_response())
}

/// Says whether the caller holds a role.
pub async fn holds_role(request: Request, Path(role): Path<String>) -> Result<Response, ApiError> {
    let asker = request.asker(ROLES)?;
    let wanted = role_of_path(&role);
    let is_held = asker.identity.roles.iter().any(|held| wanted.contains(&held.0));
    Ok(if is_held { StatusCode::OK } else { StatusCode::NOT_FOUND }.into_response())
}

pub async fn tenants(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(page): Params<PageQuery>,
    Params(query): Params<TenantQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(VIEW)?;
    let page = page.page()?;
    let (is_active, status) = match query.state.as_deref() {
        None | Some("" | "active") => (true, "ACTIVE"),
        Some("inactive") => (false, "INACTIVE"),
        Some(_) => return Err(ApiError::bad_request("state: must be active or inactive")),
    };
    let seen = flat(publisher.ask(ListTenants { asker, is_active }).await)?;
    let all: Vec<Value> = seen.value.iter().map(|domain| json!({"domain": domain, "status": status})).collect();
    let tail = format!("state={}", status.to_lowercase());
    Ok(read_answer(&request.headers, &json!(List::of(all, page).with_links("/tenants", &tail)), seen.index))
}

pub async fn has_role(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(role): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(ROLES)?;
    for role in role_of_path(&role) {
        if flat(publisher.ask(HasRole { asker: asker.clone(), role }).await)?.value {
            return Ok(StatusCode::OK.into_response());
        }
    }
    Ok(StatusCode::NOT_FOUND.into_response())
}
