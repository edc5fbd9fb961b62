//! `/claim-dialects` and `/oidc/scopes` of the original's server: which claims there are, and which scopes tell them. They
//! are the same for every tenant and do not change.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_http::{ApiError, Signed};
use serde_json::{Value, json};

use crate::user_claims::{CLAIMS, ClaimKind, LOCAL_DIALECT, OIDC_DIALECT, SCOPES, ScopeKind};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/claim-dialects", get(list))
        .route("/claim-dialects/{id}", get(one))
        .route("/claim-dialects/{id}/claims", get(claims))
        .route("/claim-dialects/{id}/claims/{claimId}", get(claim))
        .route("/oidc/scopes", get(scopes))
        .route("/oidc/scopes/{id}", get(scope))
}

/// The id by which the original's clients name its own dialect.
const LOCAL_ID: &str = "local";

fn id_of(uri: &str) -> String {
    if uri == LOCAL_DIALECT { LOCAL_ID.to_owned() } else { URL_SAFE_NO_PAD.encode(uri) }
}

fn administrator(signed: &Signed) -> Result<(), ApiError> {
    signed.require(&["apim:admin"])
}

fn dialect(uri: &str) -> Value {
    let id = id_of(uri);
    let link = json!({"href": format!("/api/server/v1/claim-dialects/{id}/claims"), "rel": "claims"});
    json!({"id": id, "dialectURI": uri, "link": link})
}

/// Finds the dialect of an id.
fn dialect_of(id: &str) -> Result<&'static str, ApiError> {
    let found = [LOCAL_DIALECT, OIDC_DIALECT].into_iter().find(|uri| id_of(uri) == id);
    found.ok_or_else(|| ApiError::not_found("claim dialect", id.chars().take(255).collect::<String>()))
}

fn claim_of(dialect: &str, number: usize, kind: &ClaimKind) -> Value {
    let local = format!("{LOCAL_DIALECT}/{}", kind.local);
    if dialect == OIDC_DIALECT {
        return json!({
            "id": id_of(kind.oidc), "claimURI": kind.oidc, "claimDialectURI": dialect, "mappedLocalClaimURI": local,
        });
    }
    let is_fixed = ["groups", "roles", "username"].contains(&kind.local);
    json!({
        "id": id_of(&local), "claimURI": local, "dialectURI": dialect, "displayName": kind.title, "description": kind.title,
        "displayOrder": number + 1, "readOnly": is_fixed, "required": false,
        "supportedByDefault": true, "properties": [],
        "attributeMapping": [{"mappedAttribute": kind.attribute, "userstore": "PRIMARY"}],
    })
}

fn claims_of(dialect: &str) -> Vec<Value> {
    CLAIMS.iter().enumerate().map(|(number, kind)| claim_of(dialect, number, kind)).collect()
}

async fn list(signed: Signed) -> Result<Json<Value>, ApiError> {
    administrator(&signed)?;
    Ok(Json(json!([dialect(LOCAL_DIALECT), dialect(OIDC_DIALECT)])))
}

async fn one(signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    administrator(&signed)?;
    Ok(Json(dialect(dialect_of(&id)?)))
}

async fn claims(signed: Signed, Path(id): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    administrator(&signed)?;
    Ok(Json(claims_of(dialect_of(&id)?)))
}

async fn claim(signed: Signed, Path((id, claim)): Path<(String, String)>) -> Result<Json<Value>, ApiError> {
    administrator(&signed)?;
    let found = claims_of(dialect_of(&id)?).into_iter().find(|one| one["id"] == claim.as_str());
    found.map(Json).ok_or_else(|| ApiError::not_found("claim", claim.chars().take(255).collect::<String>()))
}

fn scope_body(kind: &ScopeKind) -> Value {
    json!({"name": kind.name, "displayName": kind.title, "description": kind.title, "claims": kind.claims})
}

async fn scopes(signed: Signed) -> Result<Json<Vec<Value>>, ApiError> {
    administrator(&signed)?;
    Ok(Json(SCOPES.iter().map(scope_body).collect()))
}

async fn scope(signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    administrator(&signed)?;
    let found = SCOPES.iter().find(|kind| kind.name == id).map(scope_body);
    found.map(Json).ok_or_else(|| ApiError::not_found("scope", id.chars().take(255).collect::<String>()))
}
