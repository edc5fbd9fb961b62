//! The head of a backup: what can be known of it without a key.

use std::io::Read;
use std::path::Path;

use portcullis_model::safekeeping::KeyDerivation;
use portcullis_model::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BackupError, of_io, take};

const MAGIC: &[u8; 8] = b"PCBACKUP";
/// The format that is written.
pub(super) const FORMAT: u16 = 1;
/// Bytes of the JSON.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a backup says about itself. Unencrypted; an encrypted backup binds its content to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// The cluster's name.
    pub cluster_name: String,
    /// The node that wrote it.
    pub node: NodeId,
    /// The version of the program that wrote it.
    pub version: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// The index of the last entry in it.
    pub applied_index: u64,
    /// The feature level of the state.
    pub feature_level: u32,
    /// How it is encrypted, if it is.
    pub encryption: Option<Encryption>,
}

/// How a backup is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES-256-GCM`.
    pub cipher: String,
    /// Makes the key of this backup another than that of every other, hexadecimal.
    pub salt: String,
    /// How the key is had.
    pub derivation: KeyDerivation,
}

/// Returns the first bytes of a backup.
pub(super) fn to_bytes(head: &Head) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(head)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(&crc32fast::hash(&json).to_le_bytes());
    Ok(bytes)
}

/// Reads the first bytes of a backup, and returns them with what they say.
pub(super) fn read(input: &mut impl Read, path: &Path) -> Result<(Head, Vec<u8>), BackupError> {
    let failed = |e| of_io(path, &e);
    let damaged = |reason: &str| BackupError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let not_a_backup = || BackupError::NotABackup(path.to_owned());
    let magic: [u8; 8] = take(input).map_err(|_| not_a_backup())?;
    if &magic != MAGIC {
        return Err(not_a_backup());
    }
    let format: [u8; 2] = take(input).map_err(failed)?;
    let number = u16::from_le_bytes(format);
    if number != FORMAT {
        return Err(BackupError::TooNew { path: path.to_owned(), format: number });
    }
    let length: [u8; 4] = take(input).map_err(failed)?;
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > HEAD_BYTES_MAX {
        return Err(damaged("its head is larger than any head"));
    }
    let mut json = vec![0; bytes];
    input.read_exact(&mut json).map_err(failed)?;
    let checksum: [u8; 4] = take(input).map_err(failed)?;
    if crc32fast::hash(&json).to_le_bytes() != checksum {
        return Err(damaged("its head does not match its checksum"));
    }
    let head = serde_json::from_slice(&json).map_err(|e| damaged(&format!("its head is not understood: {e}")))?;
    let whole = [magic.as_slice(), &format, &length, &json, &checksum].concat();
    Ok((head, whole))
}
