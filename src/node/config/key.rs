//! One key of the configuration: its name, what it accepts, and how it is read and shown.

use super::Config;
use super::value::Raw;

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
pub(super) fn closest_key(path: &str) -> Option<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let elsewhere = super::KEYS.iter().find(|key| key.name == name).map(Key::path);
    elsewhere.or_else(|| closest(path, super::KEYS.iter().map(Key::path)))
}
