//! How answers of the OAuth endpoints are written: JSON that nobody keeps, errors as RFC 6749 and RFC 6750 have them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use portcullis_actor::AskError;
use serde_json::json;

use crate::oauth_error::OauthError;

/// An answer that must not be kept by anybody on the way.
pub(super) fn unkept(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

impl From<AskError> for OauthError {
    fn from(error: AskError) -> Self {
        Self::unavailable(format!("{error}; try again in a second."))
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut response = unkept((status, Json(body)));
        let headers = response.headers_mut();
        let challenge = match self.code {
            "invalid_client" => Some("Basic realm=\"Portcullis\""),
            "invalid_token" => Some("Bearer realm=\"Portcullis\", error=\"invalid_token\""),
            "insufficient_scope" => Some("Bearer realm=\"Portcullis\", error=\"insufficient_scope\", scope=\"openid\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.code == "temporarily_unavailable" {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
