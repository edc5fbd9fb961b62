//! Secrets at rest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// What a sealed secret in a kept document begins with; the sealed bytes follow in base64.
const TEXT_PREFIX: &str = "sealed:v1:";

/// A secret encrypted with the cluster key (AES-256-GCM: 12 bytes of nonce, then ciphertext and tag). What seals and
/// opens it is the database's cluster key; this type only carries it and never shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

impl Sealed {
    /// Returns the form in which a kept document holds it.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{TEXT_PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// Reads the form in which a kept document holds it; `None` for any other text.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        STANDARD.decode(text.strip_prefix(TEXT_PREFIX)?).ok().map(Self)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}
