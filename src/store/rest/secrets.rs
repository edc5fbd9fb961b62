//! `/applications/{applicationId}/oauth-keys/{keyMappingId}/secrets`, `generate-secret` and `revoke-secret`.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_http::{ApiError, Body, Stamped};

use super::Face;
use super::answer::found;
use super::keys::key_ref;
use super::query::id;
use super::visitor::MayManageApplications;
use crate::dto::secret::{GenerateSecretBody, RevokeSecretBody};
use crate::secrets::{GenerateSecret, ListSecrets, RevokeSecret};

pub(super) async fn list(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    found(&headers, face.ask(ListSecrets { subscriber, application, key }).await?)
}

pub(super) async fn generate(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    Body(body): Body<GenerateSecretBody>,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    let made = face.ask(GenerateSecret { subscriber, application, key, body }).await?;
    let bytes = serde_json::to_vec(&made.body).map_err(|_| ApiError::internal("A reply could not be written."))?;
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let body = (StatusCode::CREATED, headers, bytes);
    Ok(Stamped { body, index: made.index, unreached: made.unreached }.into_response())
}

pub(super) async fn revoke(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    Body(body): Body<RevokeSecretBody>,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    let gone = face.ask(RevokeSecret { subscriber, application, key, body }).await?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index: gone.index, unreached: gone.unreached }.into_response())
}
