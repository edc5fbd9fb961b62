//! `/applications/{applicationId}/keys`, `/oauth-keys` and what is done with keys. Both paths lead to the same keys:
//! the last part is a key type or a key mapping id.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::{ApiError, Body, Stamped};

use super::Face;
use super::answer::{found, ok};
use super::query::id;
use super::visitor::MayManageApplications;
use crate::dto::key::{GenerateKeysBody, GenerateTokenBody, MapKeysBody, UpdateKeyBody};
use crate::messages::{
    GenerateKeys, GenerateToken, GetKey, KeyRef, ListKeys, MapKeys, RegenerateSecret, RemoveKey, UpdateKey,
};

/// Reads a key type or a key mapping id.
pub(crate) fn key_ref(text: &str) -> Result<KeyRef, ApiError> {
    match text.parse() {
        Ok(key_type) => Ok(KeyRef::Type(key_type)),
        Err(_) => id("key mapping", text).map(KeyRef::Mapping),
    }
}

pub(super) async fn generate(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    Body(body): Body<GenerateKeysBody>,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    ok(face.ask(GenerateKeys { subscriber, application, body }).await?)
}

pub(super) async fn map(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    Body(body): Body<MapKeysBody>,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    ok(face.ask(MapKeys { subscriber, application, body }).await?)
}

pub(super) async fn list(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    found(&headers, face.ask(ListKeys { subscriber, application }).await?)
}

pub(super) async fn show(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    found(&headers, face.ask(GetKey { subscriber, application, key }).await?)
}

pub(super) async fn update(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    Body(body): Body<UpdateKeyBody>,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    ok(face.ask(UpdateKey { subscriber, application, key, body }).await?)
}

pub(super) async fn regenerate_secret(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    ok(face.ask(RegenerateSecret { subscriber, application, key }).await?)
}

pub(super) async fn remove(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
) -> Result<Stamped<()>, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    face.ask(RemoveKey { subscriber, application, key }).await
}

pub(super) async fn generate_token(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path((application, key)): Path<(String, String)>,
    Body(body): Body<GenerateTokenBody>,
) -> Result<Response, ApiError> {
    let (application, key) = (id("application", &application)?, key_ref(&key)?);
    ok(face.ask(GenerateToken { subscriber, application, key, body }).await?)
}
