//! OAuth 2: clients, access tokens, signing keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::application::TokenType;
use crate::id::{ApplicationId, ClientId, KeyMappingId, SigningKeyId};
use crate::limit::EXPIRED_TOKEN_KEPT;
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// Whether a key is for the real thing or for trying out: decides which endpoint a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyType {
    /// Calls go to the production endpoint.
    Production,
    /// Calls go to the sandbox endpoint.
    Sandbox,
}

impl KeyType {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Production => "PRODUCTION",
            Self::Sandbox => "SANDBOX",
        }
    }
}

/// The text names no key type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key type")]
pub struct UnknownKeyType;

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "PRODUCTION" => Ok(Self::Production),
            "SANDBOX" => Ok(Self::Sandbox),
            _ => Err(UnknownKeyType),
        }
    }
}

/// An OAuth 2 client: the keys of an application, or a client registered by itself (DCR).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthClient {
    /// The client id (consumer key).
    pub id: ClientId,
    /// The client secret (consumer secret).
    pub secret: Sealed,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user it belongs to.
    pub owner: Username,
    /// The name.
    pub name: String,
    /// The application and key type it serves; `None` for a client registered by itself.
    pub mapping: Option<KeyMapping>,
    /// Grant types it may use, such as `client_credentials`.
    pub grants: Vec<String>,
    /// Where the user is sent back to; may be empty.
    pub callback_url: String,
    /// Form of its access tokens.
    pub token_type: TokenType,
    /// How long an application's token lives, in seconds; `None` for the default of 3 600.
    pub token_validity_s: Option<u64>,
    /// Further settings of the contract, as a JSON object.
    pub other_fields: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which application and key type a client serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMapping {
    /// The id the Store's contract calls `keyMappingId`.
    pub id: KeyMappingId,
    /// The application.
    pub application: ApplicationId,
    /// The key type.
    pub key_type: KeyType,
}

/// The SHA-256 of a token, refresh token, API key or join token. The token itself is never stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// Returns the digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// An access token that was issued and is kept in the state: every opaque one, and refresh tokens with theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The digest, which is its key.
    pub digest: TokenDigest,
    /// The client it was issued to.
    pub client: ClientId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user, or `None` for an application's own token.
    pub user: Option<Username>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The grant it came from.
    pub grant: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The refresh token that belongs to it.
    pub refresh: Option<RefreshToken>,
    /// What all tokens from one sign-in share, rotated refresh tokens and their access tokens; `None` for one that
    /// never had a refresh token.
    pub family: Option<TokenDigest>,
    /// Whether it is a JSON Web Token, which must be listed as revoked to become invalid, rather than an opaque one.
    pub is_self_contained: bool,
}

impl AccessToken {
    /// Returns until when it must be kept: a while past its own end, so that its holder hears that it expired rather
    /// than that it is unknown, or its refresh token's end where that is later.
    #[must_use]
    pub fn kept_until(&self) -> Timestamp {
        let own = self.expires_at.after(EXPIRED_TOKEN_KEPT);
        self.refresh.map_or(own, |refresh| refresh.expires_at.max(own))
    }
}

/// A refresh token of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// The digest.
    pub digest: TokenDigest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The id, `kid` in tokens.
    pub id: SigningKeyId,
    /// The algorithm: `ES256`, `RS256`, `EdDSA`.
    pub algorithm: String,
    /// The private key, PKCS #8 DER.
    pub private_key: Sealed,
    /// The public key as a JSON Web Key.
    pub public_jwk: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped signing; tokens it signed stay valid until they end.
    pub retired_at: Option<Timestamp>,
}
