//! Proof key for code exchange (RFC 7636). Only S256 is served: with `plain` whoever sees the request has the proof.

use portcullis_jose::base64url;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// Characters of a SHA-256 in base64url.
const CHALLENGE_CHARS: usize = 43;

/// Reads the challenge of an authorization request.
pub(crate) fn read_challenge(parameters: &Parameters) -> Result<Option<String>, OauthError> {
    let method = parameters.get("code_challenge_method");
    let Some(challenge) = parameters.get("code_challenge") else {
        return match method {
            None => Ok(None),
            Some(_) => Err(OauthError::invalid_request("code_challenge_method goes with a code_challenge.")),
        };
    };
    if method != Some("S256") {
        return Err(OauthError::invalid_request("code_challenge_method must be S256."));
    }
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if challenge.len() != CHALLENGE_CHARS || !challenge.chars().all(is_base64url) {
        return Err(OauthError::invalid_request("code_challenge must be a SHA-256 in base64url: 43 characters."));
    }
    Ok(Some(challenge.to_owned()))
}

/// Says whether a verifier is the one of the challenge; and where there is no challenge, that there is no verifier
/// (RFC 9700, section 4.8.2).
pub(crate) fn is_proven(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) if (43..=128).contains(&verifier.len()) => {
            base64url(&Sha256::digest(verifier)).as_bytes().ct_eq(challenge.as_bytes()).into()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_rfcs_own_example_proves_its_challenge() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_proven(Some(challenge), Some(verifier)));
        assert!(is_proven(None, None));
        assert!(!is_proven(Some(challenge), None));
        assert!(!is_proven(None, Some(verifier)), "a challenge that was stripped on the way is noticed");
        assert!(!is_proven(Some(challenge), Some(challenge)));
    }
}
