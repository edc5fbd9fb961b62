//! Backups: the whole state in one file, compressed, checksummed, on demand encrypted. Written by a node while it runs,
//! read where no node runs. Does not know where the file goes.
//!
//! Layout: `PCBACKUP`, format (u16), the length of the head (u32), the head as JSON ([`Head`]), its CRC-32 (u32). Then
//! chunks: length (u32), CRC-32 of the bytes (u32), bytes; one of length 0 is the end, and after it come the SHA-256 of
//! everything before. Little-endian. The chunks together are a zstd stream of the [`Contents`]; encrypted, each chunk is
//! sealed by itself ([`seal`]), bound to the head, to its place and to being the last or not.
//!
//! [`Contents`]: contents

mod contents;
mod frame;
mod head;
mod key;
#[cfg(test)]
mod large;
mod produce;
mod seal;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use portcullis_database::snapshot::{SnapshotError, Summary};
use portcullis_database::{ClusterKey, State};

pub use self::head::Head;
pub use self::key::{BackupKey, KeyError};
pub(crate) use self::produce::produce;

const BUFFER_BYTES: usize = 1 << 20;

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{0} is not a backup of Portcullis")]
    NotABackup(PathBuf),
    /// A newer version wrote it.
    #[error("{path} has backup format {format}; this version reads up to {highest}: run the version that wrote it", highest = head::FORMAT)]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u16,
    },
    /// It is cut off or changed.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The state in it cannot be read.
    #[error("the state in {path} is not usable: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SnapshotError,
    },
    /// It is encrypted, and no key was given.
    #[error("{0} is encrypted")]
    NeedsKey(PathBuf),
    /// The key does not open it.
    #[error("{0} does not open with this passphrase or key, or was changed")]
    WrongKey(PathBuf),
    /// The key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What a backup was found to be.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The head.
    pub head: Head,
    /// How long the file is.
    pub bytes: u64,
    /// What is in the state; `None` where it is encrypted and no key was given, so that only the checksums were checked.
    pub summary: Option<Summary>,
}

/// A backup that was read whole.
#[derive(Debug)]
pub struct Unpacked {
    /// The head.
    pub head: Head,
    /// The key that opens the secrets in the state, where the backup carries it.
    pub cluster_key: Option<ClusterKey>,
    /// The state.
    pub state: State,
}

/// Reads the head of a backup alone.
///
/// # Errors
/// Where it is no backup, or its head is damaged.
pub fn read_head(path: &Path) -> Result<Head, BackupError> {
    let mut input = open(path)?;
    head::read(&mut input, path).map(|(head, _)| head)
}

/// Checks every byte of a backup. `key` opens one that is encrypted; without it only the checksums are checked.
///
/// # Errors
/// What is wrong with it.
pub fn verify(path: &Path, key: Option<&BackupKey>) -> Result<Verified, BackupError> {
    let bytes = std::fs::metadata(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?.len();
    let head = read_head(path)?;
    if head.encryption.is_some() && key.is_none() {
        let mut input = open(path)?;
        let (_, start) = head::read(&mut input, path)?;
        frame::pass(&mut input, &start).map_err(|e| of_io(path, &e))?;
        return Ok(Verified { head, bytes, summary: None });
    }
    let mut input = open(path)?;
    let (head, summary) =
        contents::read(&mut input, path, key, |state| portcullis_database::snapshot::inspect_from(state))
            .map(|(head, _, summary)| (head, summary))?;
    Ok(Verified { head, bytes, summary: Some(summary) })
}

/// Reads a backup whole.
///
/// # Errors
/// What is wrong with it, or that it is encrypted and the key is missing or another.
pub fn unpack(path: &Path, key: Option<&BackupKey>) -> Result<Unpacked, BackupError> {
    let mut input = open(path)?;
    let (head, cluster_key, state) = contents::read(&mut input, path, key, portcullis_database::snapshot::read_from)?;
    Ok(Unpacked { head, cluster_key, state })
}

fn open(path: &Path) -> Result<BufReader<File>, BackupError> {
    let file = File::open(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

/// Tells damage from a file that cannot be read.
fn of_io(path: &Path, error: &io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            BackupError::Damaged { path: path.to_owned(), reason: "it ends before its end: it was cut off".to_owned() }
        }
        io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            BackupError::Damaged { path: path.to_owned(), reason: error.to_string() }
        }
        kind => BackupError::Io { path: path.to_owned(), source: io::Error::new(kind, error.to_string()) },
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Reads exactly `N` bytes.
fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
