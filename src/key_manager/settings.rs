//! How the key manager is set up. Where the settings are read from is not known here.

use std::time::Duration;

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
    /// Requests that wait or are in work at a time.
    pub requests_max: usize,
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
            requests_max: 1_024,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::at("https://localhost:9443")
    }
}
