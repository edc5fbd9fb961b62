//! What is written into the JSON Web Tokens that are issued: RFC 9068's claims and the original's. Signing is elsewhere.

use portcullis_model::authorization::TokenBinding;
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
    /// The client, or what the token is for (RFC 8707).
    pub aud: Audience,
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
    /// When the user signed in, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// What the bearer must prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Whom a token is for: one, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Says whether `name` is among them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// What the bearer of a token must prove (RFC 7800, RFC 8705, RFC 9449).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirmation {
    /// The thumbprint of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// The SHA-256 of a certificate.
    #[serde(rename = "x5t#S256", default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<String>,
}

impl Confirmation {
    pub fn of(binding: &TokenBinding) -> Self {
        match binding {
            TokenBinding::Key(key) => Self { jkt: Some(key.clone()), x5t: None },
            TokenBinding::Certificate(hash) => Self { jkt: None, x5t: Some(hash.clone()) },
        }
    }

    pub fn binding(&self) -> Option<TokenBinding> {
        let key = self.jkt.clone().map(TokenBinding::Key);
        key.or_else(|| self.x5t.clone().map(TokenBinding::Certificate))
    }
}

/// Who acts for the subject (RFC 8693, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Actor {
    pub sub: String,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
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
