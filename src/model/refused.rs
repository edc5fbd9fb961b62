//! Why the state machine said no. A refusal is a value that is replicated, never an error of the log.

use serde::{Deserialize, Serialize};

use crate::fault::{AtFault, Fault, Retry};

/// A refusal of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// There is no such object.
    #[error("there is no {noun} {key}")]
    NotFound {
        /// The kind of object, `API`.
        noun: String,
        /// What was asked for.
        key: String,
    },
    /// Another object has that name or context.
    #[error("{noun} {key} exists already")]
    AlreadyExists {
        /// The kind of object.
        noun: String,
        /// The name, context or pair that is taken.
        key: String,
    },
    /// The object's state does not allow it.
    #[error("{reason}")]
    WrongState {
        /// What state it is in and what would be needed.
        reason: String,
    },
    /// A field's value is not acceptable to the state as it is.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: String,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// The object changed since the caller read it.
    #[error("{noun} {key} was changed by somebody else")]
    Stale {
        /// The kind of object.
        noun: String,
        /// Its id.
        key: String,
    },
    /// The principal may not do this.
    #[error("{reason}")]
    NotAllowed {
        /// What is missing.
        reason: String,
    },
    /// A bound of the system would be passed.
    #[error("{what}: at most {max}")]
    LimitReached {
        /// What there would be too many of.
        what: String,
        /// The bound.
        max: u64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used with a different request")]
    IdempotencyMismatch,
}

impl Refused {
    /// Makes a [`Refused::NotFound`].
    #[allow(clippy::needless_pass_by_value, reason = "callers pass ids and names as they have them")]
    pub fn not_found(noun: &str, key: impl ToString) -> Self {
        Self::NotFound { noun: noun.to_owned(), key: key.to_string() }
    }

    /// Makes a [`Refused::AlreadyExists`].
    #[allow(clippy::needless_pass_by_value, reason = "callers pass ids and names as they have them")]
    pub fn exists(noun: &str, key: impl ToString) -> Self {
        Self::AlreadyExists { noun: noun.to_owned(), key: key.to_string() }
    }

    /// Makes a [`Refused::WrongState`].
    pub fn wrong_state(reason: impl Into<String>) -> Self {
        Self::WrongState { reason: reason.into() }
    }

    /// Makes a [`Refused::Invalid`].
    pub fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.to_owned(), reason: reason.into() }
    }
}

impl Fault for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "PC-1404",
            Self::AlreadyExists { .. } => "PC-1409",
            Self::WrongState { .. } => "PC-1410",
            Self::Invalid { .. } => "PC-1400",
            Self::Stale { .. } => "PC-1412",
            Self::NotAllowed { .. } => "PC-1403",
            Self::LimitReached { .. } => "PC-1413",
            Self::IdempotencyMismatch => "PC-1422",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::NotFound { .. } => 404,
            Self::AlreadyExists { .. } | Self::WrongState { .. } => 409,
            Self::Invalid { .. } | Self::LimitReached { .. } => 400,
            Self::Stale { .. } => 412,
            Self::NotAllowed { .. } => 403,
            Self::IdempotencyMismatch => 422,
        }
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn next_step(&self) -> String {
        match self {
            Self::NotFound { noun, .. } => format!("List what there is, and use the id of an existing {noun}."),
            Self::AlreadyExists { noun, .. } => {
                format!("Choose another name or context, or change the existing {noun}.")
            }
            Self::WrongState { .. } => "Bring the object into the state that is needed, then try again.".to_owned(),
            Self::Invalid { .. } => "Correct the field and send the request again.".to_owned(),
            Self::Stale { .. } => "Read the object again, apply your change to what it is now, and send it.".to_owned(),
            Self::NotAllowed { .. } => "Ask an administrator for the role or scope.".to_owned(),
            Self::LimitReached { .. } => "Remove what is no longer needed, then try again.".to_owned(),
            Self::IdempotencyMismatch => "Use a new idempotency key for a new request.".to_owned(),
        }
    }
}
