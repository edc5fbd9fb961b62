//! The keys that sign tokens: made at first need, opened once, told to the world as a JWK set (RFC 7517). They live in
//! the state; which tokens get signed is not decided here.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::access::KeyManager;
use portcullis_database::command::PutSigningKey;
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, ClusterKey, Handle, SubmitError};
use portcullis_model::oauth::SigningKey;
use portcullis_model::{Refused, SigningKeyId, Timestamp};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::bound::CATCH_UP_WAIT;
use crate::jws::{self, ES256};

/// How many keys are kept ready for checking signatures.
const VERIFYING_KEYS_MAX: usize = 64;

/// Why no key can sign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSigningKey {
    /// The first key could not be stored.
    #[error("the signing key could not be stored: {0}")]
    Submit(#[from] SubmitError),
    /// The key in the state does not open with this cluster's key.
    #[error("the signing key {0} cannot be opened with this cluster's key")]
    CannotOpen(SigningKeyId),
    /// No key could be made.
    #[error("no signing key could be made")]
    CannotMake,
}

/// A key that signs.
pub(crate) struct Signing {
    /// Its id.
    pub id: SigningKeyId,
    /// The key.
    pub pair: EcdsaKeyPair,
}

/// A public key as RFC 7517 and RFC 7518 have it.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: String,
    alg: String,
}

/// The keys of the cluster, ready for use.
pub(crate) struct Keyring {
    signing: Mutex<Option<Arc<Signing>>>,
    verifying: Cache<SigningKeyId, Arc<ParsedPublicKey>>,
}

impl Keyring {
    /// Makes an empty key ring.
    pub fn new() -> Self {
        Self { signing: Mutex::new(None), verifying: Cache::new(VERIFYING_KEYS_MAX) }
    }

    /// Returns the key that signs now, and makes it where there is none.
    pub async fn signing(&self, handle: &Handle<KeyManager>, seal: &ClusterKey) -> Result<Arc<Signing>, NoSigningKey> {
        if let Some(key) = active(&handle.view()) {
            return self.open(&key, seal);
        }
        match handle.submit(PutSigningKey { key: make(seal)? }, &Caller::system()).await {
            // Another node was faster: its key is used.
            Ok(_) | Err(SubmitError::Refused(Refused::AlreadyExists { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        let key = active(&handle.view());
        let key = match key {
            Some(key) => Some(key),
            None => active(&handle.linearizable_view(CATCH_UP_WAIT).await?),
        };
        let key = key.ok_or(NoSigningKey::CannotMake)?;
        self.open(&key, seal)
    }

    /// Returns the key for checking what `id` signed, retired or not; `None` where the state has no such key.
    pub fn verifying(&self, view: &View<KeyManager>, id: SigningKeyId) -> Option<Arc<ParsedPublicKey>> {
        let stored = view.read::<Apimgtdb>().signing_keys.get(&id)?;
        if let Some(key) = self.verifying.get(&id) {
            return Some(key);
        }
        let jwk: Jwk = serde_json::from_str(&stored.public_jwk).ok()?;
        let mut point = vec![4];
        point.extend(URL_SAFE_NO_PAD.decode(jwk.x).ok()?);
        point.extend(URL_SAFE_NO_PAD.decode(jwk.y).ok()?);
        let key = Arc::new(jws::public_key(&point)?);
        self.verifying.insert(id, Arc::clone(&key));
        Some(key)
    }

    fn open(&self, key: &SigningKey, seal: &ClusterKey) -> Result<Arc<Signing>, NoSigningKey> {
        let mut signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = signing.as_ref().filter(|opened| opened.id == key.id) {
            return Ok(Arc::clone(opened));
        }
        let cannot_open = || NoSigningKey::CannotOpen(key.id);
        let private = seal.open(&key.private_key).map_err(|_| cannot_open())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).map_err(|_| cannot_open())?;
        let opened = Arc::new(Signing { id: key.id, pair });
        *signing = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// Returns the public keys, retired ones too, as the JSON text of a JWK set.
pub(crate) fn jwk_set(view: &View<KeyManager>) -> String {
    let keys: Vec<&str> = view.read::<Apimgtdb>().signing_keys.values().map(|key| key.public_jwk.as_str()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

fn active(view: &View<KeyManager>) -> Option<Arc<SigningKey>> {
    let mut keys = view.read::<Apimgtdb>().signing_keys.values();
    keys.find(|key| key.retired_at.is_none() && key.algorithm == ES256).cloned()
}

/// Draws a new key.
pub(crate) fn make(seal: &ClusterKey) -> Result<SigningKey, NoSigningKey> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| NoSigningKey::CannotMake)?;
    let private = pair.to_pkcs8v1().map_err(|_| NoSigningKey::CannotMake)?;
    let id = SigningKeyId::from_random(random_bytes());
    // An uncompressed point: 4, then x, then y.
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = Jwk {
        kty: "EC".to_owned(),
        crv: "P-256".to_owned(),
        x: URL_SAFE_NO_PAD.encode(x),
        y: URL_SAFE_NO_PAD.encode(y),
        kid: id.to_string(),
        purpose: "sig".to_owned(),
        alg: ES256.to_owned(),
    };
    Ok(SigningKey {
        id,
        algorithm: ES256.to_owned(),
        private_key: seal.seal(private.as_ref()),
        public_jwk: serde_json::to_string(&jwk).map_err(|_| NoSigningKey::CannotMake)?,
        created_at: Timestamp(0),
        retired_at: None,
    })
}
