//! Scopes that the APIs of a tenant share.

use serde::{Deserialize, Serialize};

use crate::id::ScopeId;
use crate::tenant::TenantDomain;
use crate::user::Role;

/// A scope that the APIs of a tenant share: what it allows and whose it is is said once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedScope {
    /// The id.
    pub id: ScopeId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The name in tokens; it does not change.
    pub name: String,
    /// The name people read.
    pub display_name: String,
    /// What it allows.
    pub description: String,
    /// Roles of which a user needs one; none means everybody.
    pub roles: Vec<Role>,
}
