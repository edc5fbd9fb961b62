//! Policies that look at the token of a call: a claim that it must have, and tokens that are good for one call.

use std::time::Duration;

use portcullis_model::mediation::token::{WantedClaim, whole_pattern};
use portcullis_model::port::KeyRefusal;
use regex::Regex;

use crate::authenticate::Known;
use crate::claims::VALUE_CHARS_MAX;
use crate::credentials;
use crate::forward::Passage;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// How long it may take to spend a token: an entry in the log, of which every node hears.
const SPENDING_TIME: Duration = Duration::from_secs(10);

/// A claim that tokens must have, compiled.
#[derive(Debug)]
pub(super) struct ClaimGuard {
    wanted: WantedClaim,
    pattern: Option<Regex>,
    /// Whether the value that is asked for matches the pattern; otherwise nobody passes, as in the original.
    is_matched_by_value: bool,
}

impl ClaimGuard {
    /// Compiles it.
    pub(super) fn new(wanted: WantedClaim) -> Result<Self, regex::Error> {
        let pattern = wanted.pattern.as_deref().map(whole_pattern).transpose()?;
        let is_matched_by_value = pattern.as_ref().is_none_or(|pattern| pattern.is_match(&wanted.value));
        Ok(Self { wanted, pattern, is_matched_by_value })
    }

    /// Looks at what a token says of its bearer; one value of a list is enough.
    ///
    /// # Errors
    /// Where the claim is not there, or is another.
    pub(super) fn check(&self, claims: &[(String, String)]) -> Result<(), Refusal> {
        let values = claims.iter().filter(|(name, value)| *name == self.wanted.name && !value.trim().is_empty());
        let mut values = values.map(|(_, value)| value.as_str()).peekable();
        if values.peek().is_none() {
            return Err(Refusal::no_claim(&self.wanted.name));
        }
        if self.wanted.lets_others_pass || values.any(|value| self.is_wanted(value)) {
            return Ok(());
        }
        Err(Refusal::wrong_claim())
    }

    fn is_wanted(&self, value: &str) -> bool {
        match &self.pattern {
            // Of a longer one the beginning alone is there, which may match though the whole does not.
            _ if value.chars().count() >= VALUE_CHARS_MAX => false,
            Some(pattern) => self.is_matched_by_value && pattern.is_match(value),
            None => value == self.wanted.value,
        }
    }
}

/// Returns what the token of a call says of its bearer; nothing where none was shown.
pub(super) fn claims<'a>(passage: &Passage<'a>) -> &'a [(String, String)] {
    passage.known.map_or(&[], |known| known.caller().claims.all())
}

/// Spends the token of a call, where it has the scope.
///
/// # Errors
/// Where it was spent before, or nobody can say.
pub(super) async fn spend(worker: &Worker, passage: &Passage<'_>, scope: &str) -> Result<(), Refusal> {
    let has_scope = |known: &&Known| known.is_by_token() && known.key.scopes.iter().any(|held| held == scope);
    let Some(known) = passage.known.filter(has_scope) else { return Ok(()) };
    let (api, request) = (passage.api, passage.request);
    let token = if api.schemes.is_token_alone {
        credentials::token_of(api, request)?
    } else {
        credentials::key_of(api, request)?.ok_or_else(Refusal::invalid_credentials)?.text
    };
    let spending = worker.ports.keys.spend(token, known.key.expires_at);
    let spent = tokio::time::timeout(SPENDING_TIME, spending).await;
    spent.unwrap_or(Err(KeyRefusal::Unavailable)).map_err(Refusal::from_key)
}

#[cfg(test)]
mod tests {
    use portcullis_model::mediation::token::WantedClaim;

    use super::{ClaimGuard, VALUE_CHARS_MAX};

    fn guard(value: &str, pattern: Option<&str>, lets_others_pass: bool) -> ClaimGuard {
        let (name, value, pattern) = ("role".to_owned(), value.to_owned(), pattern.map(str::to_owned));
        ClaimGuard::new(WantedClaim { name, value, pattern, lets_others_pass }).unwrap()
    }

    #[test]
    fn a_claim_must_be_what_is_asked_for_or_match_with_it() {
        let claims = |values: &[&str]| -> Vec<(String, String)> {
            let other = ("other".to_owned(), "chef".to_owned());
            values.iter().map(|value| ("role".to_owned(), (*value).to_owned())).chain([other]).collect()
        };
        for (guard, values, code) in [
            (guard("chef", None, false), &["chef"][..], 0),
            (guard("chef", None, false), &["waiter", "chef"], 0),
            (guard("chef", None, false), &["Chef"], 900_912),
            (guard("chef", None, false), &[], 900_913),
            (guard("chef", None, false), &[" "], 900_913),
            (guard("chef", None, true), &["waiter"], 0),
            (guard("chef", None, true), &[], 900_913),
            (guard("chef", Some("[a-z]+"), false), &["waiter"], 0),
            (guard("chef", Some("[a-z]+"), false), &["waiter 2"], 900_912),
            (guard("CHEF", Some("[a-z]+"), false), &["waiter"], 900_912),
        ] {
            let told = guard.check(&claims(values)).map_or_else(|refusal| refusal.number(), |()| 0);
            assert_eq!(told, code, "{guard:?} {values:?}");
        }
        // What is longer than is looked at is cut: it is taken for nothing.
        let cut = "a".repeat(VALUE_CHARS_MAX);
        assert!(guard("chef", Some("[a-z]+"), false).check(&claims(&[cut.as_str()])).is_err());
    }
}
