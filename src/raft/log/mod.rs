//! The Raft log and vote: an append-only log in segment files, written by one thread, with one sync per batch.
//!
//! Entries, votes, the committed position, truncations and purges stand in one ordered stream, so that none can
//! overtake another. Old segments are removed whole once all they hold is in a snapshot. It does not know what the
//! entries mean.

mod record;
mod recover;
mod segment;
#[cfg(test)]
mod simulated;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use self::tail::{Source, Tail};
use self::writer::{Job, Writer};
use crate::fatal::Fatal;
use crate::observed::{DurationFigures, Durations};
use crate::types::{LogEntry, LogId, Types, Vote};

pub use self::recover::LogError;
pub(crate) use self::segment::sync_directory;
#[cfg(test)]
pub(crate) use self::simulated::Disk;

/// Bytes after which the next segment is begun.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes of entries that one request to a follower carries, a single larger entry apart.
const REPLICATION_BYTES: usize = 1 << 20;

/// The log of this node. Cheap to clone; all clones write through one thread.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    tail: Arc<Mutex<Tail>>,
    /// Unbounded here: openraft bounds what it has in flight, and proposals are bounded before they reach it.
    jobs: Queue,
    bytes_written: Arc<AtomicU64>,
    /// How long its syncs take.
    syncs: Arc<Durations>,
}

/// What leads to the writer.
#[derive(Clone, Debug)]
enum Queue {
    Thread(mpsc::Sender<Job>),
    /// To a writer that a simulation runs, on its own clock.
    #[cfg(test)]
    Simulated(tokio::sync::mpsc::UnboundedSender<Job>),
}

/// Reads entries for replication and for the state machine.
#[derive(Clone, Debug)]
pub(crate) struct LogReader {
    tail: Arc<Mutex<Tail>>,
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogStore {
    /// Opens the log in `directory`, which exists, and starts its writer. The thread ends when every clone is gone.
    pub(crate) fn open(directory: &Path, fatal: Fatal) -> Result<(Self, thread::JoinHandle<()>), LogError> {
        Self::open_with(directory, fatal, SEGMENT_BYTES)
    }

    fn open_with(
        directory: &Path,
        fatal: Fatal,
        segment_bytes: u64,
    ) -> Result<(Self, thread::JoinHandle<()>), LogError> {
        let (tail, writer) = Self::read_back(directory, fatal, segment_bytes)?;
        let (bytes_written, syncs) = (Arc::clone(&writer.bytes_written), Arc::clone(&writer.syncs));
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(LogError::io(directory))?;
        Ok((Self { tail, jobs: Queue::Thread(jobs), bytes_written, syncs }, thread))
    }

    /// Reads the log back, and makes the writer that goes on with it.
    fn read_back(directory: &Path, fatal: Fatal, segment_bytes: u64) -> Result<(Arc<Mutex<Tail>>, Writer), LogError> {
        let recovered = recover::recover(directory)?;
        if let Some((last, _)) = recovered.segments.back() {
            // What was read back may stand in the page cache only, after a crash of the process alone.
            last.file.sync_all().map_err(LogError::io(&last.path))?;
        }
        let facts = recovered.facts.clone();
        let tail = Arc::new(Mutex::new(Tail::new(recovered.facts, recovered.slots)));
        let writer = Writer {
            bytes_written: Arc::default(),
            syncs: Arc::default(),
            directory: directory.to_owned(),
            segment_bytes,
            tail: Arc::clone(&tail),
            fatal,
            segments: recovered.segments,
            end: recovered.end,
            synced: recovered.end,
            facts,
        };
        Ok((tail, writer))
    }

    fn queue(&self, job: Job) -> io::Result<()> {
        let is_queued = match &self.jobs {
            Queue::Thread(jobs) => jobs.send(job).is_ok(),
            #[cfg(test)]
            Queue::Simulated(jobs) => jobs.send(job).is_ok(),
        };
        if is_queued { Ok(()) } else { Err(io::Error::other("the Raft log's writer has ended")) }
    }

    /// Returns how many bytes were written since the log was opened.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    /// Returns how long the log's syncs took since it was opened.
    pub(crate) fn syncs(&self) -> DurationFigures {
        self.syncs.figures()
    }

    /// Waits until everything queued before is on disk.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let (done, on_disk) = oneshot::channel();
        self.queue(Job::Flush(done))?;
        on_disk.await.map_err(io::Error::other)?
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let tail = lock(&self.tail);
        Ok(LogState { last_purged_log_id: tail.facts.purged, last_log_id: tail.last_log_id() })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { tail: Arc::clone(&self.tail) }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, on_disk) = oneshot::channel();
        lock(&self.tail).facts.vote = Some(*vote);
        self.queue(Job::Vote(*vote, done))?;
        on_disk.await.map_err(io::Error::other)?
    }

    /// Not waited for: after a crash an older position only means that a little more is applied later.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        lock(&self.tail).facts.committed = committed;
        self.queue(Job::Committed(committed))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(lock(&self.tail).facts.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Arc<LogEntry>> = entries.into_iter().map(Arc::new).collect();
        {
            let mut tail = lock(&self.tail);
            for entry in &entries {
                tail.push(Arc::clone(entry))?;
            }
        }
        self.queue(Job::Append(entries, callback))
    }

    /// Waited for: a snapshot may be installed next, and a tail that contradicts it must not be there after a crash.
    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        lock(&self.tail).truncate_after(last_log_id);
        self.queue(Job::TruncateAfter(last_log_id))?;
        self.flush().await
    }

    /// Not waited for: after a crash, more of the log than needed is there.
    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        lock(&self.tail).purge(log_id);
        self.queue(Job::Purge(log_id))
    }
}

impl LogReader {
    async fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let sources = lock(&self.tail).sources(&range, bytes_max);
        let load = |sources: Vec<Source>| sources.into_iter().map(Source::load).collect::<io::Result<Vec<_>>>();
        if sources.iter().all(|source| matches!(source, Source::Cached(_))) {
            return load(sources);
        }
        #[cfg(test)]
        if crate::simulation::is_here() {
            return load(sources);
        }
        tokio::task::spawn_blocking(move || load(sources)).await.map_err(io::Error::other)?
    }
}

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<LogEntry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(range, usize::MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(lock(&self.tail).facts.vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        self.read(start..end, REPLICATION_BYTES).await
    }
}
