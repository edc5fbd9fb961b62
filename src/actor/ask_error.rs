//! Why an actor did not answer. Refusals of the actor itself are in its answers, not here.

use std::time::Duration;

use portcullis_model::fault::{AtFault, Fault, Retry};

/// Why an actor did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// As many messages as it takes at a time are waiting or in work.
    #[error("{actor} is busy: {capacity} requests are in work already")]
    Busy {
        /// The actor's name.
        actor: &'static str,
        /// How many it takes at a time.
        capacity: usize,
    },
    /// It failed while it worked on the message, and was restarted.
    #[error("{actor} failed and was restarted; the request may have been carried out")]
    Restarted {
        /// The actor's name.
        actor: &'static str,
    },
    /// It has stopped, or is between a failure and its restart: the message was not delivered.
    #[error("{actor} is not running")]
    Stopped {
        /// The actor's name.
        actor: &'static str,
    },
}

impl Fault for AskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "PC-1520",
            Self::Restarted { .. } => "PC-1521",
            Self::Stopped { .. } => "PC-1522",
        }
    }

    fn status(&self) -> u16 {
        503
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Us
    }

    fn retry(&self) -> Retry {
        Retry::After(Duration::from_secs(1))
    }

    fn next_step(&self) -> String {
        match self {
            Self::Busy { .. } | Self::Stopped { .. } => "Try again in a second, on this or another node.".to_owned(),
            Self::Restarted { .. } => {
                "Read the object to see whether the change happened, or send the request again with the same Idempotency-Key.".to_owned()
            }
        }
    }
}
