//! Seals the chunks of an encrypted backup with AES-256-GCM. The nonce is the chunk's number, which is safe because each
//! backup has a key of its own; the head and whether the chunk is the last are bound to it, so that chunks cannot be
//! swapped, left out, or cut off at the end.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

pub(super) const CIPHER: &str = "AES-256-GCM";

/// Seals or opens the chunks of one backup, in order.
pub(super) struct ChunkSeal {
    key: LessSafeKey,
    head: [u8; 32],
    number: u64,
}

impl ChunkSeal {
    pub(super) fn new(key: &[u8; 32], head: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length");
        Self { key: LessSafeKey::new(key), head: Sha256::digest(head).into(), number: 0 }
    }

    fn next(&mut self, is_last: bool) -> (Nonce, Aad<[u8; 33]>) {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        let mut bound = [u8::from(is_last); 33];
        bound[..32].copy_from_slice(&self.head);
        (Nonce::assume_unique_for_key(nonce), Aad::from(bound))
    }

    /// Encrypts the next chunk.
    pub(super) fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let (nonce, bound) = self.next(is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, bound, chunk);
        sealed.map_err(|_| io::Error::other("a chunk of the backup cannot be encrypted"))
    }

    /// Decrypts the next chunk; `None` where the key, the place or the chunk is another.
    pub(super) fn open(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> Option<()> {
        let (nonce, bound) = self.next(is_last);
        let length = self.key.open_in_place(nonce, bound, chunk).ok()?.len();
        chunk.truncate(length);
        Some(())
    }
}
