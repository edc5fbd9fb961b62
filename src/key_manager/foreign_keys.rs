//! Public keys of other key managers: which of a set may have signed a token, and whether one did.

use portcullis_jose::{Jwk, Unverified};
use serde::Deserialize;
use serde_json::Value;

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
        // A token that names no key may mean any.
        self.0.iter().filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
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
}
