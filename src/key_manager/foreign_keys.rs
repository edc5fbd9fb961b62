//! Public keys of other key managers: which of a set may have signed a token, and whether one did.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_jose::{Jwk, Unverified, base64url};
use serde::Deserialize;
use serde_json::Value;
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Keys of one set that are looked at.
const KEYS_MAX: usize = 100;

/// A JWK set (RFC 7517), whose keys are read one by one: what is not understood takes nothing from the others.
#[derive(Deserialize)]
pub(crate) struct JwkSet {
    keys: Vec<Value>,
}

/// The keys of a key manager.
pub(crate) struct ForeignKeys(Vec<Jwk>);

/// A signed token, taken apart; nothing of it is believed yet.
pub(crate) struct Claimed<'a> {
    token: Unverified<'a>,
    /// The claims.
    pub claims: Value,
}

impl<'a> Claimed<'a> {
    /// Takes a token apart; `None` where it is no signed JSON Web Token.
    pub fn parse(text: &'a str) -> Option<Self> {
        let token = Unverified::parse(text)?;
        let claims = token.claims_unchecked()?;
        Some(Self { token, claims })
    }
}

impl ForeignKeys {
    /// Reads a set.
    pub fn new(set: JwkSet) -> Self {
        let keys = set.keys.into_iter().take(KEYS_MAX);
        Self(keys.filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// Reads the keys of certificates that an address holds itself (RFC 2397); `None` where it names a document.
    pub fn inline(url: &str) -> Option<Self> {
        let text = url.strip_prefix("data:application/x-pem-file;base64,")?;
        let pem = STANDARD.decode(text).ok()?;
        let blocks = Pem::iter_from_buffer(&pem).filter_map(Result::ok).take(KEYS_MAX);
        Some(Self(blocks.filter_map(|block| key_of(block.parse_x509().ok()?.public_key())).collect()))
    }

    /// Says whether a key that the token may mean is among them.
    pub fn knows(&self, token: &Claimed<'_>) -> bool {
        self.candidates(token).next().is_some()
    }

    /// Says whether one of the keys that the token may mean signed it.
    pub fn verify(&self, token: &Claimed<'_>) -> bool {
        let keys = self.candidates(token).filter_map(|key| key.public_key(token.token.algorithm));
        keys.into_iter().any(|key| token.token.verify::<Value>(&key).is_some())
    }

    fn candidates<'a>(&'a self, token: &'a Claimed<'_>) -> impl Iterator<Item = &'a Jwk> {
        let kid = token.token.header.kid.as_deref();
        // A token that names no key may mean any, and a key without a name may be meant by any token.
        self.0.iter().filter(move |key| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid)
    }
}

/// Returns the key of a certificate; `None` for a kind that signs no tokens here.
fn key_of(of: &SubjectPublicKeyInfo<'_>) -> Option<Jwk> {
    let text = |bytes: &[u8]| Some(base64url(bytes));
    match of.parsed().ok()? {
        PublicKey::RSA(key) => {
            let without_sign = |bytes: &[u8]| {
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                base64url(&bytes[zeros..])
            };
            let (n, e) = (Some(without_sign(key.modulus)), Some(without_sign(key.exponent)));
            Some(Jwk { kty: "RSA".to_owned(), n, e, ..Jwk::default() })
        }
        PublicKey::EC(point) => {
            // Uncompressed (SEC 1, section 2.3.3).
            let coordinates = point.data().strip_prefix(&[4])?;
            let (curve, size) = match coordinates.len() {
                64 => ("P-256", 32),
                96 => ("P-384", 48),
                _ => return None,
            };
            let (x, y) = coordinates.split_at(size);
            Some(Jwk { kty: "EC".to_owned(), crv: Some(curve.to_owned()), x: text(x), y: text(y), ..Jwk::default() })
        }
        // RFC 8410.
        PublicKey::Unknown(bytes) if of.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            Some(Jwk { kty: "OKP".to_owned(), crv: Some("Ed25519".to_owned()), x: text(bytes), ..Jwk::default() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_jose::{Algorithm, Signer};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_good_by_the_key_that_it_names_and_by_no_other() {
        for algorithm in Algorithm::SIGNING {
            let (signer, _) = Signer::generate(algorithm).unwrap();
            let (other, _) = Signer::generate(algorithm).unwrap();
            let set = json!({"keys": [
                {"kty": "oct", "kid": "secret", "k": "AAAA"},
                {"kty": 7},
                signer.public_jwk("one").unwrap(),
                other.public_jwk("two").unwrap(),
            ]});
            let keys = ForeignKeys::new(serde_json::from_value(set).unwrap());
            let token = |kid: &str| signer.sign("JWT", kid, &json!({"sub": "anna"})).unwrap();
            let is_good = |text: &str| keys.verify(&Claimed::parse(text).unwrap());
            assert!(is_good(&token("one")), "{algorithm}");
            assert!(!is_good(&token("two")) && !is_good(&token("three")) && !is_good(&token("secret")), "{algorithm}");
            assert!(!keys.knows(&Claimed::parse(&token("three")).unwrap()));
        }
    }

    #[test]
    fn certificates_are_keys_that_any_of_their_tokens_may_mean() {
        for algorithm in Algorithm::SIGNING {
            let (signer, private) = Signer::generate(algorithm).unwrap();
            let (other, _) = Signer::generate(algorithm).unwrap();
            let pair = rcgen::KeyPair::try_from(private.as_slice()).unwrap();
            let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
            let url = format!("data:application/x-pem-file;base64,{}", STANDARD.encode(certificate.pem()));
            let keys = ForeignKeys::inline(&url).unwrap();
            let token = |signer: &Signer| signer.sign("JWT", "any", &json!({"sub": "anna"})).unwrap();
            assert!(keys.verify(&Claimed::parse(&token(&signer)).unwrap()), "{algorithm}");
            assert!(!keys.verify(&Claimed::parse(&token(&other)).unwrap()), "{algorithm}");
        }
        assert!(ForeignKeys::inline("https://idp.example/keys").is_none());
    }
}
