//! `/applications/{applicationId}/api-keys`: the contract's two operations, and Portcullis' own to list and revoke by id.

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::{ApiError, Body, Stamped};
use portcullis_model::KeyType;
use portcullis_model::limit::ANONYMOUS_BODY_BYTES_MAX;

use super::Face;
use super::answer::{found, ok};
use super::query::id;
use super::visitor::MayManageApiKeys;
use crate::dto::api_key::{GenerateApiKeyBody, RevokeApiKeyBody};
use crate::messages::{DeleteApiKey, GenerateApiKey, ListApiKeys, RevokeApiKey};

fn key_type(text: &str) -> Result<KeyType, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("keyType: must be PRODUCTION or SANDBOX, not {text}")))
}

pub(super) async fn generate(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    Path((application, kind)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (application, key_type) = (id("application", &application)?, key_type(&kind)?);
    let (parts, body) = request.into_parts();
    // The contract lets the body be left out.
    let bytes = portcullis_http::body::read(&parts.headers, body, ANONYMOUS_BODY_BYTES_MAX).await?;
    let body = if bytes.is_empty() { GenerateApiKeyBody::default() } else { portcullis_http::body::parse(&bytes)? };
    ok(face.ask(GenerateApiKey { subscriber, application, key_type, body }).await?)
}

pub(super) async fn revoke(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    Path((application, kind)): Path<(String, String)>,
    Body(body): Body<RevokeApiKeyBody>,
) -> Result<Stamped<()>, ApiError> {
    let application = id("application", &application)?;
    key_type(&kind)?;
    face.ask(RevokeApiKey { subscriber, application, apikey: body.apikey }).await
}

pub(super) async fn list(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    Path(application): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    found(&headers, face.ask(ListApiKeys { subscriber, application }).await?)
}

pub(super) async fn delete(
    State(face): State<Face>,
    MayManageApiKeys(subscriber): MayManageApiKeys,
    Path((application, key)): Path<(String, String)>,
) -> Result<Stamped<()>, ApiError> {
    let (application, key) = (id("application", &application)?, id("API key", &key)?);
    face.ask(DeleteApiKey { subscriber, application, key }).await
}
