//! Users, roles, and the principal on whose behalf something happens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TenantDomain;
use crate::time::Timestamp;

/// A user's name within a tenant, without the domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Username(pub String);

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A role's name, such as `admin`, `Internal/publisher`, `Internal/creator`, `Internal/subscriber`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Role(pub String);

/// A user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The name, unique within the tenant.
    pub username: Username,
    /// The password as an argon2id string in PHC form.
    pub password_hash: String,
    /// The roles held.
    pub roles: Vec<Role>,
    /// The address for notices; may be empty.
    pub email: String,
    /// A locked user cannot sign in.
    pub is_locked: bool,
    /// When the user was created.
    pub created_at: Timestamp,
}

/// On whose behalf a command was proposed: written into every entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user, or the name of the component that acts by itself (`system`).
    pub username: Username,
}

impl Principal {
    /// Returns the principal of what the system does by itself.
    #[must_use]
    pub fn system() -> Self {
        Self { tenant: TenantDomain::super_tenant(), username: Username("system".to_owned()) }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.username, self.tenant)
    }
}
