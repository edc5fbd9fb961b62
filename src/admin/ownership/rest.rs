//! `/applications` and `/apis` of the Admin v4 contract: a thin face over the messages.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::{ApiError, List, MaybeKey, PageQuery, Signed, Stamped, etag};
use portcullis_model::order::caseless;
use portcullis_model::{Api, Application, ApplicationId, TenantDomain, Username};
use serde::Deserialize;
use serde_json::{Value, json};

use super::handlers::{
    ChangeApiProvider, ChangeApplicationOwner, DeleteApplication, FindApplication, ListApis, ListApplications,
};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

const LIST: &[&str] = &["apim:admin", "apim:app_owner_change", "apim:app_import_export", "apim:admin_application_view"];
const VIEW: &[&str] = &["apim:admin", "apim:app_import_export", "apim:admin_application_view"];
const DELETE: &[&str] = &["apim:admin", "apim:app_import_export"];
const CHANGE_OWNER: &[&str] = &["apim:admin", "apim:app_owner_change"];
const CHANGE_PROVIDER: &[&str] = &["apim:admin", "apim:api_provider_change"];

type AdminAddress = State<Address<Admin>>;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/applications", get(applications))
        .route("/applications/{applicationId}", get(application).delete(delete_application))
        .route("/applications/{applicationId}/change-owner", post(change_owner))
        .route("/apis", get(apis))
        .route("/apis/{apiId}/change-provider", post(change_provider))
        .with_state(admin.clone())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationQuery {
    user: Option<String>,
    name: Option<String>,
    tenant_domain: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// Returns the tenant that is meant: one's own, or any for an administrator of the first.
fn tenant_meant(signed: &Signed, named: Option<String>) -> Result<TenantDomain, ApiError> {
    let own = signed.0.principal.tenant.clone();
    match named.filter(|name| !name.is_empty()).map(TenantDomain) {
        Some(named) if named != own && !own.is_super() => {
            Err(ApiError::forbidden("tenantDomain: only administrators of the first tenant look into others"))
        }
        named => Ok(named.unwrap_or(own)),
    }
}

/// Returns the application of an id, with how many subscriptions it has.
async fn find(admin: &Address<Admin>, tenant: TenantDomain, id: &str) -> Result<(Arc<Application>, usize), ApiError> {
    let found = admin.ask(FindApplication { tenant, id: id_of(id)? }).await.map_err(AdminError::from)?;
    found.ok_or_else(|| ApiError::not_found("application", id))
}

async fn applications(
    State(admin): AdminAddress,
    signed: Signed,
    Query(query): Query<ApplicationQuery>,
) -> Result<Json<Value>, ApiError> {
    signed.require(LIST)?;
    let page = query.page.page()?;
    let is_descending = match query.sort_order.as_deref() {
        None | Some("" | "asc") => false,
        Some("desc") => true,
        Some(other) => return Err(ApiError::bad_request(format!("sortOrder: must be asc or desc, not `{other}`"))),
    };
    let asked = [
        ("user", query.user.clone()),
        ("name", query.name.clone()),
        ("tenantDomain", query.tenant_domain.clone()),
        ("sortBy", query.sort_by.clone()),
        ("sortOrder", query.sort_order.clone()),
    ];
    let tenant = tenant_meant(&signed, query.tenant_domain)?;
    let mut found = admin.ask(ListApplications { tenant }).await.map_err(AdminError::from)?;
    let (user, name) = (query.user.unwrap_or_default(), query.name.unwrap_or_default().to_lowercase());
    found.retain(|one| {
        (user.is_empty() || one.owner.0 == user) && (name.is_empty() || one.name.to_lowercase().contains(&name))
    });
    let is_by_owner = match query.sort_by.as_deref() {
        None | Some("" | "name") => false,
        Some("owner") => true,
        Some(other) => return Err(ApiError::bad_request(format!("sortBy: must be name or owner, not `{other}`"))),
    };
    let mut tail = url::form_urlencoded::Serializer::new(String::new());
    for (parameter, asked) in asked {
        tail.extend_pairs(asked.iter().filter(|text| !text.is_empty()).map(|text| (parameter, text)));
    }
    let tail = tail.finish();
    let (total, shown) = page.select(found, |one, other| {
        let owners = if is_by_owner { one.owner.cmp(&other.owner) } else { Ordering::Equal };
        let order = owners.then_with(|| caseless(&one.name, &other.name)).then_with(|| one.id.cmp(&other.id));
        if is_descending { order.reverse() } else { order }
    });
    let shown = shown.iter().map(|one| brief(one)).collect();
    Ok(Json(json!(List::<Value>::part(shown, total, page).with_links("/applications", &tail))))
}

fn brief(one: &Application) -> Value {
    json!({
        "applicationId": one.id.to_string(), "name": one.name, "owner": one.owner.0, "status": one.state.as_contract(),
        "groupId": one.groups.join(","),
    })
}

async fn application(
    State(admin): AdminAddress,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let (one, subscriptions) = find(&admin, signed.0.principal.tenant, &id).await?;
    Ok(Json(json!({
        "applicationId": one.id.to_string(),
        "name": one.name,
        "throttlingPolicy": one.policy,
        "description": one.description,
        "tokenType": one.token_type.as_contract(),
        "status": one.state.as_contract(),
        "groups": one.groups,
        "subscriptionCount": subscriptions,
        "attributes": one.attributes,
        "subscriptionScopes": [],
        "owner": one.owner.0,
    })))
}

async fn delete_application(
    State(admin): AdminAddress,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(DELETE)?;
    let (one, _) = find(&admin, signed.0.principal.tenant.clone(), &id).await?;
    let message = DeleteApplication { caller: caller(signed, key), id: one.id };
    done(admin.ask(message).await.map_err(AdminError::from)??)
}

#[derive(Deserialize)]
struct OwnerQuery {
    owner: Option<String>,
}

async fn change_owner(
    State(admin): AdminAddress,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Query(query): Query<OwnerQuery>,
) -> Result<Response, ApiError> {
    signed.require(CHANGE_OWNER)?;
    let owner = user_named("owner", query.owner, &signed)?;
    let message = ChangeApplicationOwner { caller: caller(signed, key), id: id_of(&id)?, owner };
    done(admin.ask(message).await.map_err(AdminError::from)??)
}

#[derive(Deserialize)]
struct ApiQuery {
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// Lists APIs; the query is a part of a name, or `name:`, `version:` or `provider:` with one.
async fn apis(
    State(admin): AdminAddress,
    signed: Signed,
    Query(query): Query<ApiQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    signed.require(CHANGE_PROVIDER)?;
    let page = query.page.page()?;
    let text = query.query.unwrap_or_default();
    let (field, part) = text.split_once(':').unwrap_or(("name", &text));
    let part = part.trim().to_lowercase();
    let value: fn(&Api) -> &str = match field.trim() {
        "name" => |api| &api.name,
        "version" => |api| &api.version,
        "provider" => |api| &api.provider.0,
        other => {
            let reason = format!("query: is of {other}; name, version and provider are possible");
            return Err(ApiError::bad_request(reason));
        }
    };
    let mut found = admin.ask(ListApis { tenant: signed.0.principal.tenant }).await.map_err(AdminError::from)?;
    found.retain(|api| value(api).to_lowercase().contains(&part));
    let (total, shown) = page.select(found, |one, other| one.order_by_name(other));
    let shown = shown
        .iter()
        .map(|api| json!({"id": api.id.to_string(), "name": api.name, "version": api.version, "provider": api.provider.0}))
        .collect();
    let List { count, list, pagination } = List::<Value>::part(shown, total, page).with_links("/apis", "");
    let body = json!({"count": count, "apis": list, "pagination": pagination});
    let tag = etag::of(body.to_string().as_bytes());
    if etag::is_known(&headers, &tag) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(([(http::header::ETAG, tag)], Json(body)).into_response())
}

#[derive(Deserialize)]
struct ProviderQuery {
    provider: Option<String>,
}

async fn change_provider(
    State(admin): AdminAddress,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Query(query): Query<ProviderQuery>,
) -> Result<Response, ApiError> {
    signed.require(CHANGE_PROVIDER)?;
    let provider = user_named("provider", query.provider, &signed)?;
    let api = id.parse().map_err(|_| ApiError::not_found("API", &id))?;
    let message = ChangeApiProvider { caller: caller(signed, key), api, provider };
    done(admin.ask(message).await.map_err(AdminError::from)??)
}

/// Returns the user that a parameter names, with or without the tenant.
fn user_named(parameter: &str, text: Option<String>, signed: &Signed) -> Result<Username, ApiError> {
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| ApiError::bad_request(format!("the query parameter {parameter} must be there")))?;
    let domain = format!("@{}", signed.0.principal.tenant);
    Ok(Username(text.strip_suffix(domain.as_str()).unwrap_or(&text).to_owned()))
}

fn id_of(text: &str) -> Result<ApplicationId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("application", text))
}

fn done(committed: Committed<()>) -> Result<Response, ApiError> {
    let Committed { reply: (), index, unreached } = committed;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
