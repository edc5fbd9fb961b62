//! Tokens that are bound to a key or a certificate: the bearer must prove that he holds it, with each call (RFC 9449,
//! RFC 8705). Tokens that are not bound cost nothing here.

use std::time::{Duration, Instant};

use http::request::Parts;
use portcullis_jose::proof::{self, Requested};
use portcullis_model::Timestamp;
use portcullis_model::authorization::TokenBinding;

use crate::peer::PeerCertificate;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// The header of a proof.
const PROOF: &str = "dpop";
/// The scheme of tokens that are bound to a key.
pub(crate) const SCHEME: &str = "dpop";

/// Checks that the caller holds what the token is bound to.
///
/// # Errors
/// Where that is not proven, or the proof was used before on this node.
pub(crate) fn check(
    worker: &Worker,
    binding: &TokenBinding,
    token: &str,
    is_shown_as_bound: bool,
    request: &Parts,
    certificate: Option<&PeerCertificate>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let key = match binding {
        TokenBinding::Key(key) => key,
        TokenBinding::Certificate(thumbprint) => return check_certificate(thumbprint, certificate),
    };
    if !is_shown_as_bound {
        return Err(Refusal::no_proof("The access token is bound to a key: send it as DPoP, with a proof."));
    }
    let mut proofs = request.headers.get_all(PROOF).iter();
    let (Some(text), None) = (proofs.next().and_then(|value| value.to_str().ok()), proofs.next()) else {
        return Err(Refusal::no_proof("Send one DPoP header with one proof."));
    };
    let requested = Requested {
        method: request.method.as_str(),
        path: request.uri.path(),
        token: Some(token),
        now_s: now.as_secs(),
    };
    let proof = proof::check(text, requested).map_err(|flaw| Refusal::no_proof(flaw.to_string()))?;
    if proof.key != *key {
        return Err(Refusal::no_proof("The DPoP proof is by another key than the access token is bound to."));
    }
    // Twice its life: it may come from a clock that is ahead.
    if !worker.proofs.note(proof.id, Instant::now() + Duration::from_secs(2 * proof::LIFE_S)) {
        return Err(Refusal::no_proof("The DPoP proof was used before."));
    }
    Ok(())
}

/// Checks that the client showed the certificate that a token is bound to. Clients are asked for one where the API accepts
/// certificates; whether it trusts this one is another question.
fn check_certificate(thumbprint: &str, certificate: Option<&PeerCertificate>) -> Result<(), Refusal> {
    match certificate {
        Some(shown) if shown.thumbprint == thumbprint => Ok(()),
        Some(_) => {
            Err(Refusal::wrong_binding("The access token is bound to another certificate than the client shows."))
        }
        None => Err(Refusal::wrong_binding("The access token is bound to a certificate that was not shown.")),
    }
}
