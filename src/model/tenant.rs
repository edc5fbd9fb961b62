//! Tenants: the outermost division of all objects.

use std::fmt;

use serde::{Deserialize, Serialize};

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
