//! Tenants: the outermost division of all objects.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::TenantId;
use crate::time::Timestamp;
use crate::user::Username;

/// A tenant's domain, such as `example.com`; the first tenant is `carbon.super`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantDomain(pub String);

impl TenantDomain {
    /// The domain of the first tenant, whose APIs carry no `/t/DOMAIN` in their context.
    pub const SUPER: &'static str = "carbon.super";

    /// Returns the first tenant's domain.
    #[must_use]
    pub fn super_tenant() -> Self {
        Self(Self::SUPER.to_owned())
    }

    /// Says whether this is the first tenant.
    #[must_use]
    pub fn is_super(&self) -> bool {
        self.0 == Self::SUPER
    }
}

impl fmt::Display for TenantDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a tenant beside its domain. The first tenant, and tenants of older feature levels, have none until
/// they are changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// The id by which the tenant management names it.
    pub id: TenantId,
    /// The number that the original's contracts call the tenant id; -1234 is the first tenant's.
    pub number: i32,
    /// Who owns it: its first administrator.
    pub owner: Username,
    /// Whether its users may sign in and its APIs may be called.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TenantRecord {
    /// The number of the first tenant in the original's contracts.
    pub const SUPER_NUMBER: i32 = -1234;

    /// Returns the record of a tenant that has none in the state.
    #[must_use]
    pub fn of_old(domain: &TenantDomain, created_at: Timestamp) -> Self {
        Self {
            id: TenantId::of_names(&["tenant", &domain.0]),
            number: Self::SUPER_NUMBER,
            owner: Username("admin".to_owned()),
            is_active: true,
            created_at,
        }
    }
}
