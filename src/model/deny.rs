//! Deny policies: who is turned away, whatever quota is left (the original's block conditions).

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::PolicyId;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// Deny policies of one tenant.
pub const DENY_POLICIES_MAX: usize = 10_000;

/// A deny policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenyPolicy {
    /// The id.
    pub id: PolicyId,
    /// The tenant that turns callers away.
    pub tenant: TenantDomain,
    /// Whom.
    pub condition: DenyCondition,
    /// Whether it is in force.
    pub is_active: bool,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Username,
}

impl DenyPolicy {
    /// Says whether it is in force at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.is_active && self.expires_at.is_none_or(|end| end > now)
    }
}

/// Whom a deny policy turns away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DenyCondition {
    /// Every call of one API: its context with the version, `/pizza/1.0.0`.
    Api(String),
    /// Every call of one application.
    Application {
        /// Its owner.
        owner: Username,
        /// Its name.
        name: String,
    },
    /// Calls from a network; one address is a network with a full prefix.
    Ip {
        /// The network.
        network: IpNet,
        /// Whether calls from everywhere else are meant.
        is_inverted: bool,
    },
    /// Calls from addresses between two, both included. Both are of one family.
    IpRange {
        /// The lowest.
        from: IpAddr,
        /// The highest.
        to: IpAddr,
        /// Whether calls from everywhere else are meant.
        is_inverted: bool,
    },
    /// Calls with a token of one user.
    User {
        /// The user's tenant.
        tenant: TenantDomain,
        /// The user.
        username: Username,
    },
    /// Calls of one tenant's APIs, and calls by its applications.
    Tenant(TenantDomain),
}

impl DenyCondition {
    /// The name in the REST contracts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "API",
            Self::Application { .. } => "APPLICATION",
            Self::Ip { .. } => "IP",
            Self::IpRange { .. } => "IPRANGE",
            Self::User { .. } => "USER",
            Self::Tenant(_) => "TENANT",
        }
    }
}
