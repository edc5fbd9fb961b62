//! Key managers beside the cluster's own: other OAuth 2 servers whose tokens gateways accept.

use serde::{Deserialize, Serialize};

use crate::id::{ApplicationId, ClientId, KeyManagerId, KeyMappingId};
use crate::oauth::KeyType;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;

/// Key managers of one tenant.
pub const KEY_MANAGERS_PER_TENANT_MAX: usize = 50;
/// Keys of other key managers that are mapped to one application.
pub const MAPPED_KEYS_PER_APPLICATION_MAX: usize = 100;
/// The name of the key manager that is part of every cluster.
pub const RESIDENT_KEY_MANAGER: &str = "Resident Key Manager";

/// Another OAuth 2 server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyManager {
    /// The id.
    pub id: KeyManagerId,
    /// The tenant whose APIs accept its tokens.
    pub tenant: TenantDomain,
    /// The name, unique within the tenant, whatever the case of its letters.
    pub name: String,
    /// What its tokens have in `iss`; unique within the tenant.
    pub issuer: String,
    /// Where its public keys are (a JWK set, RFC 7517).
    pub jwks_url: String,
    /// The claim that holds the client id: `azp` where nothing is said.
    pub consumer_key_claim: String,
    /// The claim that holds the scopes: `scope` where nothing is said.
    pub scopes_claim: String,
    /// Whether its tokens are accepted.
    pub is_enabled: bool,
    /// Every other field of the REST contract, as the JSON object that was sent, without what looks like a secret.
    pub other_fields: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// A client of another key manager that calls for an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedKey {
    /// The id that the Store's contract calls `keyMappingId`.
    pub mapping: KeyMappingId,
    /// The key manager.
    pub key_manager: KeyManagerId,
    /// The client id there.
    pub client: ClientId,
    /// The application.
    pub application: ApplicationId,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// When it was mapped.
    pub created_at: Timestamp,
}
