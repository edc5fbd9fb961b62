//! Answers other nodes for this one's key manager. Only nodes of the cluster get here.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use portcullis_model::port::{ApiKeyOrder, Authentication, Credentials, KeyValidation, OauthFace, TokenIssuer};

use tracing::debug;

use super::wire::{
    self, AUTHENTICATE, Authenticated, ISSUE, ISSUE_API_KEY, Issued, IssuedKey, OAUTH, Order, Question, SPEND, Shown,
    Spending, Spent, VALIDATE, Validated,
};

/// Bytes of a request: an OAuth form is the largest, and the gateway takes 64 KiB of it.
const REQUEST_BYTES_MAX: usize = 128 << 10;

/// Whom the answers come from.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) keys: Arc<dyn KeyValidation>,
    pub(crate) authentication: Arc<dyn Authentication>,
    pub(crate) issuer: Arc<dyn TokenIssuer>,
    pub(crate) oauth: Arc<dyn OauthFace>,
}

/// Returns the routes, to be mounted at [`super::PATH`] on the port between nodes, and nowhere else: they ask for no
/// credentials.
pub(crate) fn routes(ports: Ports) -> Router {
    Router::new()
        .route(VALIDATE, post(validate))
        .route(SPEND, post(spend))
        .route(AUTHENTICATE, post(authenticate))
        .route(ISSUE, post(issue))
        .route(ISSUE_API_KEY, post(issue_api_key))
        .route(&format!("{OAUTH}/{{*path}}"), any(oauth))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(ports)
}

async fn validate(State(ports): State<Ports>, Json(asked): Json<Question>) -> Json<Validated> {
    let judged = ports.keys.validate(asked.as_asked()).await;
    debug!(api = %asked.api, is_good = judged.is_ok(), "a key was judged for another node");
    Json(judged.into())
}

async fn spend(State(ports): State<Ports>, Json(asked): Json<Spending>) -> Json<Spent> {
    Json(ports.keys.spend(&asked.token, asked.until).await.into())
}

async fn authenticate(State(ports): State<Ports>, Json(shown): Json<Shown>) -> Json<Authenticated> {
    let (credentials, origin) = match &shown {
        Shown::Basic { username, password, origin } => (Credentials::Basic { username, password }, *origin),
        Shown::Bearer(token) => (Credentials::Bearer(token), None),
        Shown::SignIn(cookie) => (Credentials::SignIn(cookie), None),
    };
    Json(ports.authentication.authenticate_from(credentials, origin).await)
}

async fn issue(State(ports): State<Ports>, Json(order): Json<Order>) -> Json<Issued> {
    Json(ports.issuer.issue(&order.client, order.scopes, order.validity_s).await)
}

async fn issue_api_key(State(ports): State<Ports>, Json(order): Json<ApiKeyOrder>) -> Json<IssuedKey> {
    Json(ports.issuer.issue_api_key(order).await)
}

/// Hands a call of a gateway to the OAuth face, as the gateway got it.
async fn oauth(State(ports): State<Ports>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let target = parts.uri.path_and_query().map_or("/", |whole| whole.as_str());
    // Below another router the prefix may be gone already.
    let at = target.find(OAUTH).map_or(0, |found| found + OAUTH.len());
    let Ok(uri) = target[at..].parse::<Uri>() else { return StatusCode::BAD_REQUEST.into_response() };
    parts.uri = uri;
    if let Some(client) = wire::take_client(&mut parts.headers) {
        parts.extensions.insert(client);
    }
    if let Some(shown) = wire::take_certificates(&mut parts.headers) {
        parts.extensions.insert(shown);
    }
    ports.oauth.call(http::Request::from_parts(parts, body)).await.map(Body::from)
}
