//! One key of the configuration: its name, what it accepts, and how it is read and shown.

use super::Config;
use super::value::Raw;

/// The keys that a node takes over while it runs. What each needs for that is in `crate::reload`.
pub(crate) const RELOADED: &[(&str, &str)] = &[
    ("node", "unready_ms"),
    ("node", "drain_ms"),
    ("gateway", "trusted_proxies"),
    ("gateway", "x_ratelimit_headers"),
    ("gateway", "websocket_idle_ms"),
    ("cluster", "fence_wait_ms"),
    ("throttling", "grant_wait_ms"),
    ("throttling", "on_no_quorum"),
    ("alerts", "webhook_url"),
    ("alerts", "webhook_url_file"),
    ("alerts", "mail_url_file"),
    ("alerts", "mail_from"),
    ("alerts", "mail_to"),
    ("alerts", "every_s"),
    ("alerts", "quiet_s"),
    ("alerts", "calls_min"),
    ("alerts", "factor"),
    ("alerts", "errors_percent"),
    ("alerts", "throttled_min"),
    ("log", "level"),
];

/// The keys whose values may hold a secret themselves: all that are addresses of the web. Others name files that do.
const MAY_HOLD_SECRETS: &[(&str, &str)] = &[
    ("alerts", "webhook_url"),
    ("assistant", "url"),
    ("events", "webhook_url"),
    ("events", "google_url"),
    ("gateway", "content_safety_url"),
    ("monetization", "billing_url"),
    ("security_audit", "url"),
    ("telemetry", "otlp_endpoint"),
];

/// One key. The table of all keys is [`super::KEYS`].
#[derive(Clone, Copy)]
pub struct Key {
    /// The section of the file.
    pub section: &'static str,
    /// The name within the section.
    pub name: &'static str,
    /// What it does, line by line.
    pub doc: &'static [&'static str],
    /// What it accepts, in words.
    pub accepts: &'static str,
    /// Writes its value as TOML.
    pub show: fn(&Config) -> String,
    /// Sets its value; `false` where the value is not acceptable.
    pub(super) set: fn(&mut Config, Raw<'_, '_>) -> bool,
    /// Guesses what was meant by a value that is not acceptable.
    pub(super) meant: fn(Raw<'_, '_>) -> Option<String>,
}

impl Key {
    /// Returns the whole name, `gateway.http_port`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Returns the environment variable that sets it, `PORTCULLIS_GATEWAY__HTTP_PORT`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("PORTCULLIS_{}__{}", self.section.to_uppercase(), self.name.to_uppercase())
    }

    /// Says whether a node that runs takes over a changed value when it is told to read its configuration again. Otherwise
    /// the value counts from the next start.
    #[must_use]
    pub fn is_reloaded(&self) -> bool {
        RELOADED.contains(&(self.section, self.name))
    }

    /// Returns when a changed value counts, in words.
    #[must_use]
    pub fn in_force(&self) -> &'static str {
        if self.is_reloaded() { "after a reload" } else { "after a restart" }
    }

    /// Says whether its value may hold a secret itself, so that it is neither shown whole nor logged.
    #[must_use]
    pub fn may_hold_secret(&self) -> bool {
        MAY_HOLD_SECRETS.contains(&(self.section, self.name))
    }

    /// Returns its value as TOML for people who may not see secrets: of an address that may hold one, the host alone.
    #[must_use]
    pub fn show_without_secrets(&self, config: &Config) -> String {
        let value = (self.show)(config);
        if !self.may_hold_secret() || value == "\"\"" {
            return value;
        }
        let text = value.trim_matches('"');
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("\"{scheme}://{host}/…\"")
    }

    /// Returns what it does, as one paragraph.
    #[must_use]
    pub fn about(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.path())
    }
}

/// Finds a key by its whole name.
#[must_use]
pub fn find_key(path: &str) -> Option<&'static Key> {
    super::KEYS.iter().find(|key| key.path() == path)
}

/// Returns the known word that is most like `wrong`, if one is like enough to be what was meant.
pub(super) fn closest(wrong: &str, known: impl Iterator<Item = String>) -> Option<String> {
    const LIKE_ENOUGH: f64 = 0.7;
    known
        .map(|word| (strsim::jaro_winkler(wrong, &word), word))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Returns the key that was most likely meant by `path`: by the whole name, or by the name in another section.
#[must_use]
pub fn closest_key(path: &str) -> Option<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let elsewhere = super::KEYS.iter().find(|key| key.name == name).map(Key::path);
    elsewhere.or_else(|| closest(path, super::KEYS.iter().map(Key::path)))
}
