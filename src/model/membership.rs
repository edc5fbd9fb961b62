//! Changes of the cluster's membership: what may be changed, the plan in which changes are gathered, and the rules that
//! stand against a change.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::time::Timestamp;

/// Changes that may be gathered in one plan: more nodes than a Raft group should have.
pub const PLANNED_CHANGES_MAX: usize = 64;

/// What a member does for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeRole {
    /// It votes: it counts for the majority, and may lead.
    Voter,
    /// It receives the log and does not vote.
    Learner,
}

impl NodeRole {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
        }
    }

    /// Finds the role of that word.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Voter, Self::Learner].into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A change of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    /// Takes a node out, for good.
    Remove {
        /// The node.
        node: NodeId,
    },
    /// Makes a node a voter, once it has caught up, or a learner.
    SetRole {
        /// The node.
        node: NodeId,
        /// What it is to be.
        role: NodeRole,
    },
    /// Takes `old` out as soon as `new` has caught up and has its role.
    Replace {
        /// The node that goes.
        old: NodeId,
        /// The node that comes; it is admitted already.
        new: NodeId,
    },
}

impl MembershipChange {
    /// Returns the node that the change is about: of two changes of one node in a plan the later one counts.
    #[must_use]
    pub fn subject(&self) -> NodeId {
        match *self {
            Self::Remove { node } | Self::SetRole { node, .. } | Self::Replace { old: node, .. } => node,
        }
    }
}

impl fmt::Display for MembershipChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove { node } => write!(f, "remove node {node}"),
            Self::SetRole { node, role } => write!(f, "make node {node} a {role}"),
            Self::Replace { old, new } => write!(f, "replace node {old} by node {new}"),
        }
    }
}

/// Changes that are gathered, to be shown and then made together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipPlan {
    /// Grows with every change of the plan: who applies it names the version that was shown.
    pub version: u64,
    /// The changes, in the order in which they were planned.
    pub changes: Vec<MembershipChange>,
}

/// That a node is to get no traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Since when.
    pub since: Timestamp,
    /// Who said so.
    pub by: String,
}

/// A rule that protects the cluster from a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// A majority of the voters must answer, now and after the change.
    Majority,
    /// A cluster keeps one voter.
    LastVoter,
    /// Who votes, leads or takes another's place has caught up.
    CaughtUp,
    /// One node takes traffic.
    LastReady,
    /// The authorities change one step at a time, and no step shuts a node out.
    Trust,
    /// Every node is known to understand a feature level before it is raised.
    FeatureLevel,
}

impl Rule {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::LastVoter => "last-voter",
            Self::CaughtUp => "caught-up",
            Self::LastReady => "last-ready",
            Self::Trust => "trust",
            Self::FeatureLevel => "feature-level",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Majority => "a majority of the voters must answer, now and after the change",
            Self::LastVoter => "a cluster keeps at least one voter",
            Self::CaughtUp => "who votes, leads or takes another's place must have caught up",
            Self::LastReady => "at least one node takes traffic",
            Self::Trust => "the certificate authority changes step by step, and no step shuts a node out",
            Self::FeatureLevel => "the feature level is raised only when every node is known to understand it",
        })
    }
}
