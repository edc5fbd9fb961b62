use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde::Serialize;

use crate::{Algorithm, Header, Jwk, base64url};

/// A token could not be signed, or no key made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library refused")]
pub struct CannotSign;

/// A private key.
pub struct Signer(Pair);

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.algorithm())
    }
}

impl Signer {
    /// Makes a new key (RSA of 2048 bits). Returns it with its PKCS #8 form.
    ///
    /// # Errors
    /// For an algorithm that keys are not made for, or where there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<(Self, Vec<u8>), CannotSign> {
        let (pair, private) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| CannotSign)?;
                let private = pair.to_pkcs8v1().map_err(|_| CannotSign)?;
                (Pair::Es256(pair), private.as_ref().to_vec())
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| CannotSign)?;
                let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| CannotSign)?;
                let private = private.as_ref().to_vec();
                (Pair::Rs256(pair), private)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(|_| CannotSign)?;
                let private = pair.to_pkcs8v1().map_err(|_| CannotSign)?;
                (Pair::EdDsa(pair), private.as_ref().to_vec())
            }
            Algorithm::Es384 | Algorithm::Ps256 => return Err(CannotSign),
        };
        Ok((Self(pair), private))
    }

    /// Reads a key from its PKCS #8 form.
    ///
    /// # Errors
    /// Where it is none of the algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, private: &[u8]) -> Result<Self, CannotSign> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private);
                Pair::Es256(pair.map_err(|_| CannotSign)?)
            }
            Algorithm::Rs256 => Pair::Rs256(RsaKeyPair::from_pkcs8(private).map_err(|_| CannotSign)?),
            Algorithm::EdDsa => {
                Pair::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(private).map_err(|_| CannotSign)?)
            }
            Algorithm::Es384 | Algorithm::Ps256 => return Err(CannotSign),
        };
        Ok(Self(pair))
    }

    /// Returns the algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::Rs256(_) => Algorithm::Rs256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// Returns the public key under an id.
    ///
    /// # Errors
    /// Where the library shows it in a form that is not expected.
    pub fn public_jwk(&self, kid: &str) -> Result<Jwk, CannotSign> {
        let jwk = match &self.0 {
            Pair::Es256(pair) => {
                // An uncompressed point: 4, then x, then y.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).filter(|rest| rest.len() == 64).ok_or(CannotSign)?.split_at(32);
                let (x, y) = (Some(base64url(x)), Some(base64url(y)));
                Jwk { kty: "EC".to_owned(), crv: Some("P-256".to_owned()), x, y, ..Jwk::default() }
            }
            Pair::Rs256(pair) => {
                let (n, e) = read_rsa(pair.public_key().as_ref()).ok_or(CannotSign)?;
                Jwk { kty: "RSA".to_owned(), n: Some(base64url(n)), e: Some(base64url(e)), ..Jwk::default() }
            }
            Pair::EdDsa(pair) => {
                let x = Some(base64url(pair.public_key().as_ref()));
                Jwk { kty: "OKP".to_owned(), crv: Some("Ed25519".to_owned()), x, ..Jwk::default() }
            }
        };
        let alg = Some(self.algorithm().name().to_owned());
        Ok(Jwk { kid: Some(kid.to_owned()), purpose: Some("sig".to_owned()), alg, ..jwk })
    }

    /// Signs claims, as a compact text (RFC 7515, section 3.1).
    ///
    /// # Errors
    /// Where the claims are no JSON or the library fails.
    pub fn sign<T: Serialize>(&self, kind: &str, kid: &str, claims: &T) -> Result<String, CannotSign> {
        let header = Header::new(self.algorithm(), kind, kid);
        let part = |json: serde_json::Result<Vec<u8>>| json.map(|json| base64url(&json)).map_err(|_| CannotSign);
        let mut text = part(serde_json::to_vec(&header))?;
        text.push('.');
        text += &part(serde_json::to_vec(claims))?;
        let signature = self.signature(text.as_bytes())?;
        text.push('.');
        text += &signature;
        Ok(text)
    }

    /// Signs claims under a header that shows the public key itself, as proofs of possession do.
    ///
    /// # Errors
    /// Where the claims are no JSON or the library fails.
    pub fn sign_with_key<T: Serialize>(&self, kind: &str, shown: &Jwk, claims: &T) -> Result<String, CannotSign> {
        let header = Header::with_key(self.algorithm(), kind, shown);
        let part = |json: serde_json::Result<Vec<u8>>| json.map(|json| base64url(&json)).map_err(|_| CannotSign);
        let text = format!("{}.{}", part(serde_json::to_vec(&header))?, part(serde_json::to_vec(claims))?);
        let signature = self.signature(text.as_bytes())?;
        Ok(format!("{text}.{signature}"))
    }

    fn signature(&self, text: &[u8]) -> Result<String, CannotSign> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Es256(pair) => Ok(base64url(pair.sign(&random, text).map_err(|_| CannotSign)?.as_ref())),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).map_err(|_| CannotSign)?;
                Ok(base64url(&signature))
            }
            Pair::EdDsa(pair) => Ok(base64url(pair.try_sign(text).map_err(|_| CannotSign)?.as_ref())),
        }
    }
}

/// Reads modulus and exponent from an `RSAPublicKey` (RFC 8017, appendix A.1.1): a sequence of two integers, in DER.
fn read_rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = read_der(der, 0x30)?;
    let (n, rest) = read_der(sequence, 0x02)?;
    let (e, _) = read_der(rest, 0x02)?;
    let without_sign = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    Some((&n[without_sign(n)..], &e[without_sign(e)..]))
}

/// Returns the content of a DER element with `tag`, and what follows it.
fn read_der(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let (digits, after) = rest.split_at_checked(length & 0x7f).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    rest.split_at_checked(length)
}
