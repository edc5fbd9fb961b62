//! Compact JSON Web Signatures with ES256 (RFC 7515, RFC 7518), and no other algorithm: what a header says about the
//! algorithm is compared, never obeyed. What is in a token is not known here.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_model::{SigningKeyId, TokenDigest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bound::TOKEN_BYTES_MAX;

/// The algorithm's name.
pub(crate) const ES256: &str = "ES256";
/// The type of an access token (RFC 9068).
pub(crate) const ACCESS_TOKEN: &str = "at+jwt";
/// The type of an id token.
pub(crate) const ID_TOKEN: &str = "JWT";

/// A token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub(crate) struct CannotSign;

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    /// Extensions that a reader must understand: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// A signed token whose signature was not checked yet.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    /// The key that is said to have signed it.
    pub key: SigningKeyId,
    /// The type.
    pub kind: String,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// Signs claims.
pub(crate) fn sign<T: Serialize>(
    kind: &str,
    claims: &T,
    key: SigningKeyId,
    pair: &EcdsaKeyPair,
) -> Result<String, CannotSign> {
    let header = Header { alg: ES256.to_owned(), typ: kind.to_owned(), kid: key.to_string(), crit: None };
    let part =
        |json: serde_json::Result<Vec<u8>>| json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| CannotSign);
    let signed = format!("{}.{}", part(serde_json::to_vec(&header))?, part(serde_json::to_vec(claims))?);
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| CannotSign)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

/// Returns the digest that stands for a signed token: over what is signed and not over the signature, because anybody
/// can rewrite an ECDSA signature `(r, s)` into the equally good `(r, n − s)`, and a revoked token must stay revoked.
pub(crate) fn digest_of(text: &str) -> TokenDigest {
    let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
    TokenDigest(Sha256::digest(signed.as_bytes()).into())
}

impl<'a> Unverified<'a> {
    /// Takes a token apart; `None` where it is no ES256 token.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != ES256 || header.crit.is_some() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { key: header.kid.parse().ok()?, kind: header.typ, signed, payload, signature })
    }

    /// Checks the signature and returns the claims; `None` where `key` did not sign them.
    pub fn verify<T: for<'de> Deserialize<'de>>(&self, key: &ParsedPublicKey) -> Option<T> {
        key.verify_sig(self.signed.as_bytes(), &self.signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.payload).ok()?).ok()
    }
}

/// Makes a key to check signatures with from an uncompressed point of P-256; `None` where it is none.
pub(crate) fn public_key(point: &[u8]) -> Option<ParsedPublicKey> {
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}
