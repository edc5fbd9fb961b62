//! Errors of the OAuth endpoints (RFC 6749, section 5.2), as values. How they are written on the wire is the face's.

use std::borrow::Cow;

use portcullis_database::SubmitError;
use portcullis_model::Refused;

use crate::keyring::NoSigningKey;

/// An error of an OAuth endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct OauthError {
    /// The error code of the RFC, such as `invalid_client`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do, for people.
    pub description: Cow<'static, str>,
}

type Text = Cow<'static, str>;

impl OauthError {
    fn new(code: &'static str, status: u16, description: impl Into<Text>) -> Self {
        Self { code, status, description: description.into() }
    }

    pub(crate) fn invalid_request(description: impl Into<Text>) -> Self {
        Self::new("invalid_request", 400, description)
    }

    /// A body that is too large, too slow or broken off.
    pub(crate) fn unreadable(status: u16, description: impl Into<Text>) -> Self {
        Self::new("invalid_request", status, description)
    }

    pub(crate) fn invalid_client() -> Self {
        Self::new("invalid_client", 401, "A valid OAuth client could not be found for the client id and secret given.")
    }

    /// An authorization request whose client cannot be told.
    pub(crate) fn unknown_client() -> Self {
        Self::new("invalid_request", 400, "The client_id is not that of a registered client.")
    }

    /// An error of one of the later documents, by its own code.
    pub(crate) fn told(code: &'static str, description: impl Into<Text>) -> Self {
        Self::new(code, 400, description)
    }

    pub(crate) fn invalid_grant(description: impl Into<Text>) -> Self {
        Self::new("invalid_grant", 400, description)
    }

    pub(crate) fn unauthorized_client(description: impl Into<Text>) -> Self {
        Self::new("unauthorized_client", 400, description)
    }

    pub(crate) fn unsupported_grant_type(description: impl Into<Text>) -> Self {
        Self::new("unsupported_grant_type", 400, description)
    }

    pub(crate) fn invalid_scope(description: impl Into<Text>) -> Self {
        Self::new("invalid_scope", 400, description)
    }

    pub(crate) fn invalid_token(description: impl Into<Text>) -> Self {
        Self::new("invalid_token", 401, description)
    }

    pub(crate) fn insufficient_scope(description: impl Into<Text>) -> Self {
        Self::new("insufficient_scope", 403, description)
    }

    /// A form that did not come from a page of this server.
    pub(crate) fn forbidden(description: impl Into<Text>) -> Self {
        Self::new("access_denied", 403, description)
    }

    pub(crate) fn too_many(description: impl Into<Text>) -> Self {
        Self::new("temporarily_unavailable", 429, description)
    }

    pub(crate) fn unavailable(description: impl Into<Text>) -> Self {
        Self::new("temporarily_unavailable", 503, description)
    }

    pub(crate) fn server_error() -> Self {
        Self::new("server_error", 500, "The key manager failed; its log says why.")
    }
}

impl From<SubmitError> for OauthError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(Refused::LimitReached { .. }) => Self::too_many(error.to_string()),
            SubmitError::Refused(refused) => Self::invalid_request(refused.to_string()),
            SubmitError::Propose(cause) => Self::unavailable(format!("The token could not be stored: {cause}.")),
            SubmitError::Codec(cause) => {
                tracing::error!(%cause, "a token could not be written as a record");
                Self::server_error()
            }
        }
    }
}

impl From<NoSigningKey> for OauthError {
    fn from(error: NoSigningKey) -> Self {
        match error {
            NoSigningKey::Submit(cause) => cause.into(),
            NoSigningKey::CannotOpen(_) | NoSigningKey::CannotMake => {
                tracing::error!(%error, "no token can be signed");
                Self::server_error()
            }
        }
    }
}
