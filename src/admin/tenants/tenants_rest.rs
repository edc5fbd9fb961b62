//! `/api/server/v1/tenants`: the original's tenant management. Only administrators of the first tenant come here.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, MaybeKey, PageQuery, Signed, Stamped};
use portcullis_model::{TenantDomain, Username};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::messages::{CreateTenant, KnownTenant, ListTenants, SetTenantActive};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

/// Returns the routes, to be mounted at `/api/server/v1`.
pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/tenants", get(list).post(create))
        .route("/tenants/{id}", get(one))
        .route("/tenants/domain/{domain}", get(by_domain))
        .route("/tenants/{id}/owners", get(owners))
        .route("/tenants/{id}/lifecycle-status", put(set_status))
        .with_state(admin.clone())
}

fn administrator(signed: Signed) -> Result<Signed, ApiError> {
    signed.require(&["apim:admin"])?;
    if !signed.0.principal.tenant.is_super() {
        return Err(ApiError::forbidden("Tenants are managed by administrators of the first tenant."));
    }
    Ok(signed)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TenantBody {
    id: String,
    domain: String,
    owners: Vec<Value>,
    created_date: String,
    lifecycle_status: Value,
    region: &'static str,
}

impl TenantBody {
    fn of(tenant: &KnownTenant) -> Self {
        let owner = json!({"id": tenant.owner_id.map(|id| id.to_string()), "username": tenant.record.owner.0, "email": tenant.owner_email});
        Self {
            id: tenant.record.id.to_string(),
            domain: tenant.domain.0.clone(),
            owners: vec![owner],
            created_date: rfc3339(tenant.record.created_at),
            lifecycle_status: json!({"activated": tenant.record.is_active}),
            region: "",
        }
    }
}

async fn all(admin: &Address<Admin>) -> Result<Vec<KnownTenant>, ApiError> {
    Ok(admin.ask(ListTenants).await.map_err(AdminError::from)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    filter: Option<String>,
    sort_order: Option<String>,
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Query(page): Query<PageQuery>,
    Query(search): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    administrator(signed)?;
    let page = page.page()?;
    let mut found = all(&admin).await?;
    if let Some(filter) = search.filter.as_deref().filter(|text| !text.trim().is_empty()) {
        let is_met = domain_filter(filter)?;
        found.retain(|tenant| is_met(&tenant.domain.0));
    }
    if search.sort_order.as_deref().is_some_and(|order| order.eq_ignore_ascii_case("desc")) {
        found.reverse();
    }
    let shown: Vec<TenantBody> = found.iter().skip(page.offset).take(page.limit).map(TenantBody::of).collect();
    Ok(Json(json!({
        "totalResults": found.len(), "startIndex": page.offset + 1, "count": shown.len(), "tenants": shown, "links": [],
    })))
}

/// Says whether a domain is meant.
type DomainFilter = Box<dyn Fn(&str) -> bool + Send>;

/// Reads `domainName eq example.com`, with `sw`, `ew` and `co` too.
fn domain_filter(text: &str) -> Result<DomainFilter, ApiError> {
    let wrong =
        || ApiError::bad_request("filter: must be `domainName eq example.com`; eq, sw, ew and co are possible.");
    let mut words = text.split_whitespace();
    let (name, verb, value) = (words.next(), words.next(), words.next());
    if name != Some("domainName") || words.next().is_some() {
        return Err(wrong());
    }
    let value = value.ok_or_else(wrong)?.trim_matches('"').to_owned();
    Ok(match verb {
        Some("eq") => Box::new(move |domain: &str| domain == value),
        Some("sw") => Box::new(move |domain: &str| domain.starts_with(&value)),
        Some("ew") => Box::new(move |domain: &str| domain.ends_with(&value)),
        Some("co") => Box::new(move |domain: &str| domain.contains(&value)),
        _ => return Err(wrong()),
    })
}

async fn find(admin: &Address<Admin>, id: &str) -> Result<KnownTenant, ApiError> {
    let found =
        all(admin).await?.into_iter().find(|tenant| tenant.record.id.to_string() == id || tenant.domain.0 == id);
    found.ok_or_else(|| ApiError::not_found("tenant", id.chars().take(255).collect::<String>()))
}

async fn one(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<TenantBody>, ApiError> {
    administrator(signed)?;
    Ok(Json(TenantBody::of(&find(&admin, &id).await?)))
}

async fn by_domain(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(domain): Path<String>,
) -> Result<Json<TenantBody>, ApiError> {
    administrator(signed)?;
    let found = all(&admin).await?.into_iter().find(|tenant| tenant.domain.0 == domain);
    let found = found.ok_or_else(|| ApiError::not_found("tenant", domain.chars().take(255).collect::<String>()))?;
    Ok(Json(TenantBody::of(&found)))
}

async fn owners(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<Vec<Value>>, ApiError> {
    administrator(signed)?;
    Ok(Json(TenantBody::of(&find(&admin, &id).await?).owners))
}

#[derive(Deserialize)]
struct NewTenantBody {
    domain: String,
    owners: Vec<OwnerBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerBody {
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    firstname: String,
    #[serde(default)]
    lastname: String,
    provisioning_method: Option<String>,
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<NewTenantBody>,
) -> Result<Response, ApiError> {
    let caller = caller(administrator(signed)?, key);
    let Ok([owner]) = <[OwnerBody; 1]>::try_from(body.owners) else {
        return Err(ApiError::bad_request("owners: must be one owner, the first administrator."));
    };
    if owner.provisioning_method.as_deref().is_some_and(|method| method != "inline-password") {
        return Err(ApiError::bad_request("owners[0].provisioningMethod: inline-password alone is possible."));
    }
    let mut name = Map::new();
    for (part, text) in [("givenName", owner.firstname), ("familyName", owner.lastname)] {
        if !text.is_empty() {
            name.insert(part.to_owned(), text.into());
        }
    }
    let mut attributes = Map::new();
    if !name.is_empty() {
        attributes.insert("name".to_owned(), name.into());
    }
    // The original's scripts name the owner with or without the domain.
    let suffix = format!("@{}", body.domain);
    let username = owner.username.strip_suffix(&suffix).unwrap_or(&owner.username).to_owned();
    let message = CreateTenant {
        caller,
        domain: TenantDomain(body.domain),
        owner: Username(username),
        password: owner.password,
        email: owner.email,
        attributes,
    };
    let Committed { reply, index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let location = [(LOCATION, format!("/api/server/v1/tenants/{}", reply.record.id))];
    let body = (StatusCode::CREATED, location, Json(TenantBody::of(&reply)));
    Ok(Stamped { body, index, unreached }.into_response())
}

#[derive(Deserialize)]
struct StatusBody {
    activated: bool,
}

async fn set_status(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<StatusBody>,
) -> Result<Response, ApiError> {
    let caller = caller(administrator(signed)?, key);
    let domain = find(&admin, &id).await?.domain;
    let message = SetTenantActive { caller, domain, is_active: body.activated };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
