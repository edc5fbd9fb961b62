//! Counters of the Traffic Manager: what is counted, and for whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, ApplicationId};
use crate::policy::PolicyLevel;
use crate::tenant::TenantDomain;
use crate::user::Username;

/// Which level a counter belongs to, and so which code a refusal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterLevel {
    /// Business plan (900804).
    Subscription,
    /// Application policy (900803).
    Application,
}

impl CounterLevel {
    /// Returns the level of the policies that limit such counters.
    #[must_use]
    pub fn policy_level(self) -> PolicyLevel {
        match self {
            Self::Subscription => PolicyLevel::Subscription,
            Self::Application => PolicyLevel::Application,
        }
    }
}

/// Names one counter: who is limited by which policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterKey {
    /// The tenant whose policy it is.
    pub tenant: TenantDomain,
    /// The policy's name; its level follows from the subject.
    pub policy: String,
    /// Who is limited.
    pub subject: CounterSubject,
}

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterSubject {
    /// An application calling one API: the original's `{applicationId}:{context}:{version}`.
    Subscription {
        /// The application.
        application: ApplicationId,
        /// The API (one version).
        api: ApiId,
    },
    /// An application and its end user: the original's `{applicationId}:{username}`.
    Application {
        /// The application.
        application: ApplicationId,
        /// The end user, or the application's owner for its own tokens.
        user: Username,
    },
}

impl CounterKey {
    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> CounterLevel {
        match self.subject {
            CounterSubject::Subscription { .. } => CounterLevel::Subscription,
            CounterSubject::Application { .. } => CounterLevel::Application,
        }
    }

    /// Returns the application that is limited, where it is one.
    #[must_use]
    pub fn application(&self) -> Option<ApplicationId> {
        match &self.subject {
            CounterSubject::Subscription { application, .. } | CounterSubject::Application { application, .. } => {
                Some(*application)
            }
        }
    }

    /// Returns the user who is limited, where it is one.
    #[must_use]
    pub fn user(&self) -> Option<&Username> {
        match &self.subject {
            CounterSubject::Application { user, .. } => Some(user),
            CounterSubject::Subscription { .. } => None,
        }
    }

    /// Returns the tenant, level and name of the policy that limits it.
    #[must_use]
    pub fn policy_key(&self) -> (TenantDomain, PolicyLevel, String) {
        (self.tenant.clone(), self.level().policy_level(), self.policy.clone())
    }
}

impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            CounterSubject::Subscription { application, api } => {
                write!(f, "{}/subscription/{}/{application}:{api}", self.tenant, self.policy)
            }
            CounterSubject::Application { application, user } => {
                write!(f, "{}/application/{}/{application}:{user}", self.tenant, self.policy)
            }
        }
    }
}

/// Picks counters: those of a tenant for which everything that is given holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterSelector {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The level of the policy.
    pub level: Option<PolicyLevel>,
    /// The policy's name.
    pub policy: Option<String>,
    /// The application.
    pub application: Option<ApplicationId>,
    /// The user.
    pub user: Option<Username>,
}

impl CounterSelector {
    /// Says whether a counter is picked.
    #[must_use]
    pub fn picks(&self, key: &CounterKey) -> bool {
        self.tenant == key.tenant
            && self.level.is_none_or(|level| level == key.level().policy_level())
            && self.policy.as_ref().is_none_or(|policy| *policy == key.policy)
            && self.application.is_none_or(|application| key.application() == Some(application))
            && self.user.as_ref().is_none_or(|user| key.user() == Some(user))
    }
}
