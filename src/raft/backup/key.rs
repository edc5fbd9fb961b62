//! The key of an encrypted backup: from a passphrase or from a file, and from it another for each backup.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf;
use portcullis_database::handle::random_bytes;
use portcullis_model::safekeeping::{BackupEncryption, KeyDerivation};
use zeroize::Zeroizing;

/// Memory, passes and lanes for a passphrase: the first choice of RFC 9106 for machines with little memory.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a head may ask for: it is not trusted.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 8;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=32;
/// The fewest characters of a passphrase.
const PASSPHRASE_CHARS_MIN: usize = 12;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The passphrase is too short to protect anything.
    #[error("the passphrase has {0} characters; at least {PASSPHRASE_CHARS_MIN} are needed")]
    TooShort(usize),
    /// The key file does not hold a key.
    #[error("the key file does not hold 64 hexadecimal digits (as `openssl rand -hex 32` makes them)")]
    NotAKey,
    /// The backup was encrypted otherwise.
    #[error("the backup was encrypted with a {needed}, not with a {given}")]
    OtherKind {
        /// What opens it.
        needed: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// The head of the backup asks for more than is ever needed, or for nonsense.
    #[error("the backup's head asks for a key derivation that is not acceptable")]
    Derivation,
}

/// What a backup is encrypted and opened with.
#[derive(Clone)]
pub enum BackupKey {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A key.
    File(Zeroizing<[u8; 32]>),
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupKey({})", self.kind())
    }
}

impl BackupKey {
    /// Takes a passphrase.
    #[must_use]
    pub fn passphrase(text: String) -> Self {
        Self::Passphrase(Zeroizing::new(text))
    }

    /// Takes what is in a key file: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn from_file(text: &str) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| KeyError::NotAKey)?;
        Ok(Self::File(key))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::File(_) => "key file",
        }
    }

    /// Makes what a node needs to encrypt a backup. Takes a moment and memory for a passphrase.
    ///
    /// # Errors
    /// [`KeyError::TooShort`].
    pub fn for_new_backup(&self) -> Result<BackupEncryption, KeyError> {
        if let Self::Passphrase(text) = self {
            let chars = text.chars().count();
            if chars < PASSPHRASE_CHARS_MIN {
                return Err(KeyError::TooShort(chars));
            }
        }
        let derivation = match self {
            Self::Passphrase(_) => KeyDerivation::Argon2id {
                salt: hex::encode(random_bytes::<16>()),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
            },
            Self::File(_) => KeyDerivation::KeyFile,
        };
        Ok(BackupEncryption { key: *self.derive(&derivation)?, derivation })
    }

    /// Makes the key again.
    pub(super) fn derive(&self, derivation: &KeyDerivation) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        match (self, derivation) {
            (Self::File(key), KeyDerivation::KeyFile) => Ok(key.clone()),
            (Self::Passphrase(text), KeyDerivation::Argon2id { salt, memory_kib, passes, lanes }) => {
                let is_acceptable = *memory_kib <= MEMORY_KIB_MAX && *passes <= PASSES_MAX && *lanes <= LANES_MAX;
                let salt = hex::decode(salt).ok().filter(|salt| is_acceptable && SALT_BYTES.contains(&salt.len()));
                let salt = salt.ok_or(KeyError::Derivation)?;
                let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).map_err(|_| KeyError::Derivation)?;
                let mut key = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(text.as_bytes(), &salt, key.as_mut())
                    .map_err(|_| KeyError::Derivation)?;
                Ok(key)
            }
            (_, KeyDerivation::KeyFile) => Err(KeyError::OtherKind { needed: "key file", given: self.kind() }),
            (_, KeyDerivation::Argon2id { .. }) => {
                Err(KeyError::OtherKind { needed: "passphrase", given: self.kind() })
            }
        }
    }
}

/// Returns the key of one backup: no two share one, so that nonces may count from 0.
pub(super) fn of_backup(key: &[u8; 32], salt: &[u8]) -> Zeroizing<[u8; 32]> {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let mut of_backup = Zeroizing::new([0; 32]);
    extracted
        .expand(&[b"portcullis backup"], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(of_backup.as_mut()))
        .expect("32 bytes are what HKDF-SHA-256 gives");
    of_backup
}
