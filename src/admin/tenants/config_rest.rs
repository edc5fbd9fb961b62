//! `/tenant-config`, `/system-scopes`, `/tenant-info`, `/custom-urls` and `/roles` of the Admin v4 contract: what holds for
//! the caller's tenant.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::{Caller, Committed};
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::external_store::ExternalStores;
use portcullis_model::{Role, TenantConfig, TenantDomain, TenantRecord, Username};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::messages::{ListTenants, PutConfig, ReadConfig, RolesOf, UnknownRoles};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

const SCOPE_MANAGERS: &[&str] = &["apim:admin", "apim:scope_manage"];
/// Characters of a name in a path once it is decoded.
const NAME_CHARS_MAX: usize = 255;

/// Returns the routes, to be mounted at `/api/am/admin/v4`.
pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/tenant-config", get(read).put(replace))
        .route("/tenant-config-schema", get(schema))
        .route("/system-scopes", get(scopes).put(set_scopes))
        .route("/system-scopes/role-aliases", get(aliases).put(set_aliases))
        .route("/system-scopes/{scopeName}", get(scope_of_user))
        .route("/roles/{roleId}", head(has_role))
        .route("/tenant-info/{username}", get(tenant_info))
        .route("/custom-urls/{tenantDomain}", get(custom_urls))
        .with_state(admin.clone())
}

/// Returns the document that a tenant's configuration is now, and what it was put as.
async fn document(admin: &Address<Admin>, tenant: &TenantDomain) -> Result<(Value, String), ApiError> {
    let config = admin.ask(ReadConfig { tenant: tenant.clone() }).await.map_err(AdminError::from)?;
    Ok(match config {
        Some(config) => {
            let document = serde_json::from_str(&config.document);
            (document.map_err(|_| ApiError::internal("The configuration cannot be read."))?, config.document.clone())
        }
        None => (TenantConfig::default_document(), String::new()),
    })
}

async fn put_document(
    admin: &Address<Admin>,
    caller: Caller,
    expected: Option<String>,
    document: &Value,
) -> Result<(u64, Vec<portcullis_model::NodeId>), ApiError> {
    let config = TenantConfig::read(document).map_err(ApiError::bad_request)?;
    let message = PutConfig { caller, expected, config };
    let Committed { index, unreached, .. } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok((index, unreached))
}

async fn read(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(&["apim:admin"])?;
    let (mut document, _) = document(&admin, &signed.0.principal.tenant).await?;
    ExternalStores::replace_passwords(&mut document, |_, _| String::new());
    Ok(Json(document))
}

async fn replace(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<Value>,
) -> Result<Response, ApiError> {
    signed.require(&["apim:admin"])?;
    // The contract has a text; clients send the document itself, or the text of it.
    let mut body = match body {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| ApiError::bad_request(format!("The text is not valid JSON: {error}.")))?,
        document => document,
    };
    let (index, unreached) = put_document(&admin, caller(signed, key), None, &body).await?;
    ExternalStores::replace_passwords(&mut body, |_, _| String::new());
    Ok(Stamped { body: Json(body), index, unreached }.into_response())
}

async fn schema(signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(Json(TenantConfig::schema()))
}

#[derive(Serialize, Deserialize)]
struct ScopeBody {
    #[serde(default)]
    tag: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct ScopeList {
    #[serde(default)]
    count: usize,
    list: Vec<ScopeBody>,
}

/// Returns the portal whose operations ask for a scope.
fn portal_of(scope: &str) -> &'static str {
    let of_store = ["subscribe", "app_manage", "sub_manage", "store_settings", "sub_alert", "api_key"];
    let of_admin = [
        "admin",
        "bl_",
        "tier_manage",
        "tenant",
        "scope_manage",
        "role_manage",
        "environment",
        "keymanagers",
        "organization",
        "bot_",
        "owner",
        "workflow",
    ];
    if of_store.iter().any(|part| scope.contains(part)) {
        "devportal"
    } else if of_admin.iter().any(|part| scope.contains(part)) {
        "admin"
    } else if scope.starts_with("internal_") {
        "scim"
    } else if scope.starts_with("service_catalog") {
        "service_catalog"
    } else {
        "publisher"
    }
}

fn listed(document: &Value) -> Vec<ScopeBody> {
    let scopes = document["RESTAPIScopes"]["Scope"].as_array();
    let scopes =
        scopes.into_iter().flatten().filter_map(|scope| Some((scope["Name"].as_str()?, scope["Roles"].as_str()?)));
    let body = |(name, roles): (&str, &str)| ScopeBody {
        tag: portal_of(name).to_owned(),
        name: name.to_owned(),
        description: name.rsplit(':').next().unwrap_or(name).replace('_', " "),
        roles: roles.split(',').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect(),
    };
    scopes.map(body).collect()
}

async fn scopes(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<ScopeList>, ApiError> {
    signed.require(SCOPE_MANAGERS)?;
    let list = listed(&document(&admin, &signed.0.principal.tenant).await?.0);
    Ok(Json(ScopeList { count: list.len(), list }))
}

async fn set_scopes(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<ScopeList>,
) -> Result<Response, ApiError> {
    signed.require(SCOPE_MANAGERS)?;
    let tenant = signed.0.principal.tenant.clone();
    let (mut document, expected) = document(&admin, &tenant).await?;
    let named: Vec<Role> = body.list.iter().flat_map(|scope| &scope.roles).map(|role| Role(role.clone())).collect();
    let aliases = document["RoleMappings"].as_object().cloned().unwrap_or_default();
    let unknown = admin.ask(UnknownRoles { tenant, roles: named }).await.map_err(AdminError::from)?;
    if let Some(role) = unknown.iter().find(|role| {
        !aliases
            .values()
            .any(|names| names.as_str().is_some_and(|names| names.split(',').any(|name| name.trim() == role.0)))
    }) {
        return Err(ApiError::bad_request(format!("roles: there is no role {role}.")));
    }
    let scopes = document["RESTAPIScopes"]["Scope"].as_array_mut();
    let scopes = scopes.ok_or_else(|| ApiError::internal("The configuration has no scopes."))?;
    for scope in body.list {
        let roles = scope.roles.join(",");
        match scopes.iter_mut().find(|one| one["Name"] == scope.name.as_str()) {
            Some(one) => one["Roles"] = roles.into(),
            None => return Err(ApiError::bad_request(format!("list: there is no scope {}.", scope.name))),
        }
    }
    let (index, unreached) = put_document(&admin, caller(signed, key), Some(expected), &document).await?;
    let list = listed(&document);
    Ok(Stamped { body: Json(ScopeList { count: list.len(), list }), index, unreached }.into_response())
}

#[derive(Serialize, Deserialize)]
struct AliasBody {
    role: String,
    aliases: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct AliasList {
    #[serde(default)]
    count: usize,
    list: Vec<AliasBody>,
}

fn listed_aliases(document: &Value) -> Vec<AliasBody> {
    let mappings = document["RoleMappings"].as_object();
    let body = |(role, names): (&String, &Value)| AliasBody {
        role: role.clone(),
        aliases: names
            .as_str()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    mappings.into_iter().flatten().map(body).collect()
}

async fn aliases(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<AliasList>, ApiError> {
    signed.require(SCOPE_MANAGERS)?;
    let list = listed_aliases(&document(&admin, &signed.0.principal.tenant).await?.0);
    Ok(Json(AliasList { count: list.len(), list }))
}

async fn set_aliases(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<AliasList>,
) -> Result<Response, ApiError> {
    signed.require(SCOPE_MANAGERS)?;
    let (mut document, expected) = document(&admin, &signed.0.principal.tenant).await?;
    let mappings: Map<String, Value> =
        body.list.into_iter().map(|one| (one.role, Value::String(one.aliases.join(",")))).collect();
    document["RoleMappings"] = mappings.into();
    let (index, unreached) = put_document(&admin, caller(signed, key), Some(expected), &document).await?;
    let list = listed_aliases(&document);
    Ok(Stamped { body: Json(AliasList { count: list.len(), list }), index, unreached }.into_response())
}

/// Decodes a name that the contract has in base64, in any of its alphabets.
fn decoded(text: &str) -> Result<String, ApiError> {
    let bytes =
        [URL_SAFE_NO_PAD.decode(text), URL_SAFE.decode(text), STANDARD.decode(text), STANDARD_NO_PAD.decode(text)];
    let found = bytes.into_iter().find_map(Result::ok).and_then(|bytes| String::from_utf8(bytes).ok());
    let found =
        found.map(|name| name.trim().to_owned()).filter(|name| (1..=NAME_CHARS_MAX).contains(&name.chars().count()));
    found.ok_or_else(|| ApiError::bad_request("The name in the path must be base64 of 1 to 255 characters."))
}

#[derive(Deserialize)]
struct ByUser {
    username: Option<String>,
}

async fn scope_of_user(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(scope): Path<String>,
    Query(query): Query<ByUser>,
) -> Result<Json<Value>, ApiError> {
    signed.require(SCOPE_MANAGERS)?;
    let scope = decoded(&scope)?;
    let tenant = signed.0.principal.tenant.clone();
    let own = signed.0.principal.username.0.clone();
    let username = query.username.filter(|name| !name.is_empty()).unwrap_or(own);
    let (_, username) = user_in(&username, &tenant);
    let roles =
        admin.ask(RolesOf { tenant: tenant.clone(), username: username.clone() }).await.map_err(AdminError::from)?;
    let roles = roles.ok_or_else(|| ApiError::not_found("user", &username))?;
    let config = admin.ask(ReadConfig { tenant }).await.map_err(AdminError::from)?;
    if !portcullis_model::tenant_config::is_rest_scope_allowed(config.as_deref(), &scope, &roles) {
        return Err(ApiError::not_found("scope", format!("{scope} of {username}")));
    }
    Ok(Json(json!({"name": scope})))
}

async fn has_role(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(role): Path<String>,
) -> Result<StatusCode, ApiError> {
    signed.require(&["apim:admin", "apim:role_manage"])?;
    let role = Role(decoded(&role)?);
    let tenant = signed.0.principal.tenant;
    let unknown = admin.ask(UnknownRoles { tenant, roles: vec![role.clone()] }).await.map_err(AdminError::from)?;
    if unknown.is_empty() { Ok(StatusCode::OK) } else { Err(ApiError::not_found("role", role)) }
}

/// Splits `user@tenant` where that is the caller's tenant, whose users alone can be asked about.
fn user_in(text: &str, tenant: &TenantDomain) -> (TenantDomain, Username) {
    let name = text.strip_suffix(&format!("@{tenant}")).unwrap_or(text);
    (tenant.clone(), Username(name.to_owned()))
}

async fn tenant_info(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(&["apim:admin", "apim:tenantInfo"])?;
    let (tenant, username) = user_in(&name, &signed.0.principal.tenant);
    let message = RolesOf { tenant: tenant.clone(), username: username.clone() };
    if admin.ask(message).await.map_err(AdminError::from)?.is_none() {
        return Err(ApiError::not_found("user", username));
    }
    let all = admin.ask(ListTenants).await.map_err(AdminError::from)?;
    let number =
        all.iter().find(|one| one.domain == tenant).map_or(TenantRecord::SUPER_NUMBER, |one| one.record.number);
    Ok(Json(json!({"username": username.0, "tenantDomain": tenant.0, "tenantId": number})))
}

async fn custom_urls(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(domain): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(&["apim:admin"])?;
    let own = &signed.0.principal.tenant;
    let all = admin.ask(ListTenants).await.map_err(AdminError::from)?;
    let found = all.iter().find(|one| one.domain.0 == domain && (own.is_super() || one.domain == *own));
    let found = found.ok_or_else(|| ApiError::not_found("tenant", domain.chars().take(255).collect::<String>()))?;
    let owner = format!("{}@{}", found.record.owner, found.domain);
    Ok(Json(
        json!({"tenantDomain": found.domain.0, "tenantAdminUsername": owner, "enabled": false, "devPortal": {"url": ""}}),
    ))
}
