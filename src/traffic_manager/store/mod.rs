//! `mbstoredb`: the Traffic Manager's durable queue of reports, one sled database per node.
//!
//! A report is durable here before it is proposed and removed once it is applied. What is here after a crash is
//! proposed again by the next start. sled's own `flush` does not make data durable on Linux, so every batch ends with
//! fdatasync on sled's file; sled is written by one thread only, and values are cut into chunks, because larger ones go
//! to files that are never synced. Why: `docs/decisions/0010-throttling.md`.

mod compact;
pub mod inspect;
mod record;
mod writer;

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use arc_swap::ArcSwap;
use portcullis_database::counters::Statement;
use portcullis_database::handle::wall_clock;
use portcullis_model::{NodeId, Timestamp};
use tokio::sync::oneshot;
use tracing::error;

use writer::{Request, Writer};

/// The folder's name below the data directory.
const FOLDER: &str = "mbstoredb";
/// sled keeps pages larger than a quarter of this in files it never syncs; with values of at most 3 KiB there are none.
/// sled holds several buffers of this size, so that larger segments cost memory on every node.
const SEGMENT_BYTES: usize = 512 << 10;
/// sled's memory.
const CACHE_BYTES: u64 = 32 << 20;
/// Writes that wait for the writer.
const REQUESTS_MAX: usize = 512;

/// Why the message store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or its file cannot be used.
    #[error("the message store at {} cannot be used", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// sled failed.
    #[error("the message store failed")]
    Sled(#[from] sled::Error),
    /// sled panicked, which it does on damaged files.
    #[error("the message store's engine panicked")]
    Panicked,
    /// A report cannot be encoded.
    #[error("a report cannot be stored")]
    Codec(#[from] portcullis_database::codec::CodecError),
    /// More is waiting to be written than may be.
    #[error("the message store cannot keep up")]
    Busy,
    /// The writer has stopped, after a failure that was reported.
    #[error("the message store has stopped")]
    Stopped,
}

/// The message store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// Replaced with the engine, for all that share the store.
    requests: Arc<ArcSwap<SyncSender<Request>>>,
}

/// What a store held when it was opened.
#[derive(Debug)]
pub struct Found {
    /// This start's number, noted durably.
    pub incarnation: u64,
    /// Up to which time earlier starts may have used the reserve.
    pub ceiling: Timestamp,
    /// Whether the store is new: nothing is known of earlier starts.
    pub is_new: bool,
    /// Reports that may not have been applied, in order.
    pub statements: Vec<Statement>,
    /// Reports of other nodes that may not have been applied, in order by node.
    pub of_others: Vec<Statement>,
    /// Reports that were damaged and are dropped: their usage is not counted.
    pub damaged: u64,
    /// Bytes of the reports, damaged ones included.
    pub live_bytes: u64,
    /// Where an unusable store was put aside.
    pub set_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the store below `data_dir`, or sets aside one that does not open and begins a new one.
    ///
    /// # Errors
    /// Where not even a new one can be made.
    pub fn open(data_dir: &Path) -> Result<(Self, Found), StoreError> {
        let path = data_dir.join(FOLDER);
        match open_at(&path) {
            Ok(opened) => Ok(opened),
            // Another process has it, or the disk refuses: a new store would not be better.
            Err(cause @ StoreError::Io { .. }) => Err(cause),
            Err(StoreError::Sled(sled::Error::Io(cause))) => Err(StoreError::Io { path, cause }),
            Err(cause) => {
                let aside = set_aside(&path)?;
                let cause: &dyn std::error::Error = &cause;
                error!(cause, aside = %aside.display(), "the message store does not open and is set aside: usage that was not yet in the log is not counted");
                let (store, found) = open_at(&path)?;
                Ok((store, Found { set_aside: Some(aside), ..found }))
            }
        }
    }

    /// Sets aside files whose engine has failed, and begins new ones for the same start of the node. Returns where the
    /// old ones are.
    ///
    /// # Errors
    /// Where no new ones can be made.
    pub fn replace(&self, data_dir: &Path, incarnation: u64, ceiling: Timestamp) -> Result<PathBuf, StoreError> {
        let path = data_dir.join(FOLDER);
        let aside = set_aside(&path)?;
        let (fresh, _) = open_as(&path, Some((incarnation, ceiling)))?;
        self.requests.store(fresh.requests.load_full());
        Ok(aside)
    }

    /// Makes a report durable. The answer comes when it is.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where too much waits; otherwise what failed.
    pub async fn append(&self, statement: &Statement) -> Result<(), StoreError> {
        let prefix = record::prefix(statement.report.incarnation, statement.report.sequence);
        self.append_records(record::below(&prefix, statement)?).await
    }

    /// Makes a report of another node durable. The answer comes when it is.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_of_other(&self, statement: &Statement) -> Result<(), StoreError> {
        let report = &statement.report;
        let prefix = record::prefix_of_other(report.node, report.incarnation, report.sequence);
        self.append_records(record::below(&prefix, statement)?).await
    }

    /// Removes a report that was applied. Not waited for: one that stays is recognised when it is proposed again.
    ///
    /// # Errors
    /// Where the writer has stopped or cannot keep up.
    pub fn remove(&self, incarnation: u64, sequence: u64) -> Result<(), StoreError> {
        self.send(Request::Remove { prefix: record::prefix(incarnation, sequence) })
    }

    /// Removes a report of another node. Not waited for, as with [`Store::remove`].
    ///
    /// # Errors
    /// As [`Store::remove`].
    pub fn remove_of_other(&self, node: NodeId, incarnation: u64, sequence: u64) -> Result<(), StoreError> {
        self.send(Request::Remove { prefix: record::prefix_of_other(node, incarnation, sequence) })
    }

    /// Notes durably the number of this start.
    ///
    /// # Errors
    /// What failed.
    pub async fn note_incarnation(&self, incarnation: u64) -> Result<(), StoreError> {
        self.note(record::INCARNATION, incarnation).await
    }

    /// Notes durably up to which time this start may use the reserve.
    ///
    /// # Errors
    /// What failed.
    pub async fn note_ceiling(&self, ceiling: Timestamp) -> Result<(), StoreError> {
        self.note(record::CEILING, ceiling.0).await
    }

    async fn note(&self, key: &[u8], value: u64) -> Result<(), StoreError> {
        self.append_records(vec![(key.to_vec(), value.to_be_bytes().to_vec())]).await
    }

    async fn append_records(&self, records: record::Records) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.send(Request::Append { records, done })?;
        outcome.await.map_err(|_| StoreError::Stopped)?
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.load().try_send(request).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Stopped,
        })
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::Io { path, cause }
}

fn open_at(path: &Path) -> Result<(Store, Found), StoreError> {
    open_as(path, None)
}

/// Opens the store, for a new start of the node or for the one that is given with its ceiling.
fn open_as(path: &Path, start: Option<(u64, Timestamp)>) -> Result<(Store, Found), StoreError> {
    std::fs::create_dir_all(path).map_err(io_at(path))?;
    let config = config(path);
    // sled panics on damaged files; nothing of it is seen again after that.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        let found = record::read_all(&db)?;
        Ok::<_, StoreError>((db, found))
    }));
    let (db, mut found) = opened.map_err(|_| StoreError::Panicked)??;
    if compact::is_bloated(path, found.live_bytes) {
        drop(db);
        compact::rebuild(path)?;
        return open_as(path, start);
    }
    let file = File::open(path.join("db")).map_err(io_at(path))?;
    sync_folders(path)?;
    let writer = Writer::new(db, file);
    // After the store was lost the log may know higher numbers than this one would count; the time is surely another.
    found.incarnation = if found.is_new { wall_clock().0.max(1) } else { found.incarnation + 1 };
    let mut notes = Vec::new();
    if let Some((incarnation, ceiling)) = start {
        found.incarnation = incarnation;
        notes.push((record::CEILING.to_vec(), ceiling.0.to_be_bytes().to_vec()));
    }
    notes.push((record::INCARNATION.to_vec(), found.incarnation.to_be_bytes().to_vec()));
    writer.write_now(&notes)?;
    let (requests, received) = sync_channel(REQUESTS_MAX);
    std::thread::Builder::new()
        .name("mbstoredb".to_owned())
        .spawn(move || writer.run(&received))
        .map_err(io_at(path))?;
    Ok((Store { requests: Arc::new(ArcSwap::from_pointee(requests)) }, found))
}

fn config(path: &Path) -> sled::Config {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
    config.segment_size(SEGMENT_BYTES).flush_every_ms(Some(500))
}

/// Makes the names of new files durable.
fn sync_folders(path: &Path) -> Result<(), StoreError> {
    let parents = [Some(path), path.parent()];
    for folder in parents.into_iter().flatten().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_at(path))?;
    }
    Ok(())
}

/// Renames an unusable store to a name that is free.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut number = 1_u32;
    loop {
        let aside = path.with_file_name(format!("{FOLDER}.unusable-{number}"));
        if !aside.exists() {
            std::fs::rename(path, &aside).map_err(io_at(path))?;
            return Ok(aside);
        }
        number += 1;
    }
}
