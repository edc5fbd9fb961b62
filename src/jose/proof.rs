//! Proofs of possession (DPoP, RFC 9449): a signed word of the caller about one request, by the key that its token is
//! bound to.
//!
//! Whether a proof was seen before is not known here: who checks proofs remembers their [`Proof::id`] for
//! [`LIFE_S`] seconds.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::{Algorithm, Unverified, base64url};

/// The type in a proof's header.
const TYPE: &str = "dpop+jwt";
/// Characters of a proof's id.
const ID_CHARS_MAX: usize = 256;
/// How many seconds a proof may be old, or from a clock ahead of this one.
pub const LIFE_S: u64 = 60;
/// The algorithms that proofs are signed with.
pub const ALGORITHMS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256];

/// A proof that is good for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of the key (RFC 7638, base64url).
    pub key: String,
    /// What tells it from other proofs: never the same twice.
    pub id: [u8; 32],
    /// The challenge that it answers, where it names one.
    pub nonce: Option<String>,
}

/// Why a proof is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFlaw {
    /// It is no signed text of this kind, or not by the key it shows.
    #[error("the DPoP proof is not a dpop+jwt signed by the key in its header")]
    NotAProof,
    /// It is for another method or address.
    #[error("the DPoP proof is for another method or address")]
    OtherRequest,
    /// It is too old, or from the future.
    #[error("the DPoP proof is older than a minute, or its clock is ahead")]
    NotNow,
    /// It is not for the token shown.
    #[error("the DPoP proof is not for this access token")]
    OtherToken,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    #[serde(default)]
    ath: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
}

/// The request that a proof is to be for.
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a> {
    /// The method.
    pub method: &'a str,
    /// The path of its address.
    pub path: &'a str,
    /// The access token that is shown with it, if any.
    pub token: Option<&'a str>,
    /// The time, in seconds.
    pub now_s: u64,
}

/// Checks a proof.
///
/// Of the address (`htu`) the path is compared, and not scheme and authority: behind a balancer a node does not know
/// under which of its names it was called, and a proof is anyhow good for one use by whoever holds the key.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str, request: Requested<'_>) -> Result<Proof, ProofFlaw> {
    let unverified = Unverified::parse(text).ok_or(ProofFlaw::NotAProof)?;
    if unverified.header.typ.as_deref() != Some(TYPE) || !ALGORITHMS.contains(&unverified.algorithm) {
        return Err(ProofFlaw::NotAProof);
    }
    let jwk = unverified.header.jwk.as_ref().ok_or(ProofFlaw::NotAProof)?;
    let key = jwk.public_key(unverified.algorithm).ok_or(ProofFlaw::NotAProof)?;
    let thumbprint = jwk.thumbprint().ok_or(ProofFlaw::NotAProof)?;
    let claims: Claims = unverified.verify(&key).ok_or(ProofFlaw::NotAProof)?;
    if claims.jti.is_empty() || claims.jti.len() > ID_CHARS_MAX {
        return Err(ProofFlaw::NotAProof);
    }
    let address = Url::parse(&claims.htu).map_err(|_| ProofFlaw::OtherRequest)?;
    let is_web = matches!(address.scheme(), "https" | "http");
    if claims.htm != request.method || !is_web || address.path() != request.path {
        return Err(ProofFlaw::OtherRequest);
    }
    if claims.iat.abs_diff(request.now_s) > LIFE_S {
        return Err(ProofFlaw::NotNow);
    }
    if let Some(token) = request.token {
        let expected = base64url(&Sha256::digest(token));
        let is_same: bool = claims.ath.unwrap_or_default().as_bytes().ct_eq(expected.as_bytes()).into();
        if !is_same {
            return Err(ProofFlaw::OtherToken);
        }
    }
    let id = Sha256::digest(format!("{thumbprint} {}", claims.jti)).into();
    Ok(Proof { key: thumbprint, id, nonce: claims.nonce })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Jwk, Signer};

    fn proof(signer: &Signer, shown: &Jwk, claims: &Value) -> String {
        signer.sign_with_key(TYPE, shown, claims).unwrap()
    }

    #[test]
    fn a_proof_is_good_for_its_method_address_token_and_minute_alone() {
        let (signer, _) = Signer::generate(Algorithm::Es256).unwrap();
        let jwk = signer.public_jwk("x").map(|jwk| Jwk { kid: None, purpose: None, alg: None, ..jwk }).unwrap();
        let claims = json!({
            "jti": "1", "htm": "POST", "htu": "https://gw.example/a/b?c=1", "iat": 1000,
            "ath": base64url(&Sha256::digest("token")),
        });
        let text = proof(&signer, &jwk, &claims);
        let request = Requested { method: "POST", path: "/a/b", token: Some("token"), now_s: 1030 };
        assert_eq!(check(&text, request).unwrap().key, jwk.thumbprint().unwrap());
        assert_eq!(check(&text, Requested { method: "GET", ..request }), Err(ProofFlaw::OtherRequest));
        assert_eq!(check(&text, Requested { path: "/a", ..request }), Err(ProofFlaw::OtherRequest));
        assert_eq!(check(&text, Requested { token: Some("other"), ..request }), Err(ProofFlaw::OtherToken));
        assert_eq!(check(&text, Requested { now_s: 1061, ..request }), Err(ProofFlaw::NotNow));
        assert_eq!(check(&text, Requested { now_s: 939, ..request }), Err(ProofFlaw::NotNow));
        let (other, _) = Signer::generate(Algorithm::Es256).unwrap();
        assert_eq!(check(&proof(&other, &jwk, &claims), request), Err(ProofFlaw::NotAProof));
        assert_eq!(check("nonsense", request), Err(ProofFlaw::NotAProof));
    }
}
