//! `/oauth2/register`: registration by RFC 7591, management by RFC 7592.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use portcullis_actor::{Address, OfRequest};
use portcullis_http::auth::identify;
use portcullis_http::{Signed, body};
use portcullis_model::ClientId;
use portcullis_model::port::Authentication;
use serde_json::{Map, Value};

use super::reply::unkept;
use crate::actor::KeyManager;
use crate::bound::REGISTRATION_BYTES_MAX;
use crate::client_metadata::{ManageClient, Management, RegisterClient};
use crate::oauth_error::OauthError;

/// The scopes by one of which somebody may register clients.
const SCOPE: &[&str] = &["apim:dcr:app_manage"];

#[derive(Clone)]
struct Desk {
    address: Address<KeyManager>,
    authentication: Arc<dyn Authentication>,
}

pub(super) fn routes(address: Address<KeyManager>, authentication: Arc<dyn Authentication>) -> Router {
    Router::new()
        .route("/oauth2/register", post(register))
        .route("/oauth2/register/{client_id}", get(read).put(change).delete(delete))
        .with_state(Desk { address, authentication })
}

async fn register(State(desk): State<Desk>, request: Request<Body>) -> Result<Response, OauthError> {
    let refused = |description: String| OauthError::invalid_token(description);
    let found = identify(desk.authentication.as_ref(), request.headers(), request.extensions()).await;
    let identity = found.map_err(|error| refused(error.description().to_owned()))?;
    let identity = identity.ok_or_else(|| refused("Send basic credentials or a bearer token of a user.".to_owned()))?;
    let signed = Signed(identity);
    signed.require(SCOPE).map_err(|error| OauthError::forbidden(error.description().to_owned()))?;
    let metadata = read_json(request).await?;
    let described = desk.address.ask(OfRequest::new(RegisterClient { caller: signed.0, metadata })).await??;
    Ok(unkept((StatusCode::CREATED, Json(described.metadata))))
}

async fn read(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, OauthError> {
    manage(&desk, id, &headers, Management::Read).await
}

async fn change(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, OauthError> {
    let headers = request.headers().clone();
    let metadata = read_json(request).await?;
    manage(&desk, id, &headers, Management::Change(metadata)).await
}

async fn delete(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, OauthError> {
    manage(&desk, id, &headers, Management::Delete).await
}

async fn manage(desk: &Desk, id: String, headers: &HeaderMap, action: Management) -> Result<Response, OauthError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, token) = header.trim().split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(OauthError::invalid_token("Send the registration access token as Bearer."));
    }
    let message = ManageClient { id: ClientId(id), token: token.trim().to_owned(), action };
    Ok(match desk.address.ask(OfRequest::new(message)).await?? {
        Some(described) => unkept(Json(described.metadata)),
        None => unkept(StatusCode::NO_CONTENT.into_response()),
    })
}

async fn read_json(request: Request<Body>) -> Result<Map<String, Value>, OauthError> {
    let (parts, content) = request.into_parts();
    let unreadable =
        |error: portcullis_http::ApiError| OauthError::told("invalid_client_metadata", error.description().to_owned());
    let bytes = body::read(&parts.headers, content, REGISTRATION_BYTES_MAX).await.map_err(unreadable)?;
    body::parse::<Map<String, Value>>(&bytes).map_err(unreadable)
}
