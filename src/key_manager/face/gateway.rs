//! The OAuth endpoints as gateways offer them: `/token`, `/revoke`, `/userinfo` on the gateway's own ports.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Redirect};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use portcullis_model::port::{OauthFace, PortFuture};
use tower::ServiceExt as _;

use super::form::AskedPath;
use crate::bound::ANSWER_BYTES_MAX;
use crate::oauth_error::OauthError;

/// The Key Manager's end of [`OauthFace`].
pub(crate) struct GatewayFace {
    router: Router,
    base_url: String,
}

impl GatewayFace {
    /// Serves what `router` serves below `/oauth2`. Browsers are sent to the pages at `base_url`.
    pub fn new(router: Router, base_url: &str) -> Self {
        Self { router, base_url: base_url.to_owned() }
    }
}

impl OauthFace for GatewayFace {
    fn call(&self, request: Request<Bytes>) -> PortFuture<'_, Response<Bytes>> {
        let router = self.router.clone();
        if request.uri().path() == "/authorize" {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            // The same method with the same form: the pages and their cookies live on one origin.
            let pages = Redirect::temporary(&format!("{}/oauth2/authorize{query}", self.base_url));
            return Box::pin(whole(pages.into_response()));
        }
        Box::pin(async move { whole(answer(router, request).await).await })
    }
}

/// Reads an answer whole, as gateways take it.
pub(crate) async fn whole(response: Response<Body>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    match to_bytes(body, ANSWER_BYTES_MAX).await {
        Ok(bytes) => Response::from_parts(parts, bytes),
        Err(cause) => {
            tracing::error!(%cause, "an answer of the key manager could not be read");
            let mut failed = Response::new(Bytes::from_static(b"{\"error\":\"server_error\"}"));
            *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            failed.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            failed
        }
    }
}

async fn answer(router: Router, request: Request<Bytes>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let path = match parts.uri.path() {
        "/token" => "/oauth2/token",
        "/revoke" => "/oauth2/revoke",
        "/userinfo" => "/oauth2/userinfo",
        _ => return http::StatusCode::NOT_FOUND.into_response(),
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(uri) = format!("{path}{query}").parse::<Uri>() else {
        return OauthError::invalid_request("The query is not valid.").into_response();
    };
    parts.extensions.insert(AskedPath(parts.uri.path().to_owned()));
    parts.uri = uri;
    match router.oneshot(Request::from_parts(parts, Body::from(body))).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
