//! Counters of the Traffic Manager: what is counted, for whom, and by which limit.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, ApplicationId};
use crate::oauth::KeyType;
use crate::policy::{PolicyLevel, QuotaUnit};
use crate::tenant::TenantDomain;
use crate::user::Username;

/// Which level a counter belongs to, and so which code a refusal has. Stored: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterLevel {
    /// Business plan (900804).
    Subscription,
    /// Application policy (900803).
    Application,
    /// Advanced policy of a whole API (900800).
    Api,
    /// Advanced policy of one operation (900802).
    Resource,
    /// Burst of a business plan (900807).
    SubscriptionBurst,
    /// Burst of an application policy (900809).
    ApplicationBurst,
    /// Custom rule (900806).
    Custom,
    /// The most that an API's backend may get (900801).
    ApiMaximum,
}

/// The order in which the levels of one call are asked, as in the original. An API has `Api` or `Resource`, not both.
pub const CHECK_ORDER: [CounterLevel; 8] = [
    CounterLevel::Api,
    CounterLevel::Resource,
    CounterLevel::Subscription,
    CounterLevel::SubscriptionBurst,
    CounterLevel::Application,
    CounterLevel::ApplicationBurst,
    CounterLevel::Custom,
    CounterLevel::ApiMaximum,
];

impl CounterLevel {
    /// Returns the level of the policies that limit such counters; `None` where that is the API itself.
    #[must_use]
    pub fn policy_level(self) -> Option<PolicyLevel> {
        match self {
            Self::Subscription | Self::SubscriptionBurst => Some(PolicyLevel::Subscription),
            Self::Application | Self::ApplicationBurst => Some(PolicyLevel::Application),
            Self::Api | Self::Resource => Some(PolicyLevel::Advanced),
            Self::Custom => Some(PolicyLevel::Custom),
            Self::ApiMaximum => None,
        }
    }

    /// The word for it in keys, lists and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Application => "application",
            Self::Api => "api",
            Self::Resource => "resource",
            Self::SubscriptionBurst => "subscription-burst",
            Self::ApplicationBurst => "application-burst",
            Self::Custom => "custom",
            Self::ApiMaximum => "api-maximum",
        }
    }

    /// The original's code of a refusal at this level.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Api => 900_800,
            Self::ApiMaximum => 900_801,
            Self::Resource => 900_802,
            Self::Application => 900_803,
            Self::Subscription => 900_804,
            Self::Custom => 900_806,
            Self::SubscriptionBurst => 900_807,
            Self::ApplicationBurst => 900_809,
        }
    }
}

/// Names one counter: who is limited by which policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterKey {
    /// The tenant whose policy it is.
    pub tenant: TenantDomain,
    /// The policy's name; its level follows from the subject. Of an API's maximum: the environment.
    pub policy: String,
    /// Who is limited.
    pub subject: CounterSubject,
}

/// Who is limited. Stored: new ones go to the end.
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
    /// All calls of an API, or those that meet a group of conditions: the original's `{context}:{version}_default`.
    Api {
        /// The API.
        api: ApiId,
        /// The user, where the policy counts per user.
        user: Option<Username>,
        /// The number of the group of conditions; `None` where none applies.
        group: Option<u8>,
    },
    /// The same for one operation: the original's `{context}/{version}{resource}:{METHOD}_default`.
    Resource {
        /// The API.
        api: ApiId,
        /// URI template and verb: `/menu:GET`.
        operation: String,
        /// The user, where the policy counts per user.
        user: Option<Username>,
        /// The number of the group of conditions; `None` where none applies.
        group: Option<u8>,
    },
    /// As `Subscription`, for the plan's burst.
    SubscriptionBurst {
        /// The application.
        application: ApplicationId,
        /// The API.
        api: ApiId,
    },
    /// As `Application`, for the policy's burst.
    ApplicationBurst {
        /// The application.
        application: ApplicationId,
        /// The end user.
        user: Username,
    },
    /// Whatever a custom rule's key template makes of a call.
    Custom(String),
    /// All calls of an API with one type of key: the original's `{context}:{version}:{PRODUCTION|SANDBOX}`.
    ApiMaximum {
        /// The API.
        api: ApiId,
        /// The type of key.
        key_type: KeyType,
    },
    /// As `Subscription`, for what a plan of AI tokens bounds beside the tokens in total.
    SubscriptionUnit {
        /// The application.
        application: ApplicationId,
        /// The API.
        api: ApiId,
        /// What is counted.
        unit: QuotaUnit,
    },
    /// Calls without a token from one address (of IPv6: one /64 network) to one API, by the plan `Unauthenticated`:
    /// the original's `{ip}:{context}:{version}`.
    Anonymous {
        /// The API.
        api: ApiId,
        /// The address, see [`network_of`].
        client: IpAddr,
    },
}

impl CounterSubject {
    /// Says whether nodes of the first feature level know such counters.
    #[must_use]
    pub fn is_of_first_level(&self) -> bool {
        matches!(self, Self::Subscription { .. } | Self::Application { .. })
    }
}

/// Returns what stands for a client without a token: its IPv4 address, or the first half of its IPv6 address, since
/// one household has all of the other half.
#[must_use]
pub fn network_of(client: IpAddr) -> IpAddr {
    const HOUSEHOLD: u128 = !0 << 64;
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & HOUSEHOLD).into()),
        address => address,
    }
}

/// Names one limit: a policy may have several, each with counters of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitKey {
    /// A limit of a policy.
    Policy {
        /// The tenant.
        tenant: TenantDomain,
        /// The policy's level.
        level: PolicyLevel,
        /// Its name.
        name: String,
        /// Which of its limits.
        part: LimitPart,
    },
    /// The most that an API's backend may get.
    ApiMaximum {
        /// The environment in which the API is deployed.
        environment: String,
        /// The API.
        api: ApiId,
        /// With which type of key.
        key_type: KeyType,
    },
}

/// Which limit of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitPart {
    /// Its quota.
    Quota,
    /// Its burst.
    Burst,
    /// The limit of the condition group of that number.
    Group(u8),
    /// What its quota bounds beside the main amount.
    Unit(QuotaUnit),
}

impl CounterKey {
    /// Returns the level.
    #[must_use]
    pub fn level(&self) -> CounterLevel {
        match self.subject {
            CounterSubject::Subscription { .. }
            | CounterSubject::SubscriptionUnit { .. }
            | CounterSubject::Anonymous { .. } => CounterLevel::Subscription,
            CounterSubject::Application { .. } => CounterLevel::Application,
            CounterSubject::Api { .. } => CounterLevel::Api,
            CounterSubject::Resource { .. } => CounterLevel::Resource,
            CounterSubject::SubscriptionBurst { .. } => CounterLevel::SubscriptionBurst,
            CounterSubject::ApplicationBurst { .. } => CounterLevel::ApplicationBurst,
            CounterSubject::Custom(_) => CounterLevel::Custom,
            CounterSubject::ApiMaximum { .. } => CounterLevel::ApiMaximum,
        }
    }

    /// Returns the tenant, level and name of the policy that limits it; `None` where that is the API itself.
    #[must_use]
    pub fn policy_key(&self) -> Option<(TenantDomain, PolicyLevel, String)> {
        self.level().policy_level().map(|level| (self.tenant.clone(), level, self.policy.clone()))
    }

    /// Returns the limit that it is held to.
    #[must_use]
    pub fn limit_key(&self) -> LimitKey {
        let part = match self.subject {
            CounterSubject::ApiMaximum { api, key_type } => {
                return LimitKey::ApiMaximum { environment: self.policy.clone(), api, key_type };
            }
            CounterSubject::SubscriptionBurst { .. } | CounterSubject::ApplicationBurst { .. } => LimitPart::Burst,
            CounterSubject::Api { group: Some(number), .. } | CounterSubject::Resource { group: Some(number), .. } => {
                LimitPart::Group(number)
            }
            CounterSubject::SubscriptionUnit { unit, .. } => LimitPart::Unit(unit),
            _ => LimitPart::Quota,
        };
        let level = self.level().policy_level().unwrap_or(PolicyLevel::Custom);
        LimitKey::Policy { tenant: self.tenant.clone(), level, name: self.policy.clone(), part }
    }

    /// Returns the API that is called, where the counter is of one.
    #[must_use]
    pub fn api(&self) -> Option<ApiId> {
        match self.subject {
            CounterSubject::Subscription { api, .. }
            | CounterSubject::SubscriptionBurst { api, .. }
            | CounterSubject::SubscriptionUnit { api, .. }
            | CounterSubject::Anonymous { api, .. }
            | CounterSubject::Api { api, .. }
            | CounterSubject::Resource { api, .. }
            | CounterSubject::ApiMaximum { api, .. } => Some(api),
            CounterSubject::Application { .. }
            | CounterSubject::ApplicationBurst { .. }
            | CounterSubject::Custom(_) => None,
        }
    }

    /// Returns the application that calls, where the counter is of one.
    #[must_use]
    pub fn application(&self) -> Option<ApplicationId> {
        match self.subject {
            CounterSubject::Subscription { application, .. }
            | CounterSubject::SubscriptionBurst { application, .. }
            | CounterSubject::SubscriptionUnit { application, .. }
            | CounterSubject::Application { application, .. }
            | CounterSubject::ApplicationBurst { application, .. } => Some(application),
            _ => None,
        }
    }

    /// Returns the user who is counted, where the counter is of one.
    #[must_use]
    pub fn user(&self) -> Option<&Username> {
        match &self.subject {
            CounterSubject::Application { user, .. } | CounterSubject::ApplicationBurst { user, .. } => Some(user),
            CounterSubject::Api { user, .. } | CounterSubject::Resource { user, .. } => user.as_ref(),
            _ => None,
        }
    }

    /// Returns the key as the original writes it. `context` (with the version) and `version` are those of
    /// [`CounterKey::api`].
    #[must_use]
    pub fn in_the_originals_form(&self, context: &str, version: &str) -> String {
        match &self.subject {
            CounterSubject::Subscription { application, .. }
            | CounterSubject::SubscriptionBurst { application, .. }
            | CounterSubject::SubscriptionUnit { application, .. } => format!("{application}:{context}:{version}"),
            CounterSubject::Anonymous { client, .. } => format!("{client}:{context}:{version}"),
            CounterSubject::Application { application, user }
            | CounterSubject::ApplicationBurst { application, user } => {
                format!("{application}:{user}@{}", self.tenant)
            }
            CounterSubject::Api { user, group, .. } => {
                format!("{context}:{version}{}{}", PerUser(user.as_ref()), Group(*group))
            }
            CounterSubject::Resource { operation, user, group, .. } => {
                format!("{context}/{version}{operation}{}{}", PerUser(user.as_ref()), Group(*group))
            }
            CounterSubject::Custom(key) => key.clone(),
            CounterSubject::ApiMaximum { key_type, .. } => format!("{context}:{version}:{}", key_type.as_contract()),
        }
    }
}

struct PerUser<'a>(Option<&'a Username>);

impl fmt::Display for PerUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |user| write!(f, "_{user}"))
    }
}

struct Group(Option<u8>);

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "_condition_{number}"),
            None => f.write_str("_default"),
        }
    }
}

/// As the original's key, after tenant, level and policy, with an API's id for its context and version.
impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/", self.tenant, self.level().as_str(), self.policy)?;
        match &self.subject {
            CounterSubject::Subscription { application, api }
            | CounterSubject::SubscriptionBurst { application, api } => write!(f, "{application}:{api}"),
            CounterSubject::SubscriptionUnit { application, api, unit } => {
                write!(f, "{application}:{api}:{}", unit.as_str())
            }
            CounterSubject::Application { application, user }
            | CounterSubject::ApplicationBurst { application, user } => write!(f, "{application}:{user}"),
            CounterSubject::Api { api, user, group } => {
                write!(f, "{api}{}{}", PerUser(user.as_ref()), Group(*group))
            }
            CounterSubject::Resource { api, operation, user, group } => {
                write!(f, "{api}{operation}{}{}", PerUser(user.as_ref()), Group(*group))
            }
            CounterSubject::Custom(key) => f.write_str(key),
            CounterSubject::ApiMaximum { api, key_type } => write!(f, "{api}:{}", key_type.as_contract()),
            CounterSubject::Anonymous { api, client } => write!(f, "{client}:{api}"),
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
            && self.level.is_none_or(|level| key.level().policy_level() == Some(level))
            && self.policy.as_ref().is_none_or(|policy| *policy == key.policy)
            && self.application.is_none_or(|application| key.application() == Some(application))
            && self.user.as_ref().is_none_or(|user| key.user() == Some(user))
    }
}
