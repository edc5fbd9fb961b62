//! Why a call to another node brought no result, told apart so that the command line can say what to do.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use rustls::CertificateError;
use serde_json::Value;

use crate::tls::WrongAuthority;

/// Why a call brought no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's URL is not one that can be called.
    #[error("{url}: {reason}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection: nothing listens there, or the name or the way is unknown.
    #[error("cannot connect to {server}: {source}")]
    CannotConnect {
        /// Host and port.
        server: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TLS handshake failed: another authority, another name, no TLS at all.
    #[error("cannot speak TLS with {server}: {}", explain_tls(source))]
    Tls {
        /// Host and port.
        server: String,
        /// What is wrong; holds a `rustls::Error` where the certificate is.
        source: std::io::Error,
    },
    /// No answer in time. What was asked for may still happen.
    #[error("{server} did not answer within {after:?}")]
    TimedOut {
        /// Host and port.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke before the answer was whole. What was asked for may have happened.
    #[error("the connection to {server} broke: {source}")]
    Lost {
        /// Host and port.
        server: String,
        /// What broke it.
        source: hyper::Error,
    },
    /// The server answered with an error.
    #[error("{status}: {error}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        error: Box<ErrorReply>,
        /// The headers (`Retry-After`, `X-Request-Id`).
        headers: Box<HeaderMap>,
    },
    /// The reply is larger than what is read.
    #[error("the reply is larger than {0} bytes")]
    TooLarge(usize),
    /// What was sent or came back is not the JSON that is expected.
    #[error("the reply is not what was expected: {0}")]
    NotJson(#[source] serde_json::Error),
}

impl ClientError {
    /// Returns the status, where the server answered with an error.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Says whether the server's certificate was not believed.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        let Self::Tls { source, .. } = self else { return false };
        certificate_error(source).is_some()
    }

    /// Says whether the server has another certificate authority than the one that was pinned.
    #[must_use]
    pub fn is_wrong_authority(&self) -> bool {
        let Self::Tls { source, .. } = self else { return false };
        wrong_authority(source).is_some()
    }
}

fn certificate_error(error: &std::io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(cause) => Some(cause),
        _ => None,
    }
}

fn wrong_authority(error: &std::io::Error) -> Option<&WrongAuthority> {
    match certificate_error(error)? {
        CertificateError::Other(cause) => cause.0.downcast_ref::<WrongAuthority>(),
        _ => None,
    }
}

fn explain_tls(error: &std::io::Error) -> String {
    wrong_authority(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// An error body, of whichever of the three forms: the WSO2 contracts' (`message`, `description`), problem details
/// (`title`, `detail`), OAuth 2 (`error`, `error_description`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorReply {
    /// The stable code, as text.
    pub code: String,
    /// What kind of error.
    pub title: String,
    /// What happened.
    pub detail: String,
    /// What to do.
    pub next_step: String,
}

impl ErrorReply {
    /// Reads an error body; a text that is none of the three becomes the detail, cut to 500 characters.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(bytes) else {
            let detail = String::from_utf8_lossy(bytes).chars().take(500).collect();
            return Self { detail, ..Self::default() };
        };
        let text = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| match body.get(*name) {
                Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            });
            found.next().unwrap_or_default()
        };
        Self {
            code: text(&["moreInfo", "code", "error"]),
            title: text(&["title", "message", "error"]),
            detail: text(&["detail", "description", "error_description"]),
            next_step: text(&["next_step"]),
        }
    }
}

impl std::fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_error_bodies_are_understood() {
        let read = |value: serde_json::Value| ErrorReply::read(value.to_string().as_bytes());
        let contract = read(serde_json::json!({"code": 409, "message": "Conflict", "description": "taken",
            "moreInfo": "PC-1409", "error": []}));
        assert_eq!((contract.code.as_str(), contract.detail.as_str()), ("PC-1409", "taken"));
        let problem = read(serde_json::json!({"title": "Not Found", "detail": "no node 7", "code": "PC-1404",
            "next_step": "List them."}));
        assert_eq!((problem.code.as_str(), problem.next_step.as_str()), ("PC-1404", "List them."));
        let oauth = read(serde_json::json!({"error": "invalid_client", "error_description": "unknown client"}));
        assert_eq!((oauth.title.as_str(), oauth.detail.as_str()), ("invalid_client", "unknown client"));
        assert_eq!(ErrorReply::read(b"bad gateway").to_string(), "bad gateway");
    }
}
