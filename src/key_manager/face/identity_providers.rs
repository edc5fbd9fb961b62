//! `/identity-providers` of the original's server: servers at which a tenant's users sign in.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, Body, PageQuery, Signed, Stamped};
use portcullis_model::IdentityProviderId;
use portcullis_model::identity_provider::IdentityProvider;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actor::KeyManager;
use crate::identity_providers::{
    DescribeIdentityProvider, ListIdentityProviders, OIDC_AUTHENTICATOR, ProviderFault, RemoveIdentityProvider,
    authenticator_id,
};

type Face = State<Address<KeyManager>>;

pub(super) fn routes(address: &Address<KeyManager>) -> Router {
    Router::new()
        .route("/identity-providers", get(list).post(add))
        .route("/identity-providers/{id}", get(one).patch(patch).delete(remove))
        .route("/identity-providers/{id}/claims", get(claims).put(put_claims))
        .route("/identity-providers/{id}/roles", get(roles).put(put_roles))
        .route("/identity-providers/{id}/provisioning/jit", get(jit).put(put_jit))
        .route("/identity-providers/{id}/federated-authenticators", get(authenticators).put(put_authenticators))
        .with_state(address.clone())
}

/// Parts of a description that have a path of their own: where they are in it.
macro_rules! parts {
    ($($read:ident, $put:ident: $pointer:literal;)+) => {$(
        async fn $read(face: Face, signed: Signed, id: Path<String>) -> Result<Json<Value>, ApiError> {
            part(face, signed, id, $pointer).await
        }

        async fn $put(face: Face, signed: Signed, id: Path<String>, body: Body<Value>) -> Result<Response, ApiError> {
            put_part(face, signed, id, $pointer, body.0).await
        }
    )+};
}

parts! {
    claims, put_claims: "/claims";
    roles, put_roles: "/roles";
    jit, put_jit: "/provisioning/jit";
    authenticators, put_authenticators: "/federatedAuthenticators";
}

fn administrator(signed: Signed) -> Result<Caller, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(Caller::new(signed.0.principal).from_address(signed.0.origin))
}

async fn all(face: &Address<KeyManager>, caller: &Caller) -> Result<Vec<IdentityProvider>, ApiError> {
    let tenant = caller.principal.tenant.clone();
    face.ask(ListIdentityProviders { tenant }).await.map_err(|error| ApiError::from_fault(&error))
}

fn none(id: &str) -> ApiError {
    ApiError::not_found("identity provider", id.chars().take(64).collect::<String>())
}

async fn find(face: &Address<KeyManager>, caller: &Caller, id: &str) -> Result<IdentityProvider, ApiError> {
    let wanted: IdentityProviderId = id.parse().map_err(|_| none(id))?;
    all(face, caller).await?.into_iter().find(|one| one.id == wanted).ok_or_else(|| none(id))
}

fn document_of(one: &IdentityProvider) -> Map<String, Value> {
    serde_json::from_str(&one.document).unwrap_or_default()
}

fn summary(one: &IdentityProvider) -> Value {
    let document = document_of(one);
    json!({
        "id": one.id.to_string(), "name": one.name, "isEnabled": one.is_enabled,
        "description": document.get("description").cloned().unwrap_or_default(),
        "image": document.get("image").cloned().unwrap_or_default(),
        "self": format!("/api/server/v1/identity-providers/{}", one.id),
    })
}

/// Returns a description as it is shown: without secrets, and with the id of the authenticator that signs users in.
fn shown(one: &IdentityProvider) -> Value {
    let mut document = document_of(one);
    document.insert("id".to_owned(), one.id.to_string().into());
    document.insert("isEnabled".to_owned(), one.is_enabled.into());
    let listed = document.get_mut("federatedAuthenticators").and_then(|one| one.get_mut("authenticators"));
    for authenticator in listed.and_then(Value::as_array_mut).into_iter().flatten() {
        if authenticator["name"] == OIDC_AUTHENTICATOR {
            authenticator["authenticatorId"] = authenticator_id().into();
        }
    }
    Value::Object(document)
}

#[derive(Deserialize)]
struct Search {
    filter: Option<String>,
}

/// Says whether an identity provider meets `name eq X`, with `sw`, `ew` or `co`.
fn is_met(filter: &str, one: &IdentityProvider) -> Result<bool, ApiError> {
    let wrong = || ApiError::bad_request("filter: must be `name eq NAME`, or with sw, ew or co.");
    let mut words = filter.trim().splitn(3, ' ');
    let (Some("name"), Some(verb), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong());
    };
    let value = value.trim().trim_matches('"');
    match verb {
        "eq" => Ok(one.name == value),
        "sw" => Ok(one.name.starts_with(value)),
        "ew" => Ok(one.name.ends_with(value)),
        "co" => Ok(one.name.contains(value)),
        _ => Err(wrong()),
    }
}

async fn list(
    State(face): Face,
    signed: Signed,
    Query(page): Query<PageQuery>,
    Query(search): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    let caller = administrator(signed)?;
    let page = page.page()?;
    let filter = search.filter.as_deref().filter(|filter| !filter.trim().is_empty());
    let mut found = Vec::new();
    for one in all(&face, &caller).await? {
        if filter.map_or(Ok(true), |filter| is_met(filter, &one))? {
            found.push(one);
        }
    }
    let listed: Vec<Value> = found.iter().skip(page.offset).take(page.limit).map(summary).collect();
    Ok(Json(json!({
        "totalResults": found.len(), "startIndex": page.offset + 1, "count": listed.len(), "links": [],
        "identityProviders": listed,
    })))
}

async fn one(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let caller = administrator(signed)?;
    Ok(Json(shown(&find(&face, &caller, &id).await?)))
}

/// Stores a description and answers with it.
async fn describe(
    face: &Address<KeyManager>,
    caller: Caller,
    id: Option<IdentityProviderId>,
    mut document: Map<String, Value>,
) -> Result<Response, ApiError> {
    document.remove("id");
    let message = DescribeIdentityProvider { caller, id, document };
    let described = face.ask(message).await.map_err(|error| ApiError::from_fault(&error))?;
    let (provider, index, unreached) = described.map_err(|fault| match fault {
        ProviderFault::NotFound(id) => none(&id.to_string()),
        ProviderFault::Wrong(why) => ApiError::bad_request(why),
        ProviderFault::NotStored(error) => ApiError::from_fault(&error),
    })?;
    let body = match id {
        Some(_) => Json(shown(&provider)).into_response(),
        None => {
            let path = format!("/api/server/v1/identity-providers/{}", provider.id);
            (StatusCode::CREATED, [(LOCATION, path)], Json(shown(&provider))).into_response()
        }
    };
    Ok(Stamped { body, index, unreached }.into_response())
}

async fn add(State(face): Face, signed: Signed, Body(body): Body<Map<String, Value>>) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    describe(&face, caller, None, body).await
}

/// A step of a change (the original's form of RFC 6902).
#[derive(Deserialize)]
struct Step {
    operation: String,
    path: String,
    #[serde(default)]
    value: Value,
}

async fn patch(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    Body(steps): Body<Vec<Step>>,
) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    let before = find(&face, &caller, &id).await?;
    let mut document = document_of(&before);
    document.insert("isEnabled".to_owned(), before.is_enabled.into());
    for step in steps {
        let (member, is_top) = match step.path.strip_prefix('/') {
            Some(member) => (member.to_owned(), !member.is_empty() && !member.contains('/')),
            None => (String::new(), false),
        };
        match step.operation.to_ascii_uppercase().as_str() {
            "ADD" | "REPLACE" if is_top => drop(document.insert(member, step.value)),
            "REMOVE" if is_top => drop(document.remove(&member)),
            _ => {
                let why =
                    "each step has an operation (ADD, REPLACE or REMOVE) and a path of one member, such as /isEnabled.";
                return Err(ApiError::bad_request(why));
            }
        }
    }
    describe(&face, caller, Some(before.id), document).await
}

async fn remove(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    let id = id.parse().map_err(|_| none(&id))?;
    let removed =
        face.ask(RemoveIdentityProvider { caller, id }).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = removed.map_err(|error| ApiError::from_fault(&error))?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index, unreached }.into_response())
}

async fn part(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    pointer: &'static str,
) -> Result<Json<Value>, ApiError> {
    let caller = administrator(signed)?;
    let shown = shown(&find(&face, &caller, &id).await?);
    Ok(Json(shown.pointer(pointer).cloned().unwrap_or_else(|| json!({}))))
}

async fn put_part(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    pointer: &'static str,
    body: Value,
) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    if !body.is_object() {
        return Err(ApiError::bad_request("the body must be an object."));
    }
    let before = find(&face, &caller, &id).await?;
    let mut document = document_of(&before);
    document.insert("isEnabled".to_owned(), before.is_enabled.into());
    let (first, second) = pointer[1..].split_once('/').map_or((&pointer[1..], None), |(a, b)| (a, Some(b)));
    match second {
        None => drop(document.insert(first.to_owned(), body)),
        Some(second) => {
            let part = document.entry(first).or_insert_with(|| json!({}));
            if !part.is_object() {
                *part = json!({});
            }
            part[second] = body;
        }
    }
    describe(&face, caller, Some(before.id), document).await
}
