//! `/claim-dialects` and `/oidc/scopes` of the original's server: which claims a tenant has, what they are called, and which
//! scopes tell them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, Body, Signed, Stamped};
use portcullis_model::claim_settings::{ClaimScope, ClaimSettings, ExternalClaim, LocalClaim};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::KeyManager;
use crate::claim_settings::{ChangeClaims, ClaimChange, ClaimFault, ReadClaims};
use crate::user_claims::LOCAL_DIALECT;

type Face = State<Address<KeyManager>>;

pub(super) fn routes(address: &Address<KeyManager>) -> Router {
    Router::new()
        .route("/claim-dialects", get(list).post(add_dialect))
        .route("/claim-dialects/{id}", get(one).put(change_dialect).delete(remove_dialect))
        .route("/claim-dialects/{id}/claims", get(claims).post(add_claim))
        .route("/claim-dialects/{id}/claims/{claimId}", get(claim).put(change_claim).delete(remove_claim))
        .route("/oidc/scopes", get(scopes).post(add_scope))
        .route("/oidc/scopes/{id}", get(scope).put(change_scope).delete(remove_scope))
        .with_state(address.clone())
}

/// The id by which the original's clients name its own dialect.
const LOCAL_ID: &str = "local";

fn id_of(uri: &str) -> String {
    if uri == LOCAL_DIALECT { LOCAL_ID.to_owned() } else { URL_SAFE_NO_PAD.encode(uri) }
}

/// Returns the URI of an id.
fn uri_of(id: &str) -> Result<String, ApiError> {
    if id == LOCAL_ID {
        return Ok(LOCAL_DIALECT.to_owned());
    }
    let uri = URL_SAFE_NO_PAD.decode(id).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    uri.ok_or_else(|| ApiError::not_found("id", id.chars().take(255).collect::<String>()))
}

fn local_name(uri: &str) -> Result<String, ApiError> {
    let name = uri.strip_prefix(LOCAL_DIALECT).and_then(|rest| rest.strip_prefix('/')).filter(|name| !name.is_empty());
    let wrong = || ApiError::bad_request(format!("{}: a local claim begins with {LOCAL_DIALECT}/", short(uri)));
    name.map(str::to_owned).ok_or_else(wrong)
}

fn short(text: &str) -> String {
    text.chars().take(255).collect()
}

fn administrator(signed: Signed) -> Result<Caller, ApiError> {
    signed.require(&["apim:admin"])?;
    Ok(Caller::new(signed.0.principal).from_address(signed.0.origin))
}

async fn settings(face: &Address<KeyManager>, signed: Signed) -> Result<ClaimSettings, ApiError> {
    let tenant = administrator(signed)?.principal.tenant;
    face.ask(ReadClaims { tenant }).await.map_err(|error| ApiError::from_fault(&error))
}

/// Makes a change and answers with `status` and, for what is new, where it is.
async fn change(
    face: &Address<KeyManager>,
    signed: Signed,
    change: ClaimChange,
    status: StatusCode,
    location: Option<String>,
) -> Result<Response, ApiError> {
    let caller = administrator(signed)?;
    let changed = face.ask(ChangeClaims { caller, change }).await.map_err(|error| ApiError::from_fault(&error))?;
    let (index, unreached) = changed.map_err(|fault| match fault {
        ClaimFault::NotFound(noun, name) => ApiError::not_found(noun, short(&name)),
        ClaimFault::Exists(noun, name) => ApiError::conflict(format!("There is a {noun} {} already.", short(&name))),
        ClaimFault::Wrong(why) => ApiError::bad_request(why),
        ClaimFault::NotStored(error) => ApiError::from_fault(&error),
    })?;
    let body = match location {
        Some(path) => (status, [(LOCATION, format!("/api/server/v1{path}"))]).into_response(),
        None => status.into_response(),
    };
    Ok(Stamped { body, index, unreached }.into_response())
}

#[derive(Deserialize)]
struct DialectBody {
    #[serde(rename = "dialectURI")]
    uri: String,
}

/// A claim; which members there must be depends on the dialect.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimBody {
    #[serde(rename = "claimURI")]
    uri: String,
    #[serde(default, rename = "mappedLocalClaimURI")]
    mapped: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    attribute_mapping: Vec<AttributeMapping>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttributeMapping {
    mapped_attribute: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeBody {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    claims: Vec<String>,
}

fn dialect_body(uri: &str) -> Value {
    let id = id_of(uri);
    let link = json!({"href": format!("/api/server/v1/claim-dialects/{id}/claims"), "rel": "claims"});
    json!({"id": id, "dialectURI": uri, "link": link})
}

fn local_body(number: usize, claim: &LocalClaim) -> Value {
    let uri = format!("{LOCAL_DIALECT}/{}", claim.name);
    let is_fixed = ["groups", "roles", "userName"].contains(&claim.attribute.as_str());
    json!({
        "id": id_of(&uri), "claimURI": uri, "dialectURI": LOCAL_DIALECT, "displayName": claim.title,
        "description": claim.description, "displayOrder": number + 1, "readOnly": is_fixed, "required": false,
        "supportedByDefault": true, "properties": [],
        "attributeMapping": [{"mappedAttribute": claim.attribute, "userstore": "PRIMARY"}],
    })
}

fn claims_of(settings: &ClaimSettings, uri: &str) -> Result<Vec<Value>, ApiError> {
    if uri == LOCAL_DIALECT {
        return Ok(settings.local.iter().enumerate().map(|(number, claim)| local_body(number, claim)).collect());
    }
    let dialect = settings.dialect(uri).ok_or_else(|| ApiError::not_found("claim dialect", short(uri)))?;
    let body = |claim: &ExternalClaim| {
        json!({
            "id": id_of(&claim.uri), "claimURI": claim.uri, "claimDialectURI": uri,
            "mappedLocalClaimURI": format!("{LOCAL_DIALECT}/{}", claim.local),
        })
    };
    Ok(dialect.claims.iter().map(body).collect())
}

async fn list(State(face): Face, signed: Signed) -> Result<Json<Vec<Value>>, ApiError> {
    let settings = settings(&face, signed).await?;
    let uris = [LOCAL_DIALECT].into_iter().chain(settings.dialects.iter().map(|dialect| dialect.uri.as_str()));
    Ok(Json(uris.map(dialect_body).collect()))
}

async fn one(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let (settings, uri) = (settings(&face, signed).await?, uri_of(&id)?);
    claims_of(&settings, &uri)?;
    Ok(Json(dialect_body(&uri)))
}

async fn add_dialect(State(face): Face, signed: Signed, Body(body): Body<DialectBody>) -> Result<Response, ApiError> {
    let path = format!("/claim-dialects/{}", id_of(&body.uri));
    let wish = ClaimChange::PutDialect { former: None, uri: checked("dialectURI", body.uri)? };
    change(&face, signed, wish, StatusCode::CREATED, Some(path)).await
}

async fn change_dialect(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<DialectBody>,
) -> Result<Response, ApiError> {
    let wish = ClaimChange::PutDialect { former: Some(uri_of(&id)?), uri: checked("dialectURI", body.uri)? };
    change(&face, signed, wish, StatusCode::OK, None).await
}

async fn remove_dialect(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Response, ApiError> {
    change(&face, signed, ClaimChange::RemoveDialect(uri_of(&id)?), StatusCode::NO_CONTENT, None).await
}

async fn claims(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(claims_of(&settings(&face, signed).await?, &uri_of(&id)?)?))
}

async fn claim(
    State(face): Face,
    signed: Signed,
    Path((id, claim)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let listed = claims_of(&settings(&face, signed).await?, &uri_of(&id)?)?;
    let found = listed.into_iter().find(|one| one["id"] == claim.as_str());
    found.map(Json).ok_or_else(|| ApiError::not_found("claim", short(&claim)))
}

/// Says that a text is there and of a length that may be.
fn checked(name: &str, text: String) -> Result<String, ApiError> {
    let chars_max = portcullis_model::claim_settings::CLAIM_CHARS_MAX;
    if (1..=chars_max).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(text);
    }
    Err(ApiError::bad_request(format!("{name}: must have 1 to {chars_max} characters, and no control characters.")))
}

/// Reads a claim for a dialect.
fn wish(dialect: String, former: Option<String>, body: ClaimBody) -> Result<ClaimChange, ApiError> {
    let uri = checked("claimURI", body.uri)?;
    if dialect != LOCAL_DIALECT {
        let mapped = body.mapped.ok_or_else(|| ApiError::bad_request("mappedLocalClaimURI: is missing."))?;
        let claim = ExternalClaim { uri, local: local_name(&mapped)? };
        return Ok(ClaimChange::PutExternal { dialect, former, claim });
    }
    let attribute = body.attribute_mapping.into_iter().next().map(|mapping| mapping.mapped_attribute);
    let attribute =
        attribute.ok_or_else(|| ApiError::bad_request("attributeMapping: must have one mappedAttribute."))?;
    let name = local_name(&uri)?;
    let title = body.display_name.unwrap_or_else(|| name.clone());
    let description = body.description.unwrap_or_default();
    let attribute = checked("mappedAttribute", attribute)?;
    let former = former.as_deref().map(local_name).transpose()?;
    Ok(ClaimChange::PutLocal { former, claim: LocalClaim { name, attribute, title, description } })
}

async fn add_claim(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<ClaimBody>,
) -> Result<Response, ApiError> {
    let path = format!("/claim-dialects/{}/claims/{}", id_of(&uri_of(&id)?), id_of(&body.uri));
    change(&face, signed, wish(uri_of(&id)?, None, body)?, StatusCode::CREATED, Some(path)).await
}

async fn change_claim(
    State(face): Face,
    signed: Signed,
    Path((id, claim)): Path<(String, String)>,
    Body(body): Body<ClaimBody>,
) -> Result<Response, ApiError> {
    change(&face, signed, wish(uri_of(&id)?, Some(uri_of(&claim)?), body)?, StatusCode::OK, None).await
}

async fn remove_claim(
    State(face): Face,
    signed: Signed,
    Path((id, claim)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (dialect, uri) = (uri_of(&id)?, uri_of(&claim)?);
    let wish = if dialect == LOCAL_DIALECT {
        ClaimChange::RemoveLocal(local_name(&uri)?)
    } else {
        ClaimChange::RemoveExternal { dialect, uri }
    };
    change(&face, signed, wish, StatusCode::NO_CONTENT, None).await
}

fn scope_body(scope: &ClaimScope) -> Value {
    json!({
        "name": scope.name, "displayName": scope.title, "description": scope.description, "claims": scope.claims,
    })
}

async fn scopes(State(face): Face, signed: Signed) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(settings(&face, signed).await?.scopes.iter().map(scope_body).collect()))
}

async fn scope(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let settings = settings(&face, signed).await?;
    let found = settings.scopes.iter().find(|scope| scope.name == id).map(scope_body);
    found.map(Json).ok_or_else(|| ApiError::not_found("scope", short(&id)))
}

fn scope_of(name: String, body: ScopeBody) -> Result<ClaimScope, ApiError> {
    let name = checked("name", name)?;
    if !name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
        return Err(ApiError::bad_request("name: has characters that a scope may not have (RFC 6749, section 3.3)."));
    }
    let title = body.display_name.unwrap_or_else(|| name.clone());
    Ok(ClaimScope { name, title, description: body.description.unwrap_or_default(), claims: body.claims })
}

async fn add_scope(State(face): Face, signed: Signed, Body(mut body): Body<ScopeBody>) -> Result<Response, ApiError> {
    let name = body.name.take().ok_or_else(|| ApiError::bad_request("name: is missing."))?;
    let scope = scope_of(name, body)?;
    let path = format!("/oidc/scopes/{}", scope.name);
    change(&face, signed, ClaimChange::PutScope { former: None, scope }, StatusCode::CREATED, Some(path)).await
}

async fn change_scope(
    State(face): Face,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<ScopeBody>,
) -> Result<Response, ApiError> {
    let scope = scope_of(id.clone(), body)?;
    change(&face, signed, ClaimChange::PutScope { former: Some(id), scope }, StatusCode::OK, None).await
}

async fn remove_scope(State(face): Face, signed: Signed, Path(id): Path<String>) -> Result<Response, ApiError> {
    change(&face, signed, ClaimChange::RemoveScope(id), StatusCode::NO_CONTENT, None).await
}
