//! Conditions, compiled: addresses as numbers, header names parsed, patterns bounded.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::call::Call;
use crate::policy_rules::{Condition, GroupCondition};

/// Characters of a pattern.
pub const PATTERN_CHARS_MAX: usize = 256;
/// Bytes of a compiled pattern, and of what matching it may keep: time is linear in the text in any case.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// Characters of the name of a header, a query parameter or a claim.
pub const CONDITION_NAME_CHARS_MAX: usize = 256;

/// Why a condition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// A pattern is no regular expression, or too large.
    #[error("`{pattern}` is not a pattern that can be used: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name is none.
    #[error("`{0}` is not a name of a header")]
    HeaderName(String),
    /// A name is empty or too long.
    #[error("a name must have 1 to {CONDITION_NAME_CHARS_MAX} characters")]
    Name,
    /// The ends of a range are of two families, or the wrong way round.
    #[error("a range goes from the lower to the higher of two addresses of one family; {from} to {to} does not")]
    Range {
        /// The first address.
        from: IpAddr,
        /// The last address.
        to: IpAddr,
    },
}

/// A condition ready to be met.
#[derive(Clone, Debug)]
pub struct CompiledCondition {
    test: Test,
    is_inverted: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Network(IpNet),
    Range(IpAddr, IpAddr),
    Header(HeaderName, Regex),
    Query(Box<str>, Regex),
    Claim(Box<str>, Regex),
}

impl CompiledCondition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// Where it cannot be used.
    pub fn compile(from: &GroupCondition) -> Result<Self, BadCondition> {
        let named = |name: &str| {
            let is_good = (1..=CONDITION_NAME_CHARS_MAX).contains(&name.chars().count());
            if is_good { Ok(Box::from(name)) } else { Err(BadCondition::Name) }
        };
        let test = match &from.condition {
            Condition::Ip(network) => Test::Network(*network),
            Condition::IpRange { from, to } => {
                check_range(*from, *to)?;
                Test::Range(*from, *to)
            }
            Condition::Header { name, pattern } => {
                let name = HeaderName::try_from(name.as_str()).map_err(|_| BadCondition::HeaderName(name.clone()))?;
                Test::Header(name, compile_pattern(pattern)?)
            }
            Condition::Query { name, pattern } => Test::Query(named(name)?, compile_pattern(pattern)?),
            Condition::Claim { name, pattern } => Test::Claim(named(name)?, compile_pattern(pattern)?),
        };
        Ok(Self { test, is_inverted: from.is_inverted })
    }

    /// Says whether the call meets it.
    #[must_use]
    pub fn is_met_by(&self, call: &Call<'_>) -> bool {
        let holds = match &self.test {
            Test::Network(network) => network.contains(&call.client.to_canonical()),
            Test::Range(from, to) => is_within(call.client, *from, *to),
            Test::Header(name, pattern) => call
                .headers
                .get_all(name)
                .iter()
                .any(|value| std::str::from_utf8(value.as_bytes()).is_ok_and(|value| pattern.is_match(value))),
            Test::Query(name, pattern) => call.query_values(name).any(|value| pattern.is_match(&value)),
            Test::Claim(name, pattern) => call.claim_values(name).any(|value| pattern.is_match(value)),
        };
        holds != self.is_inverted
    }
}

/// Compiles a pattern, which is found anywhere in a value unless it says `^` and `$`.
///
/// # Errors
/// Where it is no regular expression or would take too much.
pub fn compile_pattern(pattern: &str) -> Result<Regex, BadCondition> {
    let bad = |reason: String| BadCondition::Pattern { pattern: pattern.chars().take(40).collect(), reason };
    if pattern.chars().count() > PATTERN_CHARS_MAX {
        return Err(bad(format!("it has more than {PATTERN_CHARS_MAX} characters")));
    }
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => bad("it would be too large when compiled".to_owned()),
        error => {
            bad(error.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned())
        }
    })
}

/// Checks the ends of a range of addresses.
///
/// # Errors
/// Where they are of two families, or the wrong way round.
pub fn check_range(from: IpAddr, to: IpAddr) -> Result<(), BadCondition> {
    let is_good = from.is_ipv4() == to.is_ipv4() && from <= to;
    if is_good { Ok(()) } else { Err(BadCondition::Range { from, to }) }
}

/// Says whether an address lies between two, both included. An IPv4 address written as IPv6 counts as IPv4.
#[must_use]
pub fn is_within(address: IpAddr, from: IpAddr, to: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_ipv4() == from.is_ipv4() && (from..=to).contains(&address)
}
