//! Recognises a retry: reads `Idempotency-Key` and makes the digest of the request that goes with it. What a repeated
//! key leads to is the state machine's to decide.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderName, Method};
use portcullis_model::limit::{IDEMPOTENCY_KEY_CHARS_MAX, MANAGEMENT_BODY_BYTES_MAX};
use portcullis_model::port::Identity;
use sha2::{Digest as _, Sha256};

use crate::body;
use crate::error::ApiError;

/// The header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A caller's key and the request it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key, 1 to 255 characters.
    pub key: String,
    /// The SHA-256 of method, path with query, and body.
    pub request: [u8; 32],
}

/// The key of the request, if the caller sent one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaybeKey(pub Option<RequestKey>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeKey {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<RequestKey>().cloned()))
    }
}

/// Notes the key with a request that has one. A request that reads only passes unchanged, and so does one of nobody: keys
/// are kept for who signed in, and a body is not held for anybody else.
///
/// # Errors
/// 400 where the key is not acceptable, and where the body cannot be read.
pub async fn recognised(request: Request) -> Result<Request, ApiError> {
    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_kept = is_write && request.extensions().get::<Identity>().is_some();
    let Some(header) = request.headers().get(&IDEMPOTENCY_KEY).filter(|_| is_kept) else { return Ok(request) };
    let key = header.to_str().map(str::trim).unwrap_or_default().to_owned();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
        return Err(ApiError::bad_request(format!(
            "Idempotency-Key: must be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters"
        )));
    }
    let (mut parts, content) = request.into_parts();
    let bytes = body::read(&parts.headers, content, MANAGEMENT_BODY_BYTES_MAX).await?;
    // Inside a nested router the path is cut; the whole one tells two APIs of one node apart.
    let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut digest = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), &bytes] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    parts.extensions.insert(RequestKey { key, request: digest.finalize().into() });
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use portcullis_model::Principal;

    use super::*;

    async fn key_of(path: &str, content: &str, key: &str) -> Result<RequestKey, ApiError> {
        let request = Request::builder().method("POST").uri(path).header(IDEMPOTENCY_KEY, key);
        let anna = Identity {
            principal: Principal::system(),
            roles: [].into(),
            scopes: [].into(),
            origin: None,
            is_token: false,
        };
        let request = request.extension(anna);
        let request = recognised(request.body(Body::from(content.to_owned())).unwrap()).await?;
        Ok(request.extensions().get::<RequestKey>().unwrap().clone())
    }

    #[tokio::test]
    async fn the_same_request_has_the_same_digest_and_another_one_has_not() {
        let first = key_of("/apis?x=1", "{}", "k").await.unwrap();
        assert_eq!(first, key_of("/apis?x=1", "{}", "k").await.unwrap());
        assert_ne!(first.request, key_of("/apis?x=2", "{}", "k").await.unwrap().request);
        assert_ne!(first.request, key_of("/apis?x=1", "{ }", "k").await.unwrap().request);
    }

    #[tokio::test]
    async fn the_body_of_somebody_who_did_not_sign_in_is_not_read_for_a_key() {
        let never_ends = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let request = Request::builder().method("POST").uri("/apis").header(IDEMPOTENCY_KEY, "k");
        let passed = recognised(request.body(never_ends).unwrap()).now_or_never().expect("nothing is waited for");
        assert!(passed.unwrap().extensions().get::<RequestKey>().is_none());
    }

    #[tokio::test]
    async fn a_key_that_is_too_long_is_refused() {
        assert_eq!(key_of("/apis", "", &"k".repeat(256)).await.unwrap_err().status(), 400);
    }
}
