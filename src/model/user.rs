//! Users, roles, and the principal on whose behalf something happens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TenantDomain;
use crate::id::{RoleId, UserId};
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

impl Role {
    /// The role of administrators, which every tenant has and always somebody holds.
    pub const ADMIN: &'static str = "admin";
    /// The role that every user holds.
    pub const EVERYONE: &'static str = "Internal/everyone";
    /// The role of those who sign up by themselves.
    pub const SUBSCRIBER: &'static str = "Internal/subscriber";
    /// The roles that every tenant has from the start and for ever.
    pub const SYSTEM: [&'static str; 6] =
        [Self::ADMIN, Self::EVERYONE, "Internal/creator", "Internal/publisher", Self::SUBSCRIBER, "Internal/devops"];

    /// Says whether every tenant has the role, so that it can neither be renamed nor deleted.
    #[must_use]
    pub fn is_system(&self) -> bool {
        Self::SYSTEM.contains(&self.0.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

/// What is known of a user beside what signing in needs. Users of older feature levels have none until they are changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProfile {
    /// The id by which SCIM names the user.
    pub id: UserId,
    /// Further attributes, as a JSON object in the form of SCIM (RFC 7643): names, addresses, custom ones.
    pub attributes: String,
    /// When the user or the profile was last changed.
    pub modified_at: Timestamp,
    /// How often it was changed.
    pub version: u64,
    /// Until when nobody signs in as the user, because too many tried in vain.
    pub locked_until: Option<Timestamp>,
}

impl UserProfile {
    /// Returns the profile of a user who has none in the state.
    #[must_use]
    pub fn of_old(user: &User) -> Self {
        Self {
            id: UserId::of_names(&["user", &user.tenant.0, &user.username.0]),
            attributes: "{}".to_owned(),
            modified_at: user.created_at,
            version: 0,
            locked_until: None,
        }
    }
}

/// What is known of a role beside its name. Roles of older feature levels have none until they are changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// The id by which SCIM names the role.
    pub id: RoleId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or who holds it, last changed.
    pub modified_at: Timestamp,
    /// How often it, or who holds it, changed.
    pub version: u64,
}

impl RoleRecord {
    /// Returns the record of a role that has none in the state.
    #[must_use]
    pub fn of_old(tenant: &TenantDomain, role: &Role, created_at: Timestamp) -> Self {
        let id = RoleId::of_names(&["role", &tenant.0, &role.0]);
        Self { id, created_at, modified_at: created_at, version: 0 }
    }
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
