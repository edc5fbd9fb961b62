//! Refusals of what is asked of the cluster, between the forms of the state machine, the wire and the port.

use portcullis_model::Refused;
use portcullis_model::cluster::ClusterRefusal;
use portcullis_model::membership::Rule;

use crate::transport::TaskRefusal;

/// Returns what a refusal of the state machine is to an operator.
pub(crate) fn refusal(refused: Refused) -> ClusterRefusal {
    match refused {
        Refused::NotAllowed { reason } => ClusterRefusal::NotAllowed(reason),
        other => ClusterRefusal::Invalid(other.to_string()),
    }
}

/// Returns that something cannot be done now.
pub(crate) fn unavailable(e: impl std::fmt::Display) -> ClusterRefusal {
    ClusterRefusal::Unavailable(e.to_string())
}

/// Returns that a rule stands against it.
pub(crate) fn against(rule: Rule, why: impl Into<String>) -> ClusterRefusal {
    ClusterRefusal::Protected { rule, why: why.into() }
}

impl From<TaskRefusal> for ClusterRefusal {
    fn from(refusal: TaskRefusal) -> Self {
        match refusal {
            TaskRefusal::NotLeader => unavailable("the leader changed meanwhile: try again"),
            TaskRefusal::NotAllowed(why) => Self::NotAllowed(why),
            TaskRefusal::NoSuchNode(node) => Self::NoSuchNode(node),
            TaskRefusal::Protected(why) => against(Rule::Majority, why),
            TaskRefusal::Invalid(why) => Self::Invalid(why),
            TaskRefusal::Unavailable(why) => Self::Unavailable(why),
            TaskRefusal::Against { rule, why } => Self::Protected { rule, why },
            TaskRefusal::OtherPlan { given, now } => Self::OtherPlan { given, now },
        }
    }
}

impl From<ClusterRefusal> for TaskRefusal {
    fn from(refusal: ClusterRefusal) -> Self {
        match refusal {
            ClusterRefusal::NotAllowed(why) => Self::NotAllowed(why),
            ClusterRefusal::NoSuchNode(node) => Self::NoSuchNode(node),
            ClusterRefusal::Protected { rule, why } => Self::Against { rule, why },
            ClusterRefusal::Invalid(why) => Self::Invalid(why),
            ClusterRefusal::Unavailable(why) => Self::Unavailable(why),
            ClusterRefusal::OtherPlan { given, now } => Self::OtherPlan { given, now },
        }
    }
}
