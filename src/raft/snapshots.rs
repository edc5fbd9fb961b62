//! Snapshots as files: written beside, synced, renamed; the newest is the one that counts. Does not know what a state
//! holds.
//!
//! Layout of a file: the head ([`head`]), the position and membership it was taken at, and then the state as the
//! database writes it, in checked chunks ([`chunk`]); in format 1, which is still written while the cluster's feature
//! level is 1, as one piece.

mod chunk;
mod file;
mod head;
mod report;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_database::State;
use portcullis_database::codec::CodecError;
use portcullis_database::snapshot::SnapshotError;
use tokio::sync::{Notify, Semaphore};

use crate::log::sync_directory;
use crate::types::SnapshotMeta;

pub(crate) use self::chunk::{CHUNK_BYTES, Passing};
pub(crate) use self::file::SnapshotFile;
use self::head::FORMAT;
pub use self::report::{SnapshotReport, inspect_snapshot, list_snapshots};

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
    #[error(
        "the state in the snapshot {path} is not usable: {source}. This node does not go on without its state: where the \
         file is damaged, remove the node from the cluster with `portcullis cluster node remove ID` on another node and \
         join again with a new data directory; if it is the only node, restore a backup"
    )]
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

#[derive(Debug)]
struct Current {
    meta: SnapshotMeta,
    file: SnapshotFile,
    /// It was found to be damaged: the next takes its place, whatever that one's position.
    is_damaged: bool,
}

impl Current {
    fn new(meta: SnapshotMeta, file: SnapshotFile) -> Self {
        Self { meta, file, is_damaged: false }
    }
}

/// Where snapshots are in a data directory.
pub(crate) const DIRECTORY: &str = "raft/snapshots";

/// The directory of this node's snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    directory: PathBuf,
    current: Mutex<Option<Current>>,
    incoming: AtomicU64,
    /// One snapshot is taken in at a time: each takes as much memory as the state.
    pub(crate) receiving: Arc<Semaphore>,
    /// Told when the current snapshot was found to be damaged.
    pub(crate) found_damaged: Notify,
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
                Some(Current::new(file.head()?.0, file))
            }
        };
        for path in rest {
            fs::remove_file(path).map_err(failed)?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            current: Mutex::new(current),
            incoming: AtomicU64::new(0),
            receiving: Arc::new(Semaphore::new(1)),
            found_damaged: Notify::new(),
        })
    }

    /// Returns the newest snapshot.
    pub(crate) fn current(&self) -> Option<(SnapshotMeta, SnapshotFile)> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|current| (current.meta.clone(), current.file.clone()))
    }

    /// Returns what snapshot files there are, oldest first, by their heads.
    pub(crate) fn list(&self) -> Result<Vec<SnapshotReport>, SnapshotFileError> {
        report::list(&self.directory)
    }

    /// Notes that a snapshot was found to be damaged. Where it is the current one, another is taken from the state,
    /// which is whole, and takes its place.
    pub(crate) fn report_damage(&self, file: &SnapshotFile) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_mut().filter(|current| current.file.path() == file.path()) {
            current.is_damaged = true;
            self.found_damaged.notify_one();
        }
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
        if let Err(e) = SnapshotFile::write(&path, meta, state) {
            // Half a snapshot is of no use, and where the disk is full it is in the way.
            drop(fs::remove_file(&path));
            return Err(e);
        }
        self.adopt(meta, &path)
    }

    /// Makes the file at `path` the current snapshot unless a newer one is there already.
    fn adopt(&self, meta: &SnapshotMeta, path: &Path) -> Result<SnapshotFile, SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: path.to_owned(), source };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = &*current
            && present.meta.last_log_id >= meta.last_log_id
            && !present.is_damaged
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
        if let Some(old) = current.replace(Current::new(meta.clone(), file.clone()))
            && old.file.path() != name
        {
            fs::remove_file(old.file.path()).map_err(old.file.io())?;
        }
        Ok(file)
    }

    /// Checks a snapshot whole, makes it the current one, and returns its state.
    pub(crate) fn install(&self, meta: &SnapshotMeta, file: &SnapshotFile) -> Result<State, SnapshotFileError> {
        let (found, state) = file.load()?;
        if found != *meta {
            return Err(SnapshotFileError::Damaged { path: file.path().to_owned() });
        }
        let is_current = self.current().is_some_and(|(_, current)| current.path() == file.path());
        match file.path().parent() == Some(self.directory.as_path()) {
            _ if is_current => {}
            true => drop(self.adopt(meta, file.path())?),
            false => drop(self.write(meta, &state)?),
        }
        Ok(state)
    }
}
