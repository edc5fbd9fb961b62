//! Secrets at rest.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret encrypted with the cluster key (AES-256-GCM: 12 bytes of nonce, then ciphertext and tag). What seals and
/// opens it is the database's cluster key; this type only carries it and never shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}
