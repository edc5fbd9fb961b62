//! The keys that sign tokens: made at first need, opened once, told to the world as a JWK set (RFC 7517). They live in
//! the state; which tokens get signed is not decided here.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_database::access::KeyManager;
use portcullis_database::command::PutSigningKey;
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, ClusterKey, Handle, SubmitError};
use portcullis_jose::{Algorithm, CannotSign, Jwk, PublicKey, Signer};
use portcullis_model::oauth::SigningKey;
use portcullis_model::{Refused, SigningKeyId, Timestamp};
use quick_cache::sync::Cache;

use crate::bound::CATCH_UP_WAIT;

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

impl From<CannotSign> for NoSigningKey {
    fn from(_: CannotSign) -> Self {
        Self::CannotMake
    }
}

/// A key that signs.
pub(crate) struct Signing {
    /// Its id.
    pub id: SigningKeyId,
    kid: String,
    signer: Signer,
}

impl Signing {
    /// Signs claims.
    pub fn sign<T: serde::Serialize>(&self, kind: &str, claims: &T) -> Result<String, CannotSign> {
        self.signer.sign(kind, &self.kid, claims)
    }
}

/// The keys of the cluster, ready for use.
pub(crate) struct Keyring {
    signing: [Mutex<Option<Arc<Signing>>>; Algorithm::SIGNING.len()],
    verifying: Cache<SigningKeyId, Arc<PublicKey>>,
}

impl Keyring {
    /// Makes an empty key ring.
    pub fn new() -> Self {
        Self { signing: Default::default(), verifying: Cache::new(VERIFYING_KEYS_MAX) }
    }

    /// Returns the key that signs now with an algorithm, and makes it where there is none.
    pub async fn signing(
        &self,
        handle: &Handle<KeyManager>,
        seal: &ClusterKey,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Arc<Signing>, NoSigningKey> {
        if let Some(key) = active(&handle.view(), algorithm, now) {
            return self.open(&key, algorithm, seal);
        }
        let key = new_key(algorithm, seal).await?;
        match handle.submit(PutSigningKey { key }, &Caller::system()).await {
            // Another node was faster: its key is used.
            Ok(_) | Err(SubmitError::Refused(Refused::AlreadyExists { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        let key = active(&handle.view(), algorithm, now);
        let key = match key {
            Some(key) => Some(key),
            None => active(&handle.linearizable_view(CATCH_UP_WAIT).await?, algorithm, now),
        };
        let key = key.ok_or(NoSigningKey::CannotMake)?;
        self.open(&key, algorithm, seal)
    }

    /// Returns the key for checking what `id` signed, retired or not; `None` where the state has no such key.
    pub fn verifying(&self, view: &View<KeyManager>, id: SigningKeyId) -> Option<Arc<PublicKey>> {
        let stored = view.read::<Apimgtdb>().signing_keys.get(&id)?;
        if let Some(key) = self.verifying.get(&id) {
            return Some(key);
        }
        let jwk: Jwk = serde_json::from_str(&stored.public_jwk).ok()?;
        let key = Arc::new(jwk.public_key(stored.algorithm.parse().ok()?)?);
        self.verifying.insert(id, Arc::clone(&key));
        Some(key)
    }

    fn open(&self, key: &SigningKey, algorithm: Algorithm, seal: &ClusterKey) -> Result<Arc<Signing>, NoSigningKey> {
        let place = Algorithm::SIGNING.iter().position(|one| *one == algorithm).ok_or(NoSigningKey::CannotMake)?;
        let mut signing = self.signing[place].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = signing.as_ref().filter(|opened| opened.id == key.id) {
            return Ok(Arc::clone(opened));
        }
        let cannot_open = || NoSigningKey::CannotOpen(key.id);
        let private = seal.open(&key.private_key).map_err(|_| cannot_open())?;
        let signer = Signer::from_pkcs8(algorithm, &private).map_err(|_| cannot_open())?;
        let opened = Arc::new(Signing { id: key.id, kid: key.id.to_string(), signer });
        *signing = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// What a signing key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyStanding {
    /// It is known and does not sign yet.
    Next,
    /// It signs.
    Signing,
    /// It has signed; what it signed is accepted.
    Retired,
}

/// Says what a key does at a moment.
pub(crate) fn standing(view: &View<KeyManager>, key: &SigningKey, now: Timestamp) -> SigningKeyStanding {
    let starts_at = view.read::<Apimgtdb>().signing_starts.get(&key.id);
    if starts_at.is_some_and(|at| *at > now) {
        SigningKeyStanding::Next
    } else if key.retired_at.is_some_and(|at| at <= now) {
        SigningKeyStanding::Retired
    } else {
        SigningKeyStanding::Signing
    }
}

/// Returns the public keys, those that do not sign yet or not any more too, as the JSON text of a JWK set.
pub(crate) fn jwk_set(view: &View<KeyManager>) -> String {
    let keys: Vec<&str> = view.read::<Apimgtdb>().signing_keys.values().map(|key| key.public_jwk.as_str()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// Returns the key of an algorithm that signs now: of several the newest.
fn active(view: &View<KeyManager>, algorithm: Algorithm, now: Timestamp) -> Option<Arc<SigningKey>> {
    let keys = view.read::<Apimgtdb>().signing_keys.values();
    let of_algorithm = keys.filter(|key| key.algorithm == algorithm.name());
    let signing = of_algorithm.filter(|key| standing(view, key, now) == SigningKeyStanding::Signing);
    signing.max_by_key(|key| key.created_at).cloned()
}

/// Draws a new key away from the threads that serve requests: a prime for RSA takes a while to find.
pub(crate) async fn new_key(algorithm: Algorithm, seal: &ClusterKey) -> Result<SigningKey, NoSigningKey> {
    let seal = seal.clone();
    tokio::task::spawn_blocking(move || make(algorithm, &seal)).await.map_err(|_| NoSigningKey::CannotMake)?
}

/// Draws a new key.
pub(crate) fn make(algorithm: Algorithm, seal: &ClusterKey) -> Result<SigningKey, NoSigningKey> {
    let (signer, private) = Signer::generate(algorithm)?;
    let id = SigningKeyId::from_random(random_bytes());
    let jwk = signer.public_jwk(&id.to_string())?;
    Ok(SigningKey {
        id,
        algorithm: algorithm.name().to_owned(),
        private_key: seal.seal(&private),
        public_jwk: serde_json::to_string(&jwk).map_err(|_| NoSigningKey::CannotMake)?,
        created_at: Timestamp(0),
        retired_at: None,
    })
}
