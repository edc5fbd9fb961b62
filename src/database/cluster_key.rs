//! The cluster key: encrypts secrets at rest, so that neither the log nor a snapshot shows one.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use portcullis_model::Sealed;
use zeroize::Zeroizing;

/// A 256-bit key that all nodes of a cluster share (`cluster.key` in the data directory). Never part of the state.
#[derive(Clone)]
pub struct ClusterKey(Zeroizing<[u8; 32]>);

/// A sealed secret that this key does not open: it was sealed by another cluster, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret was not sealed with this cluster's key, or is damaged")]
pub struct CannotOpen;

impl ClusterKey {
    /// Makes a key from 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes, for the key file and for a joining node.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts a secret with AES-256-GCM and a random nonce.
    ///
    /// # Panics
    /// Never for secrets below the cipher's limit of 64 GiB.
    #[must_use]
    pub fn seal(&self, secret: &[u8]) -> Sealed {
        let mut text = secret.to_vec();
        let nonce = self
            .cipher()
            .seal_in_place_append_tag(Aad::empty(), &mut text)
            .expect("secrets are shorter than the cipher's limit");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Sealed(sealed)
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// [`CannotOpen`] where it was sealed with another key or changed since.
    pub fn open(&self, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let (nonce, text) = sealed.0.split_at_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.cipher().open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| CannotOpen)?.len();
        text.truncate(length);
        Ok(text)
    }

    fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_ref()).expect("the key has the cipher's length")
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_no_other() {
        let key = ClusterKey::new([7; 32]);
        let sealed = key.seal(b"secret");
        assert_eq!(key.open(&sealed).unwrap().as_slice(), b"secret");
        assert_eq!(ClusterKey::new([8; 32]).open(&sealed).unwrap_err(), CannotOpen);
        assert_eq!(key.open(&Sealed(vec![1, 2, 3])).unwrap_err(), CannotOpen);
    }
}
