use serde::{Deserialize, Serialize};

use crate::{Algorithm, Jwk, PublicKey, SIGNED_BYTES_MAX, base64url, from_base64url};

/// The header of a signed text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The algorithm.
    pub alg: String,
    /// The type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// The key that is said to have signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// That key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<Jwk>,
    /// Extensions that a reader must understand: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

impl Header {
    pub(crate) fn new(algorithm: Algorithm, kind: &str, kid: &str) -> Self {
        Self {
            alg: algorithm.name().to_owned(),
            typ: Some(kind.to_owned()),
            kid: Some(kid.to_owned()),
            ..Self::default()
        }
    }
    pub(crate) fn with_key(algorithm: Algorithm, kind: &str, shown: &Jwk) -> Self {
        Self { kid: None, jwk: Some(shown.clone()), ..Self::new(algorithm, kind, "") }
    }
}

/// A signed text whose signature was not checked yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    /// Its header.
    pub header: Header,
    /// The algorithm.
    pub algorithm: Algorithm,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a text apart; `None` where it is none, or of an algorithm that is not understood (`none` is not).
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > SIGNED_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header: Header = serde_json::from_slice(&from_base64url(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        let algorithm = header.alg.parse().ok()?;
        Some(Self { header, algorithm, signed, payload, signature: from_base64url(signature)? })
    }

    /// Checks the signature and returns the claims; `None` where `key` did not sign them, or is for another algorithm.
    #[must_use]
    pub fn verify<T: for<'de> Deserialize<'de>>(&self, key: &PublicKey) -> Option<T> {
        if key.algorithm() != self.algorithm || !key.has_signed(self.signed.as_bytes(), &self.signature) {
            return None;
        }
        self.claims_unchecked()
    }

    /// Returns the claims without a look at the signature: to find out whose key is to check it, and for nothing else.
    #[must_use]
    pub fn claims_unchecked<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        serde_json::from_slice(&from_base64url(self.payload)?).ok()
    }

    /// Returns the signature, base64url.
    #[must_use]
    pub fn signature(&self) -> String {
        base64url(&self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn what_a_key_of_each_algorithm_signed_is_known_by_its_public_key_alone() {
        for algorithm in Algorithm::SIGNING {
            let (signer, private) = Signer::generate(algorithm).unwrap();
            let again = Signer::from_pkcs8(algorithm, &private).unwrap();
            let jwk = signer.public_jwk("7").unwrap();
            assert_eq!(jwk, again.public_jwk("7").unwrap());
            let text = again.sign("JWT", "7", &serde_json::json!({ "sub": "anna" })).unwrap();
            let key = jwk.public_key(algorithm).unwrap();
            let claims: serde_json::Value = Unverified::parse(&text).unwrap().verify(&key).unwrap();
            assert_eq!(claims["sub"], "anna");
            let other = Signer::generate(algorithm).unwrap().0.public_jwk("7").unwrap().public_key(algorithm).unwrap();
            assert!(Unverified::parse(&text).unwrap().verify::<serde_json::Value>(&other).is_none());
            let changed = text.replacen('.', ".A", 1);
            let claims = Unverified::parse(&changed).and_then(|read| read.verify::<serde_json::Value>(&key));
            assert_eq!(claims, None, "{algorithm}");
        }
    }

    #[test]
    fn an_algorithm_that_proves_nothing_is_not_understood() {
        for header in ["{\"alg\":\"none\"}", "{\"alg\":\"HS256\"}", "{\"alg\":\"ES256\",\"crit\":[\"x\"]}", "[]", "{}"]
        {
            let text = format!("{}.e30.AA", base64url(header.as_bytes()));
            assert!(Unverified::parse(&text).is_none(), "{header}");
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", "é.é.é"] {
            assert!(Unverified::parse(text).is_none(), "{text}");
        }
    }
}
