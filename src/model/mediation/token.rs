//! Policies that look at the token of a call: a claim that it must have, and tokens that are good for one call. Names of
//! parameters and defaults are the original's.

use regex::Regex;

use super::step::{Kind, Parameter, flag, optional, required};
use super::threat::compile_pattern;
use super::{BadPolicy, Flow, VERSION};

/// Characters of a claim's name.
const CLAIM_CHARS_MAX: usize = 256;
/// Characters of the value that is asked for, and of a scope.
const VALUE_CHARS_MAX: usize = 1_023;

/// What a token must say of its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedClaim {
    /// The claim's name.
    pub name: String,
    /// What it must be.
    pub value: String,
    /// What it must match, whole, instead of being `value`; `value` must match it too. `None` for no pattern.
    pub pattern: Option<String>,
    /// Whether a token passes whose claim is another: the claim must be there, and that is all.
    pub lets_others_pass: bool,
}

/// Returns a pattern for whole texts.
///
/// # Errors
/// Where it is none that is served.
pub fn whole_pattern(pattern: &str) -> Result<Regex, regex::Error> {
    // By itself first: what is no pattern could become one within the brackets.
    compile_pattern(pattern)?;
    compile_pattern(&format!(r"\A(?:{pattern})\z"))
}

impl WantedClaim {
    /// Reads what is asked for.
    pub(super) fn parse(name: &str, value: &str, pattern: &str, lets_others_pass: bool) -> Result<Self, BadPolicy> {
        let name = bounded("accessVerificationClaim", name.trim(), CLAIM_CHARS_MAX)?;
        let value = bounded("accessVerificationClaimValue", value, VALUE_CHARS_MAX)?;
        let pattern = Some(pattern).filter(|pattern| !pattern.trim().is_empty());
        if let Some(pattern) = pattern {
            whole_pattern(pattern).map_err(|error| {
                bad("accessVerificationClaimValueRegex", format!("is not a regular expression that is served: {error}"))
            })?;
        }
        Ok(Self { name, value, pattern: pattern.map(str::to_owned), lets_others_pass })
    }
}

/// Reads the scope of tokens that are good for one call.
pub(super) fn parse_scope(scope: &str) -> Result<String, BadPolicy> {
    let scope = bounded("scope", scope.trim(), VALUE_CHARS_MAX)?;
    let is_token = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if scope.bytes().all(is_token) {
        Ok(scope)
    } else {
        Err(bad("scope", format!("`{scope}` is not one scope (RFC 6749 §3.3)")))
    }
}

fn bad(name: &str, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { place: format!("parameters.{name}"), reason: reason.into() }
}

fn bounded(name: &str, text: &str, chars_max: usize) -> Result<String, BadPolicy> {
    match text.chars().count() {
        0 => Err(bad(name, "must not be empty")),
        count if count > chars_max => Err(bad(name, format!("has more than {chars_max} characters"))),
        _ => Ok(text.to_owned()),
    }
}

/// A claim that tokens must have.
pub(super) const CLAIM: Kind = Kind {
    name: "jwtClaimBasedAccessValidator",
    version: VERSION,
    title: "JWT Claim Based Access Validator",
    description: "Turns away calls whose access token does not have a claim of a value",
    flows: &[Flow::Request],
    parameters: &[
        required("accessVerificationClaim", "Access Verification Claim", "Name of the claim"),
        required("accessVerificationClaimValue", "Access Verification Claim Value", "What the claim must be"),
        optional(
            "accessVerificationClaimValueRegex",
            "Access Verification Claim Value Regex",
            "What both the claim and the value must match, instead of being the same",
            "",
        ),
        flag(
            "shouldAllowValidation",
            "Should Allow Validation",
            "Whether calls pass whose token has the claim with another value",
            "false",
        ),
    ],
};

/// Tokens that are good for one call.
pub(super) const ONE_TIME: Kind = Kind {
    name: "revokeOneTimeToken",
    version: VERSION,
    title: "Revoke One Time Token",
    description: "Revokes an access token that has a scope when it is used, so that it is good for one call",
    flows: &[Flow::Request],
    parameters: &[Parameter {
        is_required: true,
        ..optional("scope", "Scope", "The scope that tokens for one call have", "OTT")
    }],
};

#[cfg(test)]
mod tests {
    use super::{WantedClaim, parse_scope, whole_pattern};

    #[test]
    fn a_pattern_is_for_the_whole_text_with_the_case_of_its_letters() {
        let pattern = whole_pattern("CUST|ADMIN[A-Z]*").unwrap();
        for (text, matches) in [
            ("CUST", true),
            ("ADMINISTRATOR", true),
            ("CUSTOMER", false),
            ("cust", false),
            ("x ADMIN", false),
            ("CUST\n", false),
        ] {
            assert_eq!(pattern.is_match(text), matches, "{text:?}");
        }
        assert!(whole_pattern("a)|(b").is_err());
    }

    #[test]
    fn what_asks_for_nothing_or_too_much_is_refused_with_its_place() {
        let place = |name: &str, value: &str, pattern: &str| {
            WantedClaim::parse(name, value, pattern, false).map_err(|bad| bad.place).err()
        };
        assert_eq!(place("aut", "APPLICATION", ""), None);
        assert_eq!(place(" ", "x", "").as_deref(), Some("parameters.accessVerificationClaim"));
        assert_eq!(place("aut", "", "").as_deref(), Some("parameters.accessVerificationClaimValue"));
        assert_eq!(place("aut", "x", "(").as_deref(), Some("parameters.accessVerificationClaimValueRegex"));
        assert_eq!(place("aut", "x", "a{9999}{9999}").as_deref(), Some("parameters.accessVerificationClaimValueRegex"));
        assert_eq!(parse_scope(" OTT ").unwrap(), "OTT");
        for scope in ["", "a b", "ä", "a\"b"] {
            assert_eq!(
                parse_scope(scope).map_err(|bad| bad.place).err().as_deref(),
                Some("parameters.scope"),
                "{scope}"
            );
        }
    }
}
