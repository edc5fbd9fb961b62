//! What can be asked about tenants.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use actix::Message;
use portcullis_database::{Caller, Committed};
use portcullis_model::{RequestId, Role, TenantConfig, TenantDomain, TenantRecord, UserId, Username};
use serde_json::{Map, Value};

use crate::admin_error::AdminError;

/// Asks for all tenants, by domain.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<KnownTenant>")]
pub(crate) struct ListTenants;

/// A tenant.
#[derive(Clone, Debug)]
pub(crate) struct KnownTenant {
    pub(crate) domain: TenantDomain,
    pub(crate) record: Arc<TenantRecord>,
    /// The owner's id; `None` where the owner is not there any more.
    pub(crate) owner_id: Option<UserId>,
    pub(crate) owner_email: String,
}

/// Creates a tenant.
#[derive(Message)]
#[rtype(result = "Result<Committed<KnownTenant>, AdminError>")]
pub(crate) struct CreateTenant {
    pub(crate) caller: Caller,
    pub(crate) domain: TenantDomain,
    pub(crate) owner: Username,
    pub(crate) password: String,
    pub(crate) email: String,
    /// Further attributes of the owner, in the form of SCIM.
    pub(crate) attributes: Map<String, Value>,
}

impl fmt::Debug for CreateTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateTenant({})", self.domain)
    }
}

/// Activates or deactivates a tenant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct SetTenantActive {
    pub(crate) caller: Caller,
    pub(crate) domain: TenantDomain,
    pub(crate) is_active: bool,
}

/// Asks for a tenant's configuration; `None` where it never put one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Arc<TenantConfig>>")]
pub(crate) struct ReadConfig {
    pub(crate) tenant: TenantDomain,
}

/// Replaces a tenant's configuration.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct PutConfig {
    pub(crate) caller: Caller,
    /// The document that the change was made from.
    pub(crate) expected: Option<String>,
    pub(crate) config: TenantConfig,
}

/// Asks for the roles of a user; `None` where there is no such user.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Vec<Role>>")]
pub(crate) struct RolesOf {
    pub(crate) tenant: TenantDomain,
    pub(crate) username: Username,
}

/// Asks which of some roles the tenant does not have.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Role>")]
pub(crate) struct UnknownRoles {
    pub(crate) tenant: TenantDomain,
    pub(crate) roles: Vec<Role>,
}

/// Signs somebody up.
#[derive(Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct SignUp {
    pub(crate) origin: Option<IpAddr>,
    pub(crate) request: Option<RequestId>,
    pub(crate) tenant: TenantDomain,
    pub(crate) username: Username,
    pub(crate) password: String,
    pub(crate) email: String,
    pub(crate) attributes: Map<String, Value>,
}

impl fmt::Debug for SignUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignUp({}@{})", self.username, self.tenant)
    }
}

/// Makes a code with which a user sets a new password once.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<ResetCode, AdminError>")]
pub(crate) struct MakeResetCode {
    pub(crate) tenant: TenantDomain,
    pub(crate) username: Username,
}

/// A code with which a user sets a new password once.
pub(crate) struct ResetCode {
    pub(crate) text: String,
    pub(crate) lives_s: u64,
}

impl fmt::Debug for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetCode(…)")
    }
}

/// Sets a password by a code.
#[derive(Message)]
#[rtype(result = "Result<Committed<()>, AdminError>")]
pub(crate) struct UseResetCode {
    pub(crate) origin: Option<IpAddr>,
    pub(crate) request: Option<RequestId>,
    pub(crate) text: String,
    pub(crate) password: String,
}

impl fmt::Debug for UseResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UseResetCode(…)")
    }
}
