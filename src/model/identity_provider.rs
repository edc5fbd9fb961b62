//! Identity providers: other servers at which users sign in, and what is kept of users who did.

use serde::{Deserialize, Serialize};

use crate::id::IdentityProviderId;
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::{Role, Username};

/// Identity providers of one tenant.
pub const IDENTITY_PROVIDERS_PER_TENANT_MAX: usize = 50;
/// Characters of the name by which an identity provider knows a user (OpenID Connect Core, section 2: 255).
pub const SUBJECT_CHARS_MAX: usize = 255;

/// A server at which users of a tenant may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// The id.
    pub id: IdentityProviderId,
    /// The tenant whose users it vouches for.
    pub tenant: TenantDomain,
    /// The name, unique within the tenant, whatever the case of its letters.
    pub name: String,
    /// What was said of it: the JSON object of the REST contract, without secrets.
    pub document: String,
    /// The secret with which the cluster signs in there.
    pub secret: Option<Sealed>,
    /// Whether users may sign in by it.
    pub is_enabled: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Which user of the tenant somebody is whom an identity provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederatedUser {
    /// The user.
    pub username: Username,
    /// Since when. A user of that name who was created later is somebody else.
    pub since: Timestamp,
    /// Whether the user was made for this sign-in: the roles are then what the identity provider says.
    pub is_provisioned: bool,
}

/// Somebody whom an identity provider vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// What the identity provider knows them by; never given to another.
    pub subject: String,
    /// The name of the user that is made where there is none.
    pub username: Username,
    /// The address for notices; may be empty.
    pub email: String,
    /// The roles that are theirs by what the identity provider says.
    pub roles: Vec<Role>,
    /// Further attributes, as a JSON object in the form of SCIM.
    pub attributes: String,
}
