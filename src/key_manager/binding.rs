//! What a new token is bound to: the key of a proof (RFC 9449) or the client's certificate (RFC 8705).

use std::time::{Duration, Instant};

use portcullis_jose::proof::{self, Requested};
use portcullis_model::authorization::TokenBinding;

use crate::authority::Authority;
use crate::certificate;
use crate::client_settings::{AuthenticationMethod, ClientSettings};
use crate::messages::Evidence;
use crate::oauth_error::OauthError;

impl Authority {
    /// Returns what a token that is asked for with this evidence is bound to.
    pub fn binding(&self, settings: &ClientSettings, evidence: &Evidence) -> Result<Option<TokenBinding>, OauthError> {
        if let Some(text) = &evidence.proof {
            let now_s = self.now(&self.handle.view()).as_secs();
            let requested = Requested { method: &evidence.method, path: &evidence.path, token: None, now_s };
            let proof = proof::check(text, requested)
                .map_err(|flaw| OauthError::told("invalid_dpop_proof", flaw.to_string()))?;
            // Twice its life: it may come from a clock that is ahead.
            if !self.assertions.note(proof.id, Instant::now() + Duration::from_secs(2 * proof::LIFE_S)) {
                return Err(OauthError::told("invalid_dpop_proof", "The DPoP proof was used before."));
            }
            return Ok(Some(TokenBinding::Key(proof.key)));
        }
        if settings.must_prove_key {
            return Err(OauthError::told("invalid_dpop_proof", "This client must send a DPoP proof."));
        }
        let is_by_certificate =
            matches!(settings.authentication, AuthenticationMethod::Certificate | AuthenticationMethod::OwnCertificate);
        if settings.has_certificate_bound_tokens || is_by_certificate {
            let Some(shown) = &evidence.certificate else {
                return Err(OauthError::invalid_request("This client's tokens are bound to its certificate: show it."));
            };
            return Ok(Some(TokenBinding::Certificate(certificate::hash_of(shown))));
        }
        Ok(None)
    }

    /// Checks that the bearer of a token holds what it is bound to.
    pub fn check_possession(
        &self,
        binding: Option<&TokenBinding>,
        token: &str,
        is_shown_as_bound: bool,
        evidence: &Evidence,
    ) -> Result<(), OauthError> {
        let not_proven =
            || OauthError::invalid_token("The access token is bound to a key or certificate that was not proven.");
        match binding {
            None if is_shown_as_bound => Err(OauthError::invalid_token("The access token is not bound to a key.")),
            None => Ok(()),
            Some(TokenBinding::Certificate(hash)) => {
                let shown = evidence.certificate.as_deref().map(certificate::hash_of);
                if shown.as_ref() == Some(hash) { Ok(()) } else { Err(not_proven()) }
            }
            Some(TokenBinding::Key(key)) => {
                let text = evidence.proof.as_deref().filter(|_| is_shown_as_bound).ok_or_else(not_proven)?;
                let now_s = self.now(&self.handle.view()).as_secs();
                let (method, path) = (evidence.method.as_str(), evidence.path.as_str());
                let requested = Requested { method, path, token: Some(token), now_s };
                let proof = proof::check(text, requested).map_err(|_| not_proven())?;
                let until = Instant::now() + Duration::from_secs(2 * proof::LIFE_S);
                if proof.key == *key && self.assertions.note(proof.id, until) { Ok(()) } else { Err(not_proven()) }
            }
        }
    }
}
