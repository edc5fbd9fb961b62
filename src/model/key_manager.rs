//! Key managers beside the cluster's own: other OAuth 2 servers whose tokens gateways accept.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{ApplicationId, ClientId, KeyManagerId, KeyMappingId};
use crate::oauth::KeyType;
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Role;

/// Key managers of one tenant.
pub const KEY_MANAGERS_PER_TENANT_MAX: usize = 50;
/// Keys of other key managers that are mapped to one application.
pub const MAPPED_KEYS_PER_APPLICATION_MAX: usize = 100;
/// Claims that are mapped for one key manager.
pub const CLAIM_MAPPINGS_MAX: usize = 50;
/// Bytes of a compiled regular expression for opaque tokens.
const PATTERN_BYTES_MAX: usize = 64 << 10;
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
    /// Where its public keys are (a JWK set, RFC 7517); `None` where signatures are not checked here, but the server is
    /// asked about each token.
    pub jwks_url: Option<String>,
    /// Where it says what a token is (RFC 7662).
    pub introspection_url: Option<String>,
    /// Where clients are registered (RFC 7591).
    pub registration_url: Option<String>,
    /// Where tokens are issued.
    pub token_url: Option<String>,
    /// How this cluster signs in there.
    pub login: Option<KeyManagerLogin>,
    /// Which opaque tokens are its own: a regular expression of the whole token. It is asked about any where it is missing.
    pub opaque_tokens: Option<String>,
    /// The claim that holds the client id: `azp` where nothing is said.
    pub consumer_key_claim: String,
    /// The claim that holds the scopes: `scope` where nothing is said.
    pub scopes_claim: String,
    /// What is taken over of a token, and under which name.
    pub claim_mapping: Vec<ClaimMapping>,
    /// Whether its tokens are accepted.
    pub is_enabled: bool,
    /// Every other field of the REST contract, as the JSON object that was sent, without what looks like a secret.
    pub other_fields: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl KeyManager {
    /// Returns where it says what a token is, where it is the one to be asked about signed tokens too.
    #[must_use]
    pub fn asked_about_signed(&self) -> Option<&str> {
        self.introspection_url.as_deref().filter(|_| self.jwks_url.is_none())
    }

    /// Says whether it is for all tenants: one of the first tenant's that was made so (the original's *global* one).
    #[must_use]
    pub fn is_global(&self) -> bool {
        // Most are not, and need not be read.
        let may_be = self.tenant.is_super() && self.other_fields.contains("\"global\":true");
        may_be && serde_json::from_str::<Value>(&self.other_fields).is_ok_and(|fields| fields["global"] == true)
    }

    /// Says whether somebody with these roles may have keys of it for applications (the original's `permissions`). Nobody
    /// may where what was said is not understood.
    #[must_use]
    pub fn permits(&self, held: &[Role]) -> bool {
        let Ok(fields) = serde_json::from_str::<Value>(&self.other_fields) else { return false };
        let permissions = &fields["permissions"];
        let named = permissions["roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut named = named.map(str::trim).filter(|role| !role.is_empty());
        let is_held = |role: &str| role == Role::EVERYONE || held.iter().any(|one| one.0 == role);
        match permissions["permissionType"].as_str() {
            None | Some("PUBLIC") => true,
            Some("ALLOW") => named.any(is_held),
            Some("DENY") => !named.any(is_held),
            Some(_) => false,
        }
    }
}

/// A claim of another key manager's tokens, and what it is called here: by backends and by conditions of policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMapping {
    /// The name there.
    pub remote: String,
    /// The name here.
    pub local: String,
}

/// How this cluster signs in at another key manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyManagerLogin {
    /// As whom.
    pub kind: LoginKind,
    /// The name of the user, or the id of the client.
    pub name: String,
    /// The password or the client's secret, sealed with the cluster's key.
    pub secret: Sealed,
}

/// As whom this cluster signs in at another key manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginKind {
    /// As a user.
    User,
    /// As an OAuth client.
    Client,
}

/// Compiles the regular expression by which a key manager's opaque tokens are known.
///
/// # Errors
/// What is wrong with it.
pub fn token_pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build()
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
    /// What is known of a client that was registered there from here; `None` for one that somebody made there.
    pub registered: Option<RegisteredClient>,
    /// When it was mapped.
    pub created_at: Timestamp,
}

/// A client that was registered at another key manager from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// Its secret, sealed with the cluster's key; `None` for one without.
    pub secret: Option<Sealed>,
    /// The grants that it may use.
    pub grants: Vec<String>,
    /// Where users are sent back to; empty for nowhere.
    pub callback_url: String,
    /// How it is deleted there; `None` where the other key manager does not say.
    pub management: Option<RegistrationAccess>,
}

/// Where and by what a registration is managed (RFC 7592).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationAccess {
    /// The address.
    pub url: String,
    /// The token, sealed with the cluster's key.
    pub token: Sealed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::Sealed;

    #[test]
    fn permissions_say_whose_roles_may_have_keys() {
        let one = |fields: &str| KeyManager {
            id: KeyManagerId::from_random([1; 16]),
            tenant: TenantDomain::super_tenant(),
            name: "Partner".to_owned(),
            issuer: "https://a".to_owned(),
            jwks_url: None,
            introspection_url: None,
            registration_url: None,
            token_url: None,
            login: Some(KeyManagerLogin { kind: LoginKind::User, name: "x".to_owned(), secret: Sealed(Vec::new()) }),
            opaque_tokens: None,
            consumer_key_claim: "azp".to_owned(),
            scopes_claim: "scope".to_owned(),
            claim_mapping: Vec::new(),
            is_enabled: true,
            other_fields: fields.to_owned(),
            created_at: Timestamp(0),
        };
        let held = [Role("dev".to_owned())];
        for (fields, is_permitted) in [
            ("{}", true),
            (r#"{"permissions": {"permissionType": "PUBLIC"}}"#, true),
            (r#"{"permissions": {"permissionType": "ALLOW", "roles": ["ops", "dev"]}}"#, true),
            (r#"{"permissions": {"permissionType": "ALLOW", "roles": ["ops"]}}"#, false),
            (r#"{"permissions": {"permissionType": "DENY", "roles": ["dev"]}}"#, false),
            (r#"{"permissions": {"permissionType": "DENY", "roles": ["ops"]}}"#, true),
            (r#"{"permissions": {"permissionType": "DENY", "roles": ["Internal/everyone"]}}"#, false),
            (r#"{"permissions": {"permissionType": "LATER"}}"#, false),
        ] {
            assert_eq!(one(fields).permits(&held), is_permitted, "{fields}");
        }
    }
}
