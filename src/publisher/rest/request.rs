//! What handlers take out of a request besides its body: who asks, how fresh, and query parameters with clear refusals.

use axum::extract::{FromRequestParts, Query};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::request::Parts;
use portcullis_database::Idempotency;
use portcullis_http::{ApiError, MaybeKey, Signed};
use portcullis_model::RequestId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::messages::{Asker, Consistency};

/// Characters that a role's name in a path may have once it is decoded.
const ROLE_CHARS_MAX: usize = 255;

/// Who asks, and with which headers.
#[derive(Clone, Debug)]
pub struct Request {
    signed: Signed,
    idempotency: Option<Idempotency>,
    consistency: Option<Consistency>,
    /// The headers.
    pub headers: HeaderMap,
}

#[derive(Deserialize)]
struct ConsistencyQuery {
    consistency: Option<String>,
}

impl Request {
    /// Checks the scopes and returns on whose behalf a single object is read, or something is written.
    ///
    /// # Errors
    /// 403 where the asker holds none of `scopes`.
    pub fn asker(&self, scopes: &[&str]) -> Result<Asker, ApiError> {
        self.asker_with(scopes, Consistency::Preferred)
    }

    /// Checks the scopes and returns on whose behalf a list is read, which may be a moment behind.
    ///
    /// # Errors
    /// 403 where the asker holds none of `scopes`.
    pub fn list_asker(&self, scopes: &[&str]) -> Result<Asker, ApiError> {
        self.asker_with(scopes, Consistency::Stale)
    }

    fn asker_with(&self, scopes: &[&str], default: Consistency) -> Result<Asker, ApiError> {
        self.signed.require(scopes)?;
        Ok(Asker {
            identity: self.signed.0.clone(),
            idempotency: self.idempotency.clone(),
            consistency: self.consistency.unwrap_or(default),
            request: RequestId::current(),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Request {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let signed = Signed::from_request_parts(parts, state).await?;
        let Ok(MaybeKey(key)) = MaybeKey::from_request_parts(parts, state).await;
        let Params(query) = Params::<ConsistencyQuery>::from_request_parts(parts, state).await?;
        let consistency = match query.consistency.as_deref() {
            None => None,
            Some("linearizable" | "leader") => Some(Consistency::Linearizable),
            Some("stale") => Some(Consistency::Stale),
            Some(other) => {
                let reason = format!("consistency: is `{other}`; linearizable, leader and stale are possible");
                return Err(ApiError::bad_request(reason));
            }
        };
        let idempotency = key.map(|key| Idempotency { key: key.key, request: key.request });
        Ok(Self { signed, idempotency, consistency, headers: parts.headers.clone() })
    }
}

/// Query parameters; 400 with the contract's body where one is missing or not readable.
#[derive(Clone, Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let uri = parts.uri.clone();
        Query::try_from_uri(&uri)
            .map(|Query(query)| Self(query))
            .map_err(|rejection| ApiError::bad_request(format!("query parameters: {}", rejection.body_text())))
    }
}

/// Returns a query parameter that must be there.
///
/// # Errors
/// 400 where it is missing or empty.
pub fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::bad_request(format!("the query parameter {name} must be there")))
}

/// Reads a query parameter that is true or false; absent means false.
///
/// # Errors
/// 400 for anything else.
pub fn flag(name: &str, value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(ApiError::bad_request(format!("{name}: must be true or false, not `{other}`"))),
    }
}

/// Returns the role that a path names: as it is, or in base64, as the original's clients send it.
#[must_use]
pub fn role_of_path(text: &str) -> Vec<String> {
    let mut names = vec![text.to_owned()];
    let decoded =
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].into_iter().find_map(|form| form.decode(text).ok());
    if let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok())
        && decoded.chars().count() <= ROLE_CHARS_MAX
    {
        // The contract's own example ends in a tab.
        names.push(decoded.trim().to_owned());
    }
    names
}
