//! What waits for an administrator's decision: the original's workflows, with its approval executor.

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, ApplicationId, RevisionId, SubscriptionId, TaskId};
use crate::lifecycle::{Lifecycle, LifecycleAction};
use crate::revision::Deployment;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::{Principal, Username};

/// Tasks of one tenant that wait at a time.
pub const TASKS_MAX: usize = 10_000;

/// What can be made to wait for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskKind {
    /// A new application.
    ApplicationCreation,
    /// A new subscription.
    SubscriptionCreation,
    /// Somebody who signs up.
    UserSignUp,
    /// A change of an API's state.
    ApiState,
    /// A deployment of a revision.
    RevisionDeployment,
}

impl TaskKind {
    /// All of them, with their names in the REST contract and in the original's list of executors.
    pub const ALL: [(Self, &str, &str); 5] = [
        (Self::ApplicationCreation, "APPLICATION_CREATION", "ApplicationCreation"),
        (Self::SubscriptionCreation, "SUBSCRIPTION_CREATION", "SubscriptionCreation"),
        (Self::UserSignUp, "USER_SIGNUP", "UserSignUp"),
        (Self::ApiState, "API_STATE", "APIStateChange"),
        (Self::RevisionDeployment, "REVISION_DEPLOYMENT", "RevisionDeployment"),
    ];

    /// The name in the REST contract.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, contract, _)| contract)
    }

    /// Returns the kind of a name: `AM_API_STATE`, `API_STATE` or `APIStateChange`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let bare = text.strip_prefix("AM_").unwrap_or(text);
        let is_meant = |(_, contract, executor): &&(Self, &str, &str)| *contract == bare || *executor == text;
        Self::ALL.iter().find(is_meant).map(|(kind, ..)| *kind)
    }

    /// Says whether a change of an API's state waits, where such changes do: as in the original's configuration, the
    /// publication of what was never published, and blocking.
    #[must_use]
    pub fn holds(from: Lifecycle, action: LifecycleAction) -> bool {
        matches!(
            (from, action),
            (Lifecycle::Created, LifecycleAction::Publish) | (Lifecycle::Published, LifecycleAction::Block)
        )
    }
}

/// What is decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskSubject {
    /// An application.
    Application(ApplicationId),
    /// A subscription.
    Subscription(SubscriptionId),
    /// Somebody who signed up.
    User(Username),
    /// A change of an API's state.
    ApiState {
        /// The API.
        api: ApiId,
        /// What to do.
        action: LifecycleAction,
        /// Whether older published versions become deprecated.
        deprecates_old_versions: bool,
        /// Whether subscribers of older versions must subscribe anew.
        requires_resubscription: bool,
    },
    /// A deployment of a revision to one environment.
    Deployment {
        /// The API.
        api: ApiId,
        /// The revision.
        revision: RevisionId,
        /// Where to.
        deployment: Deployment,
    },
}

impl TaskSubject {
    /// Which kind of task it makes.
    #[must_use]
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Application(_) => TaskKind::ApplicationCreation,
            Self::Subscription(_) => TaskKind::SubscriptionCreation,
            Self::User(_) => TaskKind::UserSignUp,
            Self::ApiState { .. } => TaskKind::ApiState,
            Self::Deployment { .. } => TaskKind::RevisionDeployment,
        }
    }

    /// The API that it is about, if it is about one.
    #[must_use]
    pub fn api(&self) -> Option<ApiId> {
        match self {
            Self::ApiState { api, .. } | Self::Deployment { api, .. } => Some(*api),
            _ => None,
        }
    }
}

/// Something that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The id.
    pub id: TaskId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// What is decided about.
    pub subject: TaskSubject,
    /// What is asked, for people.
    pub description: String,
    /// Facts about it, by name.
    pub properties: Vec<(String, String)>,
    /// Who asks.
    pub asked_by: Principal,
    /// Since when it waits.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_three_names() {
        for (kind, contract, executor) in TaskKind::ALL {
            assert_eq!(kind.as_contract(), contract);
            assert_eq!([TaskKind::named(contract), TaskKind::named(executor)], [Some(kind); 2]);
            assert_eq!(TaskKind::named(&format!("AM_{contract}")), Some(kind));
        }
        assert_eq!(TaskKind::named("AM_APPLICATION_DELETION"), None);
    }
}
