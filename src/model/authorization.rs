//! What lies between a user's word and a token: sign-ins in the browser, consents, and grants that wait to be turned
//! into tokens (authorization codes, device codes, pushed requests).

use serde::{Deserialize, Serialize};

use crate::id::ClientId;
use crate::oauth::TokenDigest;
use crate::sealed::Sealed;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// A user's sign-in in a browser. Its key is the digest of what the browser's cookie holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user.
    pub username: Username,
    /// When the password was shown.
    pub signed_in_at: Timestamp,
    /// When the sign-in ends.
    pub expires_at: Timestamp,
    /// The digest of the user's password hash at that time: another password ends the sign-in.
    pub password: TokenDigest,
}

/// What a user lets a client have without being asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The scopes.
    pub scopes: Vec<String>,
    /// When it was given.
    pub given_at: Timestamp,
}

/// A grant that waits to be turned into a token, or was and is kept so that a second use is noticed. Its key is the
/// digest of the code or of the request's reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingGrant {
    /// An authorization code (RFC 6749, section 4.1).
    Code(AuthorizationCode),
    /// A code that was turned into a token.
    Spent(SpentGrant),
    /// A device's request (RFC 8628).
    Device(DeviceGrant),
    /// An authorization request that the client pushed (RFC 9126).
    Pushed(PushedRequest),
}

/// An authorization code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationCode {
    /// The client it was issued to.
    pub client: ClientId,
    /// The user's tenant.
    pub tenant: TenantDomain,
    /// The user.
    pub username: Username,
    /// Where the user was sent back to.
    pub redirect_uri: String,
    /// Whether the request named it, so that the token request must name it again.
    pub is_redirect_uri_named: bool,
    /// The scopes that were granted.
    pub scopes: Vec<String>,
    /// The challenge of RFC 7636, method S256.
    pub challenge: Option<String>,
    /// The value that the id token repeats.
    pub nonce: Option<String>,
    /// The thumbprint of the key that must prove itself (RFC 9449, section 10).
    pub proof_key: Option<String>,
    /// What the token is for (RFC 8707).
    pub resources: Vec<String>,
    /// When the user signed in.
    pub signed_in_at: Timestamp,
    /// When the code ends.
    pub expires_at: Timestamp,
}

/// What became of a grant that was turned into a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentGrant {
    /// The client.
    pub client: ClientId,
    /// The access token.
    pub token: TokenDigest,
    /// What the tokens from this sign-in share, where there is a refresh token.
    pub family: Option<TokenDigest>,
    /// When the access token ends.
    pub token_expires_at: Timestamp,
}

/// A device's request for a token, on which its user decides in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceGrant {
    /// The client.
    pub client: ClientId,
    /// What the user types, without the hyphen.
    pub user_code: String,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// What the token is for (RFC 8707).
    pub resources: Vec<String>,
    /// What the user said; `None` until then.
    pub decision: Option<DeviceDecision>,
    /// When the request ends.
    pub expires_at: Timestamp,
}

/// What a user said to a device's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceDecision {
    /// No.
    Denied,
    /// Yes.
    Allowed {
        /// The user's tenant.
        tenant: TenantDomain,
        /// The user.
        username: Username,
        /// The scopes that were granted.
        scopes: Vec<String>,
        /// When the user signed in.
        signed_in_at: Timestamp,
    },
}

/// An authorization request that a client pushed ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRequest {
    /// The client.
    pub client: ClientId,
    /// The parameters, as a query.
    pub query: String,
    /// When the reference ends.
    pub expires_at: Timestamp,
}

impl PendingGrant {
    /// Returns whose it is.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        match self {
            Self::Code(code) => &code.client,
            Self::Spent(spent) => &spent.client,
            Self::Device(device) => &device.client,
            Self::Pushed(pushed) => &pushed.client,
        }
    }
}

/// Facts about a token that is kept, beside those that every token has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDetails {
    /// When the user signed in, where he did.
    pub signed_in_at: Option<Timestamp>,
    /// What the token is for (RFC 8707); anything where it is empty.
    pub resources: Vec<String>,
    /// What the bearer must prove.
    pub binding: Option<TokenBinding>,
    /// Who acts for the subject (RFC 8693, section 4.1).
    pub actor: Option<String>,
}

impl TokenDetails {
    /// Says whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the bearer of a token must prove to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenBinding {
    /// The key with this thumbprint (RFC 7638, base64url), by a proof with each request (RFC 9449).
    Key(String),
    /// The certificate with this SHA-256 (base64url), by mutual TLS (RFC 8705).
    Certificate(String),
}

/// Somebody whose assertions about a tenant's users are taken (RFC 7523).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedIssuer {
    /// Its public keys, as a JSON list of JSON Web Keys.
    pub keys: String,
    /// How its assertions may name this server, beside the server's own names.
    pub audience: Option<String>,
    /// When it was trusted.
    pub created_at: Timestamp,
}

/// That a client was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRevocation {
    /// When: tokens from before are worthless for ever.
    pub at: Timestamp,
    /// Whether it has had another secret since, and gets tokens again.
    pub is_over: bool,
}

/// A further secret of a client, beside the one that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// The secret.
    pub secret: Sealed,
    /// What it is for, in its owner's words.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}
