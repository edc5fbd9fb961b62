//! Snapshots as files: written beside, synced, renamed; the newest is the one that counts. Does not know what a state
//! holds.
//!
//! Layout: `PCRSNP`, format (u16), length and CRC-32 of what follows (u32 each), the position and membership it was
//! taken at, and then the state as the database writes it. Little-endian.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_database::State;
use portcullis_database::codec::{self, CodecError};
use portcullis_database::snapshot::{self, SnapshotError};

use crate::log::sync_directory;
use crate::types::SnapshotMeta;

const MAGIC: &[u8; 6] = b"PCRSNP";
const FORMAT: u16 = 1;
const HEAD_BYTES: usize = 16;
/// Bytes of the position and membership: thousands of nodes fit.
const META_BYTES_MAX: u32 = 1 << 20;

/// Why a snapshot cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// The file cannot be read or written.
    #[error("the snapshot {path} cannot be read or written: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The file's head is damaged.
    #[error(
        "the snapshot {path} is damaged: this node does not start without its state. Remove it from the cluster with \
         `portcullis cluster node remove ID` on another node and join again with a new data directory; if it is the \
         only node, restore a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the snapshot {path} has format {format}; this version reads up to {FORMAT}: run the version that wrote it"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u16,
    },
    /// The state in it cannot be read or written.
    #[error("the state in the snapshot {path} is not usable: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SnapshotError,
    },
    /// Its position cannot be encoded.
    #[error("the snapshot's position cannot be written")]
    Codec(#[from] CodecError),
}

/// A snapshot file that is open, so that it can be read to its end even after a newer one took its place.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A snapshot that was sent and then not wanted; one that was adopted has another name by now.
        if self.path.extension().is_some_and(|extension| extension == "tmp")
            && let Err(e) = fs::remove_file(&self.path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), error = %e, "a snapshot that is not used cannot be removed");
        }
    }
}

impl SnapshotFile {
    fn open(path: &Path) -> Result<Self, SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self(Arc::new(Inner { path: path.to_owned(), file, bytes })))
    }

    /// Returns how long the file is.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Reads into `buffer` from `offset` and returns how much was read.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file.read_at(buffer, offset)
    }

    fn io(&self) -> impl Fn(io::Error) -> SnapshotFileError {
        let path = self.0.path.clone();
        move |source| SnapshotFileError::Io { path: path.clone(), source }
    }

    /// Reads the head, and returns where the state begins.
    fn head(&self) -> Result<(SnapshotMeta, u64), SnapshotFileError> {
        let damaged = || SnapshotFileError::Damaged { path: self.0.path.clone() };
        let mut head = [0; HEAD_BYTES];
        self.0.file.read_exact_at(&mut head, 0).map_err(|_| damaged())?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, checksum) = (number(8), number(12));
        if &head[..6] != MAGIC || length > META_BYTES_MAX {
            return Err(damaged());
        }
        let format = u16::from_le_bytes([head[6], head[7]]);
        if format > FORMAT {
            return Err(SnapshotFileError::TooNew { path: self.0.path.clone(), format });
        }
        let mut meta = vec![0; length as usize];
        self.0.file.read_exact_at(&mut meta, HEAD_BYTES as u64).map_err(|_| damaged())?;
        if crc32fast::hash(&meta) != checksum {
            return Err(damaged());
        }
        let meta = codec::decode(&meta).map_err(|_| damaged())?;
        Ok((meta, HEAD_BYTES as u64 + u64::from(length)))
    }

    /// Reads the state, checking every byte.
    pub(crate) fn load(&self) -> Result<(SnapshotMeta, State), SnapshotFileError> {
        let (meta, start) = self.head()?;
        // Another reader may be sending the same file: a handle of its own has a position of its own.
        let mut file = File::open(&self.0.path).or_else(|_| self.0.file.try_clone()).map_err(self.io())?;
        file.seek(SeekFrom::Start(start)).map_err(self.io())?;
        let mut input = BufReader::with_capacity(1 << 20, file);
        let state = snapshot::read(&mut input)
            .map_err(|source| SnapshotFileError::State { path: self.0.path.clone(), source })?;
        match input.read(&mut [0]).map_err(self.io())? {
            0 => Ok((meta, state)),
            _ => Err(SnapshotFileError::Damaged { path: self.0.path.clone() }),
        }
    }
}

/// The directory of this node's snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    directory: PathBuf,
    current: Mutex<Option<(SnapshotMeta, SnapshotFile)>>,
    incoming: AtomicU64,
}

impl Snapshots {
    /// Opens the directory, which exists: removes what was never finished, and finds the newest snapshot.
    pub(crate) fn open(directory: &Path) -> Result<Self, SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: directory.to_owned(), source };
        let mut newest: Option<PathBuf> = None;
        let mut rest = Vec::new();
        for item in fs::read_dir(directory).map_err(failed)? {
            let path = item.map_err(failed)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("snap") if newest.as_ref().is_none_or(|newest| path > *newest) => {
                    rest.extend(newest.replace(path));
                }
                Some("snap" | "tmp") => rest.push(path),
                _ => {}
            }
        }
        let current = match newest {
            None => None,
            Some(path) => {
                let file = SnapshotFile::open(&path)?;
                Some((file.head()?.0, file))
            }
        };
        for path in rest {
            fs::remove_file(path).map_err(failed)?;
        }
        let current = Mutex::new(current);
        Ok(Self { directory: directory.to_owned(), current, incoming: AtomicU64::new(0) })
    }

    /// Returns the newest snapshot.
    pub(crate) fn current(&self) -> Option<(SnapshotMeta, SnapshotFile)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a file for a snapshot that another node sends.
    pub(crate) fn incoming(&self) -> io::Result<(PathBuf, File)> {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("incoming-{number}.tmp"));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok((path, file))
    }

    /// Opens a file made by [`Snapshots::incoming`] once all of it is there, synced.
    pub(crate) fn received(path: &Path) -> Result<SnapshotFile, SnapshotFileError> {
        SnapshotFile::open(path)
    }

    /// Writes a snapshot of `state` and makes it the current one unless a newer one is there already.
    pub(crate) fn write(&self, meta: &SnapshotMeta, state: &State) -> Result<SnapshotFile, SnapshotFileError> {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("building-{number}.tmp"));
        let failed = |source| SnapshotFileError::Io { path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let position = codec::encode(meta)?;
        let length = u32::try_from(position.len()).unwrap_or(u32::MAX);
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(&position).to_le_bytes());
        out.write_all(&head).and_then(|()| out.write_all(&position)).map_err(failed)?;
        snapshot::write(state, &mut out).map_err(|source| SnapshotFileError::State { path: path.clone(), source })?;
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        self.adopt(meta, &path)
    }

    /// Makes the file at `path` the current snapshot unless a newer one is there already.
    fn adopt(&self, meta: &SnapshotMeta, path: &Path) -> Result<SnapshotFile, SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: path.to_owned(), source };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((present, _)) = &*current
            && present.last_log_id >= meta.last_log_id
        {
            let file = SnapshotFile::open(path)?;
            fs::remove_file(path).map_err(failed)?;
            return Ok(file);
        }
        let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
        let name = self.directory.join(format!("{index:020}-{term:020}.snap"));
        fs::rename(path, &name).map_err(failed)?;
        sync_directory(&self.directory).map_err(failed)?;
        let file = SnapshotFile::open(&name)?;
        if let Some((_, old)) = current.replace((meta.clone(), file.clone()))
            && old.0.path != name
        {
            fs::remove_file(&old.0.path).map_err(old.io())?;
        }
        Ok(file)
    }

    /// Checks a snapshot whole, makes it the current one, and returns its state.
    pub(crate) fn install(&self, meta: &SnapshotMeta, file: &SnapshotFile) -> Result<State, SnapshotFileError> {
        let (found, state) = file.load()?;
        if found != *meta {
            return Err(SnapshotFileError::Damaged { path: file.0.path.clone() });
        }
        let is_current = self.current().is_some_and(|(_, current)| current.0.path == file.0.path);
        match file.0.path.parent() == Some(self.directory.as_path()) {
            _ if is_current => {}
            true => drop(self.adopt(meta, &file.0.path)?),
            false => drop(self.write(meta, &state)?),
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_was_sent_and_not_wanted_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(directory.path()).unwrap();
        let wanted = snapshots.write(&SnapshotMeta::default(), &State::default()).unwrap();
        let (path, _) = snapshots.incoming().unwrap();
        let refused = Snapshots::received(&path).unwrap();
        drop(refused);
        assert!(!path.exists());
        drop(wanted);
        assert!(snapshots.current().is_some_and(|(_, current)| current.load().is_ok()));
    }
}
