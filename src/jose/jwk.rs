use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Algorithm, base64url, from_base64url};

/// A public key (RFC 7517). Members that are not named here are dropped; a private one in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// The kind: `EC`, `RSA`, `OKP`.
    pub kty: String,
    /// The curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The point, or its first coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The second coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it is for: `sig`.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
}

/// A key that signatures are checked with.
pub struct PublicKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm)
    }
}

impl PublicKey {
    /// Returns the one algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Says whether `signature` is this key's for `text`.
    #[must_use]
    pub fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(text, signature).is_ok()
    }
}

impl Jwk {
    /// Makes a key to check signatures of one algorithm with; `None` where this is no key for it.
    #[must_use]
    pub fn public_key(&self, algorithm: Algorithm) -> Option<PublicKey> {
        if self.alg.as_deref().is_some_and(|named| named != algorithm.name()) {
            return None;
        }
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let key = match algorithm {
            Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.point("P-256", 32)?).ok()?,
            Algorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, self.point("P-384", 48)?).ok()?,
            Algorithm::Rs256 => self.rsa()?.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?,
            Algorithm::Ps256 => self.rsa()?.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256).ok()?,
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, self.edwards()?).ok()?,
        };
        Some(PublicKey { algorithm, key })
    }

    /// Returns the thumbprint (RFC 7638, SHA-256, base64url); `None` for a kind that is not understood.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        // The members that are needed, in the order of their names, without white space.
        let text = |value: &Option<String>| serde_json::to_string(value.as_ref()?).ok();
        let members = match self.kty.as_str() {
            "EC" => format!(
                "{{\"crv\":{},\"kty\":\"EC\",\"x\":{},\"y\":{}}}",
                text(&self.crv)?,
                text(&self.x)?,
                text(&self.y)?
            ),
            "RSA" => format!("{{\"e\":{},\"kty\":\"RSA\",\"n\":{}}}", text(&self.e)?, text(&self.n)?),
            "OKP" => format!("{{\"crv\":{},\"kty\":\"OKP\",\"x\":{}}}", text(&self.crv)?, text(&self.x)?),
            _ => return None,
        };
        Some(base64url(&Sha256::digest(members)))
    }

    fn point(&self, curve: &str, size: usize) -> Option<Vec<u8>> {
        if self.kty != "EC" || self.crv.as_deref() != Some(curve) {
            return None;
        }
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            let bytes = from_base64url(coordinate.as_ref()?).filter(|bytes| bytes.len() == size)?;
            point.extend(bytes);
        }
        Some(point)
    }

    fn edwards(&self) -> Option<Vec<u8>> {
        if self.kty != "OKP" || self.crv.as_deref() != Some("Ed25519") {
            return None;
        }
        from_base64url(self.x.as_ref()?).filter(|bytes| bytes.len() == 32)
    }

    fn rsa(&self) -> Option<RsaPublicKeyComponents<Vec<u8>>> {
        if self.kty != "RSA" {
            return None;
        }
        let number = |text: &Option<String>| from_base64url(text.as_ref()?).filter(|bytes| !bytes.is_empty());
        Some(RsaPublicKeyComponents { n: number(&self.n)?, e: number(&self.e)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_rfcs_own_example() {
        let jwk: Jwk = serde_json::from_str(
            "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
        )
        .unwrap();
        assert_eq!(jwk.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert!(jwk.public_key(Algorithm::Rs256).is_some());
        assert!(jwk.public_key(Algorithm::Ps256).is_none(), "the key is for RS256 alone");
        assert!(jwk.public_key(Algorithm::Es256).is_none());
    }
}
