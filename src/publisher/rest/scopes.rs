//! `/scopes`: scopes that the APIs of a tenant share.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::{ApiError, Body, List, PageQuery};
use portcullis_model::{Role, ScopeId, SharedScope, TenantDomain};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request, role_of_path};
use crate::actor::Publisher;
use crate::messages::{Asker, DeleteSharedScope, ListScopeUsers, ListSharedScopes, PutSharedScope};

const VIEW: &[&str] = &["apim:api_view", "apim:shared_scope_manage"];
const MANAGE: &[&str] = &["apim:shared_scope_manage"];
const CHECK: &[&str] = &["apim:api_create", "apim:api_publish", "apim:api_manage", "apim:shared_scope_manage"];
const USAGE: &[&str] = &["apim:api_view", "apim:api_manage", "apim:shared_scope_manage"];
/// Characters of a name (the contract's).
const NAME_CHARS_MAX: usize = 255;
/// Characters of a description (the contract's).
const DESCRIPTION_CHARS_MAX: usize = 512;
/// Roles of one scope.
const ROLES_MAX: usize = 500;

/// The contract's `Scope`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeBody {
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    bindings: Vec<String>,
}

impl ScopeBody {
    fn into_scope(self, id: ScopeId) -> Result<SharedScope, ApiError> {
        let wrong = |field: &str, wanted: String| Err(ApiError::bad_request(format!("{field}: must be {wanted}")));
        // RFC 6749, section 3.3.
        let is_name = |name: &str| name.chars().all(|c| matches!(c, '!' | '#'..='[' | ']'..='~'));
        if self.name.is_empty() || self.name.len() > NAME_CHARS_MAX || !is_name(&self.name) {
            return wrong(
                "name",
                format!("1 to {NAME_CHARS_MAX} visible ASCII characters without quotes and backslashes"),
            );
        }
        let display_name = self.display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| self.name.clone());
        let description = self.description.unwrap_or_default();
        if display_name.chars().count() > NAME_CHARS_MAX {
            return wrong("displayName", format!("at most {NAME_CHARS_MAX} characters"));
        }
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            return wrong("description", format!("at most {DESCRIPTION_CHARS_MAX} characters"));
        }
        if self.bindings.len() > ROLES_MAX {
            return wrong("bindings", format!("at most {ROLES_MAX} roles"));
        }
        let roles = self.bindings.into_iter().map(Role).collect();
        // The tenant is the asker's, which the registry knows.
        Ok(SharedScope { id, tenant: TenantDomain(String::new()), name: self.name, display_name, description, roles })
    }
}

fn body_of(scope: &SharedScope, usage: Option<usize>) -> Value {
    let roles: Vec<&str> = scope.roles.iter().map(|role| role.0.as_str()).collect();
    let mut body = json!({
        "id": scope.id.to_string(), "name": scope.name, "displayName": scope.display_name,
        "description": scope.description, "bindings": roles,
    });
    if let Some(usage) = usage {
        body["usageCount"] = usage.into();
    }
    body
}

async fn all(publisher: &Address<Publisher>, asker: Asker) -> Result<(Vec<Arc<SharedScope>>, u64), ApiError> {
    let seen = flat(publisher.ask(ListSharedScopes { asker }).await)?;
    Ok((seen.value, seen.index))
}

async fn find(publisher: &Address<Publisher>, asker: Asker, id: &str) -> Result<(Arc<SharedScope>, u64), ApiError> {
    let (scopes, index) = all(publisher, asker).await?;
    let found = scopes.into_iter().find(|scope| scope.id.to_string() == id);
    Ok((found.ok_or_else(|| ApiError::not_found("scope", id.chars().take(100).collect::<String>()))?, index))
}

/// Returns how many APIs have a scope.
async fn count_users(publisher: &Address<Publisher>, asker: Asker, scope: &SharedScope) -> Result<usize, ApiError> {
    Ok(flat(publisher.ask(ListScopeUsers { asker, name: scope.name.clone() }).await)?.value.len())
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page.page()?;
    let asker = request.list_asker(VIEW)?;
    let (scopes, index) = all(&publisher, asker.clone()).await?;
    let mut bodies = Vec::new();
    for scope in scopes.iter().skip(page.offset).take(page.limit) {
        bodies.push(body_of(scope, Some(count_users(&publisher, asker.clone(), scope).await?)));
    }
    let list = List::part(bodies, scopes.len(), page).with_links("/scopes", "");
    Ok(read_answer(&request.headers, &json!(list), index))
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Body(body): Body<ScopeBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE)?;
    let scope = body.into_scope(ScopeId::from_random(random_bytes()))?;
    let made = flat(publisher.ask(PutSharedScope { asker, scope, is_new: true }).await)?;
    let location = format!("/api/am/publisher/v4/scopes/{}", made.value.id);
    let answer = wrote(StatusCode::CREATED, &made, body_of(&made.value, None));
    Ok(([(LOCATION, location)], answer).into_response())
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let (scope, index) = find(&publisher, asker.clone(), &id).await?;
    let usage = count_users(&publisher, asker, &scope).await?;
    Ok(read_answer(&request.headers, &body_of(&scope, Some(usage)), index))
}

pub async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<ScopeBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE)?;
    let (before, _) = find(&publisher, asker.clone(), &id).await?;
    let scope = body.into_scope(before.id)?;
    if scope.name != before.name {
        return Err(ApiError::bad_request(format!("name: the name of a scope does not change; it is {}", before.name)));
    }
    let made = flat(publisher.ask(PutSharedScope { asker, scope, is_new: false }).await)?;
    Ok(wrote(StatusCode::OK, &made, body_of(&made.value, None)))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE)?;
    let (scope, _) = find(&publisher, asker.clone(), &id).await?;
    let done = flat(publisher.ask(DeleteSharedScope { asker, id: scope.id }).await)?;
    Ok(wrote(StatusCode::OK, &done, json!({})))
}

/// Says whether there is a scope of a name, shared or of an API; the contract has the name in base64.
pub async fn is_there(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let (scopes, _) = all(&publisher, request.asker(CHECK)?).await?;
    let names = role_of_path(&name);
    let is_there = scopes.iter().any(|scope| names.contains(&scope.name));
    Ok(if is_there { StatusCode::OK } else { StatusCode::NOT_FOUND }.into_response())
}

pub async fn usage(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(USAGE)?;
    let (scope, _) = find(&publisher, asker.clone(), &id).await?;
    let seen = flat(publisher.ask(ListScopeUsers { asker, name: scope.name.clone() }).await)?;
    let users: Vec<Value> = seen
        .value
        .iter()
        .map(|api| {
            let uses = api.operations.iter().filter(|operation| operation.scopes.contains(&scope.name));
            let resources: Vec<Value> = uses.map(|one| json!({"target": one.target, "verb": one.verb})).collect();
            json!({
                "name": api.name, "context": api.context, "version": api.version, "provider": api.provider.0,
                "usedResourceList": resources,
            })
        })
        .collect();
    let body = json!({"id": scope.id.to_string(), "name": scope.name, "usedApiList": users});
    Ok(read_answer(&request.headers, &body, seen.index))
}
