//! Why the Store could not do what it was asked.

use portcullis_actor::AskError;
use portcullis_database::SubmitError;
use portcullis_model::Refused;
use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_model::port::IssueRefusal;
use std::time::Duration;

/// Why the Store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The request does not fit what there is.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The cluster refused, or could not decide.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Work aside failed, or the process is ending.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The Key Manager issued no token, or could not open a secret.
    #[error(transparent)]
    Issue(#[from] IssueRefusal),
    /// A password could not be checked or hashed now.
    #[error("the password cannot be checked now")]
    PasswordNotChecked,
    /// A reply could not be written as JSON.
    #[error("a reply could not be written")]
    Write(#[from] serde_json::Error),
}

impl Fault for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) | Self::Issue(IssueRefusal::Refused(refused)) => refused.code(),
            Self::Submit(error) => error.code(),
            Self::Ask(error) => error.code(),
            Self::Issue(IssueRefusal::NoSuchClient(_)) => "PC-2401",
            Self::Issue(IssueRefusal::Unavailable(_)) => "PC-2402",
            Self::Issue(IssueRefusal::CannotOpen) => "PC-2403",
            Self::Write(_) => "PC-2404",
            Self::PasswordNotChecked => "PC-2405",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Refused(refused) | Self::Issue(IssueRefusal::Refused(refused)) => refused.status(),
            Self::Submit(error) => error.status(),
            Self::Ask(error) => error.status(),
            Self::Issue(IssueRefusal::NoSuchClient(_)) => 404,
            Self::Issue(IssueRefusal::Unavailable(_)) | Self::PasswordNotChecked => 503,
            Self::Issue(IssueRefusal::CannotOpen) | Self::Write(_) => 500,
        }
    }

    fn at_fault(&self) -> AtFault {
        match self {
            Self::Refused(refused) | Self::Issue(IssueRefusal::Refused(refused)) => refused.at_fault(),
            Self::Submit(error) => error.at_fault(),
            Self::Ask(error) => error.at_fault(),
            Self::Issue(IssueRefusal::NoSuchClient(_)) => AtFault::Client,
            Self::Issue(_) | Self::Write(_) | Self::PasswordNotChecked => AtFault::Us,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Refused(refused) | Self::Issue(IssueRefusal::Refused(refused)) => refused.retry(),
            Self::Submit(error) => error.retry(),
            Self::Ask(error) => error.retry(),
            Self::Issue(IssueRefusal::Unavailable(_)) | Self::PasswordNotChecked => {
                Retry::After(Duration::from_secs(1))
            }
            Self::Issue(_) | Self::Write(_) => Retry::Never,
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Refused(refused) | Self::Issue(IssueRefusal::Refused(refused)) => refused.next_step(),
            Self::Submit(error) => error.next_step(),
            Self::Ask(error) => error.next_step(),
            Self::Issue(IssueRefusal::NoSuchClient(_)) => "Generate keys for the application first.".to_owned(),
            Self::Issue(IssueRefusal::Unavailable(_)) => "Ask for a token again in a second.".to_owned(),
            Self::Issue(IssueRefusal::CannotOpen) => {
                "Regenerate the secret; the old one was sealed by another cluster or is damaged.".to_owned()
            }
            Self::PasswordNotChecked => "Try again in a moment: too many sign-ins failed or wait.".to_owned(),
            Self::Write(_) => "Look into the node's log, then report it.".to_owned(),
        }
    }
}
