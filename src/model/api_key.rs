//! API keys: what an application shows a gateway without asking for a token first.

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, ApplicationId};
use crate::oauth::{KeyType, TokenDigest};
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// API keys of one application that are live at a time: one for each of its users' devices fits, a runaway script does
/// not.
pub const API_KEYS_PER_APPLICATION_MAX: usize = 1_000;
/// Networks that one key may be limited to.
pub const PERMITTED_NETWORKS_MAX: usize = 100;
/// Referrers that one key may be limited to.
pub const PERMITTED_REFERRERS_MAX: usize = 100;
/// Characters of a referrer's pattern.
pub const REFERRER_CHARS_MAX: usize = 512;
/// Characters of a key's name.
pub const API_KEY_NAME_CHARS_MAX: usize = 255;

/// An API key that was issued. The key itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The digest of the key's whole text.
    pub digest: TokenDigest,
    /// The id by which people and tools name it.
    pub id: ApiKeyId,
    /// The name people read; may be empty.
    pub name: String,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The application that calls with it.
    pub application: ApplicationId,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// What the key is made of.
    pub form: ApiKeyForm,
    /// From where it may be used.
    pub restriction: KeyRestriction,
    /// Who had it issued.
    pub issued_by: Username,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// What an API key is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyForm {
    /// A signed JSON Web Token that says whose it is.
    #[default]
    Jwt,
    /// A random text.
    Opaque,
}

impl ApiKeyForm {
    /// The name in bodies and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
        }
    }
}

/// From where a key may be used; an empty list is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRestriction {
    /// Addresses and networks in CIDR form, IPv4 and IPv6.
    pub networks: Vec<String>,
    /// Patterns of the `Referer` header, in which `*` stands for any text without spaces.
    pub referrers: Vec<String>,
}

impl KeyRestriction {
    /// Says whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.referrers.is_empty()
    }
}
