//! What is written into the JSON Web Tokens that are issued: RFC 9068's claims and the original's. Signing is elsewhere.

use portcullis_model::{TenantDomain, Username};
use serde::{Deserialize, Serialize};

/// `aut` of an application's own token.
pub(crate) const APPLICATION: &str = "APPLICATION";
/// `aut` of a user's token.
pub(crate) const APPLICATION_USER: &str = "APPLICATION_USER";

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    /// The issuer.
    pub iss: String,
    /// `user@tenant`, or the client id for an application's own token (RFC 9068, section 2.2).
    pub sub: String,
    /// Whether it is a user's token: [`APPLICATION`] or [`APPLICATION_USER`].
    pub aut: String,
    /// The client.
    pub aud: String,
    /// The client again, as OpenID Connect names it.
    pub azp: String,
    /// The client again, as RFC 9068 names it.
    pub client_id: String,
    /// The client again, as the original names it.
    #[serde(rename = "consumerKey")]
    pub consumer_key: String,
    /// When it was issued, in seconds.
    pub iat: u64,
    /// From when on it is good, in seconds.
    pub nbf: u64,
    /// When it ends, in seconds.
    pub exp: u64,
    /// Its id.
    pub jti: String,
    /// The scopes, with spaces between them.
    pub scope: String,
    /// `PRODUCTION` or `SANDBOX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keytype: Option<String>,
    /// The application, for people and backends; validation looks at the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationClaim>,
}

/// What an access token tells about its application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApplicationClaim {
    /// The id.
    pub uuid: String,
    /// The name.
    pub name: String,
    /// The application policy.
    pub tier: String,
    /// The owner.
    pub owner: String,
}

/// The claims of an id token (OpenID Connect Core, section 2).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub azp: String,
    pub iat: u64,
    pub auth_time: u64,
    pub exp: u64,
    pub at_hash: String,
}

/// Returns a user as tokens name it.
pub(crate) fn subject(tenant: &TenantDomain, username: &Username) -> String {
    format!("{username}@{tenant}")
}

/// Reads a user as tokens name it.
pub(crate) fn read_subject(subject: &str) -> Option<(TenantDomain, Username)> {
    let (username, tenant) = subject.rsplit_once('@')?;
    Some((TenantDomain(tenant.to_owned()), Username(username.to_owned())))
}
