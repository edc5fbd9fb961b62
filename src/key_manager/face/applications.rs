//! `/applications` of the original's server: a tenant's OAuth clients, for its administrators.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, Body, PageQuery, Signed, Stamped};
use portcullis_model::oauth::OauthClient;
use portcullis_model::{ClientId, TenantDomain, TokenType};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actor::KeyManager;
use crate::applications::{ClientRow, ConfigureClaims, ListClients, RenewSecret, RevokeClient};
use crate::user_claims::{ClaimConfiguration, FIELD, LOCAL_DIALECT};

type Face = State<Address<KeyManager>>;

pub(super) fn routes(address: &Address<KeyManager>) -> Router {
    Router::new()
        .route("/applications", get(list))
        .route("/applications/{id}", get(one).patch(change))
        .route("/applications/{id}/inbound-protocols/oidc", get(oidc))
        .route("/applications/{id}/inbound-protocols/oidc/revoke", post(revoke))
        .route("/applications/{id}/inbound-protocols/oidc/regenerate-secret", post(renew))
        .with_state(address.clone())
}

fn administrator(signed: Signed) -> Result<Caller, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(Caller::new(signed.0.principal).from_address(signed.0.origin))
}

async fn all(face: &Address<KeyManager>, tenant: TenantDomain) -> Result<Vec<ClientRow>, ApiError> {
    face.ask(ListClients { tenant }).await.map_err(|error| ApiError::from_fault(&error))
}

async fn find(face: &Address<KeyManager>, tenant: TenantDomain, id: &str) -> Result<ClientRow, ApiError> {
    let found = all(face, tenant).await?.into_iter().find(|row| row.client.id.0 == id);
    found.ok_or_else(|| ApiError::not_found("application", id.chars().take(255).collect::<String>()))
}

fn path_of(id: &ClientId) -> String {
    format!("/api/server/v1/applications/{id}")
}

fn summary(row: &ClientRow) -> Value {
    let client = &row.client;
    json!({
        "id": client.id.0, "name": client.name, "description": "", "clientId": client.id.0, "access": "WRITE",
        "self": path_of(&client.id),
    })
}

/// Returns what is set of claims, or what holds until something is.
fn configuration_of(client: &OauthClient) -> Value {
    let fields: Value = serde_json::from_str(&client.other_fields).unwrap_or_default();
    fields.get(FIELD).cloned().unwrap_or_else(|| {
        json!({
            "dialect": "LOCAL", "claimMappings": [], "requestedClaims": [],
            "subject": {"claim": {"uri": format!("{LOCAL_DIALECT}/username")}, "includeTenantDomain": true,
                "includeUserDomain": false, "useMappedLocalSubject": false},
            "role": {"claim": {"uri": format!("{LOCAL_DIALECT}/roles")}, "includeUserDomain": false, "mappings": []},
        })
    })
}

#[derive(Deserialize)]
struct Search {
    filter: Option<String>,
}

/// Reads `clientId eq X` and `name eq X`, `name` with `sw`, `ew` and `co` too.
fn is_met(filter: &str, client: &OauthClient) -> Result<bool, ApiError> {
    let wrong = || {
        let wanted = "filter: must be `clientId eq ID` or `name eq NAME`; of names sw, ew and co are possible too.";
        ApiError::bad_request(wanted)
    };
    let (attribute, rest) = filter.trim().split_once(' ').ok_or_else(wrong)?;
    let (verb, value) = rest.trim().split_once(' ').ok_or_else(wrong)?;
    let value = value.trim().trim_matches('"');
    match (attribute, verb) {
        ("clientId", "eq") => Ok(client.id.0 == value),
        ("name", "eq") => Ok(client.name == value),
        ("name", "sw") => Ok(client.name.starts_with(value)),
        ("name", "ew") => Ok(client.name.ends_with(value)),
        ("name", "co") => Ok(client.name.contains(value)),
        _ => Err(wrong()),
    }
}

async fn list(
    State(face): Face,
    signed: Signed,
    Query(page): Query<PageQuery>,
    Query(search): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    let tenant = administrator(signed)?.principal.tenant;
    let page = page.page()?;
    let mut found = Vec::new();
    let filter = search.filter.as_deref().filter(|filter| !filter.trim().is_empty());
    for row in all(&face, tenant).await? {
        if filter.map_or(Ok(true), |filter| is_met(filter, &row.client))? {
            found.push(row);
        }
    }
    let shown: Vec<Value> = found.iter().skip(page.offset).take(page.limit).map(summary).collect();
    Ok(Json(json!({
        "totalResults": found.len(), "startIndex": page.offset + 1, "count": shown.len(), "applications": shown,
        "links": [],
    })))
}

async fn one(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let tenant = administrator(signed)?.principal.tenant;
    let row = find(&face, tenant, &id).await?;
    let mut body = summary(&row);
    body["claimConfiguration"] = configuration_of(&row.client);
    let oidc = format!("{}/inbound-protocols/oidc", path_of(&row.client.id));
    body["inboundProtocols"] = json!([{"type": "oauth2", "name": "OAuth 2 / OpenID Connect", "self": oidc}]);
    Ok(Json(body))
}

async fn change(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    if let Some(other) = body.keys().find(|name| *name != FIELD) {
        let other: String = other.chars().take(64).collect();
        return Err(ApiError::bad_request(format!("{other}: does not change here; {FIELD} alone does.")));
    }
    let row = find(&face, caller.principal.tenant.clone(), &id).await?;
    let Some(wanted) = body.get(FIELD) else {
        return Err(ApiError::bad_request(format!("{FIELD}: is missing, and nothing else changes here.")));
    };
    // What is not named stays, as in the original.
    let mut configuration = configuration_of(&row.client);
    for (name, value) in wanted.as_object().into_iter().flatten() {
        configuration[name] = value.clone();
    }
    let checked = if wanted.is_object() { &configuration } else { wanted };
    ClaimConfiguration::read(checked).map_err(ApiError::bad_request)?;
    let message = ConfigureClaims { caller, client: row.client.id.clone(), configuration };
    let done = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = done.map_err(|error| ApiError::from_fault(&error))?;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

fn oidc_of(row: &ClientRow) -> Value {
    let client = &row.client;
    let callbacks: Vec<&str> = Some(client.callback_url.as_str()).filter(|url| !url.is_empty()).into_iter().collect();
    json!({
        "clientId": client.id.0,
        "state": if row.is_revoked { "REVOKED" } else { "ACTIVE" },
        "grantTypes": client.grants,
        "callbackURLs": callbacks,
        "accessToken": {"type": match client.token_type { TokenType::Jwt => "JWT", TokenType::Opaque => "Default" }},
    })
}

async fn oidc(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let tenant = administrator(signed)?.principal.tenant;
    Ok(Json(oidc_of(&find(&face, tenant, &id).await?)))
}

async fn revoke(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    let client = find(&face, caller.principal.tenant.clone(), &id).await?.client.id.clone();
    let done = face.ask(RevokeClient { caller, client }).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = done.map_err(|error| ApiError::from_fault(&error))?;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

async fn renew(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    let row = find(&face, caller.principal.tenant.clone(), &id).await?;
    let message = RenewSecret { caller, client: row.client.id.clone() };
    let done = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?;
    let renewed = done.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = renewed.done;
    let mut body = oidc_of(&ClientRow { is_revoked: false, ..row });
    body["clientSecret"] = renewed.secret.into();
    Ok(Stamped { body: Json(body), index, unreached }.into_response())
}
