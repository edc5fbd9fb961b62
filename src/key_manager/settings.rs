//! How the key manager is set up. Where the settings are read from is not known here.

use std::time::Duration;

use portcullis_jose::Algorithm;

use crate::directory::DirectorySettings;

/// The settings of the key manager. The same on all nodes of a cluster: a token of one node names the issuer that the
/// others expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the management port is reached from outside, without a slash at the end: `https://localhost:9443`.
    pub base_url: String,
    /// The issuer named in tokens.
    pub issuer: String,
    /// Whether the password grant is served: on, because the clients of the original use it; RFC 9700 advises against.
    pub is_password_grant_enabled: bool,
    /// How long an application's own token lives where its client does not say.
    pub application_token_validity: Duration,
    /// How long a user's token lives where its client does not say.
    pub user_token_validity: Duration,
    /// How long a refresh token lives where its client does not say.
    pub refresh_token_validity: Duration,
    /// How far a token's start may lie in the future, because another node's clock is ahead.
    pub clock_skew: Duration,
    /// Whether the implicit grant is served: off, RFC 9700 advises against.
    pub is_implicit_grant_enabled: bool,
    /// Whether confidential clients too must show a proof key (RFC 7636); public ones always must.
    pub is_pkce_required: bool,
    /// What tokens are signed with where their client does not say.
    pub signing_algorithm: Algorithm,
    /// How long an authorization code lives.
    pub code_validity: Duration,
    /// How long a sign-in in a browser lasts.
    pub sign_in_validity: Duration,
    /// Whether a client has one token at a time for a user and scopes: a new one revokes the one before.
    pub has_one_token: bool,
    /// Requests that wait or are in work at a time.
    pub requests_max: usize,
    /// When a user is locked out; never where it is `None`.
    pub lock_out: Option<LockOut>,
    /// The authorities that vouch for clients' certificates, PEM; clients show none where it is empty.
    pub client_authorities: String,
    /// Where users are asked about who are not known here.
    pub directory: Option<DirectorySettings>,
}

/// When a user is locked out for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOut {
    /// Failed sign-ins in a row at one node.
    pub failures: u32,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Settings {
    /// Returns the original's defaults for a management port at `base_url`.
    #[must_use]
    pub fn at(base_url: &str) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        Self {
            issuer: format!("{base_url}/oauth2/token"),
            base_url,
            is_password_grant_enabled: true,
            application_token_validity: Duration::from_secs(3_600),
            user_token_validity: Duration::from_secs(3_600),
            refresh_token_validity: Duration::from_secs(84_600),
            clock_skew: Duration::from_secs(300),
            is_implicit_grant_enabled: false,
            is_pkce_required: true,
            signing_algorithm: Algorithm::Es256,
            code_validity: Duration::from_secs(60),
            sign_in_validity: Duration::from_secs(28_800),
            has_one_token: false,
            requests_max: 1_024,
            lock_out: None,
            client_authorities: String::new(),
            directory: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::at("https://localhost:9443")
    }
}
