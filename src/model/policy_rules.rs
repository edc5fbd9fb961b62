//! What a throttling policy has beside its quota: conditions, permissions, and the rules of its level.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::policy::{Quota, Window, WindowKind};
use crate::user::Role;

/// Condition groups of one policy.
pub const GROUPS_MAX: usize = 32;
/// Conditions of one group.
pub const CONDITIONS_MAX: usize = 16;
/// Roles of one permission.
pub const PERMISSION_ROLES_MAX: usize = 100;

/// The rules of one policy. A policy stored without any has the default ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRules {
    /// How the windows of the quota and of the groups follow each other. Bursts are always fixed.
    pub window_kind: WindowKind,
    /// Advanced policies: whether each user has a counter of his own.
    pub is_per_user: bool,
    /// Advanced policies: limits for calls that meet conditions. Where none applies the quota does. At most
    /// [`GROUPS_MAX`].
    pub groups: Vec<ConditionGroup>,
    /// Business plans: who may choose it; `None` for everybody.
    pub permission: Option<TierPermission>,
    /// Business plans: subscriptions that there may be at a time; 0 for any number.
    pub subscriber_count: u32,
    /// Business plans: the most complex GraphQL query; 0 for any.
    pub graphql_complexity_max: u32,
    /// Business plans: the deepest GraphQL query; 0 for any.
    pub graphql_depth_max: u32,
    /// Custom rules: what is counted for whom.
    pub custom: Option<CustomRule>,
}

/// A limit for calls that meet all of some conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionGroup {
    /// What it is for.
    pub description: String,
    /// All of them must hold. At least one, at most [`CONDITIONS_MAX`].
    pub conditions: Vec<GroupCondition>,
    /// How much.
    pub quota: Quota,
    /// In which window.
    pub window: Window,
}

/// A condition, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCondition {
    /// The condition.
    pub condition: Condition,
    /// Whether it must not hold.
    pub is_inverted: bool,
}

/// Something that holds of a call or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The client's address lies in the network; one address is a network with a full prefix.
    Ip(IpNet),
    /// The client's address lies between two, both included. Both are of one family.
    IpRange {
        /// The lowest.
        from: IpAddr,
        /// The highest.
        to: IpAddr,
    },
    /// A header has a value in which the pattern is found.
    Header {
        /// The header's name, in lower case.
        name: String,
        /// A regular expression.
        pattern: String,
    },
    /// A query parameter has a value in which the pattern is found.
    Query {
        /// The parameter's name.
        name: String,
        /// A regular expression.
        pattern: String,
    },
    /// A claim of the token has a value in which the pattern is found.
    Claim {
        /// The claim's name or URI.
        name: String,
        /// A regular expression.
        pattern: String,
    },
}

/// Who may choose a business plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierPermission {
    /// Whether those with one of the roles may (`ALLOW`), or may not (`DENY`).
    pub is_allowed: bool,
    /// The roles.
    pub roles: Vec<Role>,
}

impl TierPermission {
    /// Says whether a user with `roles` may choose the plan.
    #[must_use]
    pub fn admits(&self, roles: &[Role]) -> bool {
        let has_one = self.roles.iter().any(|role| roles.contains(role));
        has_one == self.is_allowed
    }
}

/// A custom rule: calls for which an expression is true are counted by the key that a template makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRule {
    /// The template of the key: `$userId`, `$apiContext:$appId`.
    pub key_template: String,
    /// Which calls are counted, in the Common Expression Language; empty for all.
    pub expression: String,
    /// The original's Siddhi query that it came from; empty where there was none.
    pub siddhi_query: String,
}
