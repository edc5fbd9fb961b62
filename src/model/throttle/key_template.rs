//! The key of a custom rule: a template with the original's variables, compiled.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::expression::Variable;

/// Characters of a template.
pub const TEMPLATE_CHARS_MAX: usize = 512;
/// Bytes of a key; a longer one keeps its beginning, and a digest stands for the rest.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of the digest's text in such a key.
const DIGEST_CHARS: usize = 32;

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// It is empty or too long.
    #[error("must have 1 to {TEMPLATE_CHARS_MAX} characters")]
    Length,
    /// It names an unknown variable.
    #[error(
        "`${0}` is not known; there are $userId, $apiContext, $apiVersion, $resourceKey, $appTenant, $apiTenant, $appId \
         and $clientIp"
    )]
    UnknownVariable(String),
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct KeyTemplate(Box<[Part]>);

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Variable(Variable),
}

impl KeyTemplate {
    /// Compiles a template: `$userId:$apiContext`. A dollar sign that no letter follows stands for itself.
    ///
    /// # Errors
    /// Where it is empty, too long, or names what is not known.
    pub fn compile(template: &str) -> Result<Self, BadTemplate> {
        if !(1..=TEMPLATE_CHARS_MAX).contains(&template.trim().chars().count()) {
            return Err(BadTemplate::Length);
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template.trim();
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            text.push_str(before);
            let end = after.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(after.len());
            let name = &after[..end];
            match Variable::named(name) {
                Some(variable) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text).into()));
                    }
                    parts.push(Part::Variable(variable));
                    rest = &after[end..];
                }
                None if name.starts_with(|one: char| one.is_ascii_alphabetic()) => {
                    return Err(BadTemplate::UnknownVariable(name.to_owned()));
                }
                None => {
                    text.push('$');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self(parts.into()))
    }

    /// Writes the key of a call into `key`, which is cleared before.
    pub fn expand(&self, call: &Call<'_>, key: &mut String) {
        key.clear();
        for part in &self.0 {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Variable(variable) => variable.with(call, |value| key.push_str(value)),
            }
        }
        if key.len() > KEY_BYTES_MAX {
            shorten(key);
        }
    }

    /// Says whether the key may differ between calls with one token to one API.
    #[must_use]
    pub fn depends_on_call(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Variable(variable) if variable.depends_on_call()))
    }
}

fn shorten(key: &mut String) {
    let digest = Sha256::digest(key.as_bytes());
    let mut end = KEY_BYTES_MAX - DIGEST_CHARS - 1;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.truncate(end);
    key.push('#');
    for byte in &digest[..DIGEST_CHARS / 2] {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
}
