//! Why Admin did not do what it was asked.

use std::time::Duration;

use portcullis_actor::AskError;
use portcullis_database::SubmitError;
use portcullis_database::codec::CodecError;
use portcullis_http::{ApiError, Problem};
use portcullis_model::Refused;
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_model::membership::Rule;

/// Why Admin did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The state machine said no, or the cluster could not say yes.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The cluster refuses a change of its membership.
    #[error(transparent)]
    Cluster(#[from] ClusterRefusal),
    /// The actor did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The state could not be put into the form of which digests are made.
    #[error("the state's digest cannot be made: {0}")]
    Digest(#[source] CodecError),
    /// Work on a thread of its own was lost.
    #[error("the work on {0} was lost")]
    WorkLost(&'static str),
}

impl From<Refused> for AdminError {
    fn from(refused: Refused) -> Self {
        Self::Submit(SubmitError::Refused(refused))
    }
}

impl Fault for AdminError {
    fn code(&self) -> &'static str {
        match self {
            Self::Submit(error) => error.code(),
            Self::Ask(error) => error.code(),
            Self::Cluster(ClusterRefusal::NotAllowed(_)) => "PC-1601",
            Self::Cluster(ClusterRefusal::NoSuchNode(_)) => "PC-1602",
            Self::Cluster(ClusterRefusal::Protected { .. }) => "PC-1603",
            Self::Cluster(ClusterRefusal::Invalid(_)) => "PC-1604",
            Self::Cluster(ClusterRefusal::Unavailable(_)) => "PC-1605",
            Self::Cluster(ClusterRefusal::OtherPlan { .. }) => "PC-1608",
            Self::Digest(_) => "PC-1606",
            Self::WorkLost(_) => "PC-1607",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Submit(error) => error.status(),
            Self::Ask(error) => error.status(),
            Self::Cluster(ClusterRefusal::NotAllowed(_)) => 403,
            Self::Cluster(ClusterRefusal::NoSuchNode(_)) => 404,
            Self::Cluster(ClusterRefusal::Protected { .. }) => 409,
            Self::Cluster(ClusterRefusal::OtherPlan { .. }) => 412,
            Self::Cluster(ClusterRefusal::Invalid(_)) => 400,
            Self::Cluster(ClusterRefusal::Unavailable(_)) => 503,
            Self::Digest(_) | Self::WorkLost(_) => 500,
        }
    }

    fn at_fault(&self) -> AtFault {
        match self {
            Self::Submit(error) => error.at_fault(),
            Self::Cluster(ClusterRefusal::Unavailable(_)) | Self::Ask(_) | Self::Digest(_) | Self::WorkLost(_) => {
                AtFault::Us
            }
            Self::Cluster(_) => AtFault::Client,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Submit(error) => error.retry(),
            Self::Ask(error) => error.retry(),
            Self::Cluster(ClusterRefusal::Unavailable(_)) | Self::WorkLost(_) => Retry::After(Duration::from_secs(1)),
            Self::Cluster(_) | Self::Digest(_) => Retry::Never,
        }
    }

    fn next_step(&self) -> String {
        let text = match self {
            Self::Submit(error) => return error.next_step(),
            Self::Ask(error) => return error.next_step(),
            Self::Cluster(ClusterRefusal::NotAllowed(_)) => {
                "Make a new token with `portcullis cluster token create` and join with that."
            }
            Self::Cluster(ClusterRefusal::NoSuchNode(_)) => "List the nodes with `portcullis cluster status`.",
            Self::Cluster(ClusterRefusal::Protected { rule, .. }) => step_against(*rule),
            Self::Cluster(ClusterRefusal::OtherPlan { .. }) => {
                "Look at it with `portcullis cluster plan show`, and apply the version that it names."
            }
            Self::Cluster(ClusterRefusal::Invalid(_)) => "Correct the request and send it again.",
            Self::Cluster(ClusterRefusal::Unavailable(_)) => {
                "Run `portcullis cluster status`: a majority of the voters must run. Then try again."
            }
            Self::Digest(_) => {
                "Try again; if it lasts, restart this node, and compare its digest with the other nodes'."
            }
            Self::WorkLost(_) => "Try again; the node may be stopping.",
        };
        text.to_owned()
    }

    fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Cluster(ClusterRefusal::Protected { rule, .. }) => Some(rule.name()),
            _ => None,
        }
    }
}

/// Returns what to do where a rule stands against a change.
fn step_against(rule: Rule) -> &'static str {
    match rule {
        Rule::Majority => "Bring another node up first, or repeat with force if what is lost may be lost.",
        Rule::LastVoter => "Join another node and wait until it votes (`portcullis cluster status`).",
        Rule::CaughtUp => "See how far it is with `portcullis cluster node list`, and try again when it has caught up.",
        Rule::Trust => "See how far the rotation is with `portcullis cluster certificate list`.",
        Rule::FeatureLevel => {
            "Start the nodes that do not answer, or remove them; `portcullis cluster upgrade check` shows each."
        }
        Rule::LastReady => "Undrain or add another node first, or repeat with force: then no node is ready.",
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        Self::from_fault(&error)
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        Self::from_fault(&error)
    }
}
