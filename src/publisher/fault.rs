//! Why the Publisher says no, and how that looks in the REST contract. It does not decide anything.

use portcullis_actor::AskError;
use portcullis_database::SubmitError;
use portcullis_http::{ApiError, ClientError};
use portcullis_model::Refused;
use portcullis_model::fault::{AtFault, Fault, Retry};

/// Faults of one request that are listed in an answer; the rest is counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// The original's number for a definition that cannot be read.
pub(crate) const DEFINITION_UNREADABLE: u32 = 900_754;
/// The original's number for an API whose name and version exist.
const API_EXISTS: u32 = 900_250;
/// The original's number for a context that another API has.
const CONTEXT_EXISTS: u32 = 900_251;

/// Something wrong with one field or place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's path (`operations[2].verb`) or the place in a definition (`line 3, column 7`, `paths./menu.get`).
    pub place: String,
    /// What is wrong, and what is accepted.
    pub reason: String,
}

impl FieldFault {
    /// Makes a fault.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    /// Returns place and reason as one text.
    #[must_use]
    pub fn text(&self) -> String {
        if self.place.is_empty() { self.reason.clone() } else { format!("{}: {}", self.place, self.reason) }
    }
}

/// Why the Publisher did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The state machine said no, or the cluster could not say yes.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The actor did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Fields of the request are not acceptable.
    #[error("{} field(s) are not acceptable: {}", .0.len(), first_of(.0))]
    Fields(Vec<FieldFault>),
    /// An API definition is not acceptable.
    #[error("the API definition is not acceptable in {} place(s): {}", .0.len(), first_of(.0))]
    Definition(Vec<FieldFault>),
    /// Another system that was asked did not do it.
    #[error("{system} did not do what it was asked: {source}")]
    Elsewhere {
        /// What people call the system.
        system: String,
        /// Why.
        source: ClientError,
    },
}

fn first_of(faults: &[FieldFault]) -> String {
    faults.first().map(FieldFault::text).unwrap_or_default()
}

impl PublisherError {
    /// Makes an error of one field.
    pub fn field(place: &str, reason: impl Into<String>) -> Self {
        Self::Fields(vec![FieldFault::new(place, reason)])
    }
}

impl Fault for PublisherError {
    fn code(&self) -> &'static str {
        match self {
            Self::Submit(error) => error.code(),
            Self::Ask(error) => error.code(),
            Self::Fields(_) => "PC-2101",
            Self::Definition(_) => "PC-2102",
            Self::Elsewhere { .. } => "PC-2103",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Submit(error) => error.status(),
            Self::Ask(error) => error.status(),
            Self::Fields(_) | Self::Definition(_) => 400,
            Self::Elsewhere { .. } => 502,
        }
    }

    fn at_fault(&self) -> AtFault {
        match self {
            Self::Submit(error) => error.at_fault(),
            Self::Ask(error) => error.at_fault(),
            Self::Fields(_) | Self::Definition(_) => AtFault::Client,
            Self::Elsewhere { .. } => AtFault::Upstream,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Submit(error) => error.retry(),
            Self::Ask(error) => error.retry(),
            Self::Fields(_) | Self::Definition(_) | Self::Elsewhere { .. } => Retry::Never,
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Submit(error) => error.next_step(),
            Self::Ask(error) => error.next_step(),
            Self::Fields(_) => "Correct the fields that are named and send the request again.".to_owned(),
            Self::Elsewhere { .. } => {
                "Look at the other system, and at how it is named in the configuration; then send the request again."
                    .to_owned()
            }
            Self::Definition(_) => "Correct the document at the places that are named and send it again.".to_owned(),
        }
    }
}

impl From<Refused> for PublisherError {
    fn from(refused: Refused) -> Self {
        Self::Submit(SubmitError::Refused(refused))
    }
}

impl From<PublisherError> for ApiError {
    fn from(error: PublisherError) -> Self {
        match error {
            PublisherError::Submit(SubmitError::Refused(refused)) => refusal(refused),
            PublisherError::Submit(error) => Self::from_fault(&error),
            PublisherError::Ask(error) => Self::from_fault(&error),
            PublisherError::Elsewhere { .. } => Self::from_fault(&error),
            PublisherError::Fields(faults) => listed(400, "Bad Request", &faults),
            PublisherError::Definition(faults) => {
                listed(DEFINITION_UNREADABLE, "Error while parsing OpenAPI definition", &faults)
            }
        }
    }
}

fn refusal(refused: Refused) -> ApiError {
    match &refused {
        Refused::AlreadyExists { noun, key } if noun == "API" => {
            ApiError::new(409, API_EXISTS, "The API already exists.", format!("The API {key} already exists."))
        }
        Refused::AlreadyExists { noun, key } if noun == "API context" => {
            let what = format!("A duplicate API context already exists for {key}.");
            ApiError::new(409, CONTEXT_EXISTS, "The API context already exists.", what)
        }
        Refused::Invalid { field, reason } => {
            ApiError::bad_request(format!("{field}: {reason}")).with_item(field.clone(), reason.clone())
        }
        _ => ApiError::from(refused),
    }
}

fn listed(code: u32, message: &str, faults: &[FieldFault]) -> ApiError {
    let first = first_of(faults);
    let more = faults.len().saturating_sub(1);
    let description = if more == 0 { first } else { format!("{first} (and {more} more)") };
    faults.iter().take(FAULTS_SHOWN_MAX).fold(ApiError::new(400, code, message, description), |error, fault| {
        error.with_item(fault.place.clone(), fault.reason.clone())
    })
}
