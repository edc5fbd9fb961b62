//! The one thread that writes the log: takes what is queued, writes it with one write, syncs it with one `fdatasync`,
//! and then answers in order. Decides nothing about what the log means.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use openraft::storage::IOFlushed;
use portcullis_database::codec;
use portcullis_model::mutant::{self, Mutant};
use tokio::sync::oneshot;

use super::record::{self, BatchMark, Facts, HEADER_BYTES, Tag};
use super::segment::{self, Segment, sync_directory};
use super::tail::{Place, Tail};
use crate::fatal::Fatal;
use crate::observed::Durations;
use crate::types::{LogEntry, LogId, Types, Vote};

/// Jobs written with one `fdatasync` at most.
const BATCH_JOBS_MAX: usize = 4096;
/// Bytes after which a batch is written even if more is queued.
const BATCH_BYTES: usize = 4 << 20;

/// Something to be written, in the order queued.
pub(super) enum Job {
    Append(Vec<Arc<LogEntry>>, IOFlushed<Types>),
    Vote(Vote, oneshot::Sender<io::Result<()>>),
    Committed(Option<LogId>),
    TruncateAfter(Option<LogId>),
    Purge(LogId),
    /// Answers when everything queued before is on disk.
    Flush(oneshot::Sender<io::Result<()>>),
}

enum Answer {
    Appended(IOFlushed<Types>),
    Done(oneshot::Sender<io::Result<()>>),
}

impl Answer {
    fn give(self, result: io::Result<()>) {
        match self {
            Self::Appended(flushed) => flushed.io_completed(result),
            // Whoever asked may have gone away: the record is written all the same.
            Self::Done(sender) => drop(sender.send(result)),
        }
    }
}

/// A batch while it is put together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where in `bytes` the payload of each entry begins, and how long it is.
    entries: Vec<(LogId, usize, usize)>,
    answers: Vec<Answer>,
    purges: bool,
    needs_sync: bool,
}

pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) tail: Arc<Mutex<Tail>>,
    pub(super) fatal: Fatal,
    /// The segments with the highest index ever written to each; the last is the one written to.
    pub(super) segments: VecDeque<(Arc<Segment>, u64)>,
    /// Where the last segment ends.
    pub(super) end: u64,
    /// Up to where the last segment is on disk.
    pub(super) synced: u64,
    /// What the log says up to here, to be repeated at the head of the next segment.
    pub(super) facts: Facts,
    pub(super) bytes_written: Arc<AtomicU64>,
    pub(super) syncs: Arc<Durations>,
}

impl Writer {
    /// Writes until every sender is gone, or until a write fails: then everything queued fails too.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            if let Err(e) = self.write_batch(first, || jobs.try_recv().ok()) {
                return fail_all(jobs, &e);
            }
        }
    }

    /// Writes a job and those that are queued behind it, and answers them.
    pub(super) fn write_batch(&mut self, first: Job, mut next: impl FnMut() -> Option<Job>) -> io::Result<()> {
        let mut batch = Batch::default();
        // Every job is added, whether or not the batch can be written, so that it is answered.
        let mut result = self.begin(&mut batch).and(self.add(&mut batch, first));
        for _ in 1..BATCH_JOBS_MAX {
            if batch.bytes.len() >= BATCH_BYTES || result.is_err() {
                break;
            }
            let Some(job) = next() else { break };
            result = self.add(&mut batch, job);
        }
        let result = result.and_then(|()| self.write(&batch));
        if let Err(e) = &result {
            self.fatal.raise(format!("the Raft log in {} cannot be written: {e}", self.directory.display()));
        }
        for answer in batch.answers {
            answer.give(copy(&result));
        }
        result
    }

    fn begin(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.roll_if_full()?;
        record::put_batch_mark(&mut batch.bytes, BatchMark { at: self.end, synced: self.synced });
        Ok(())
    }

    fn add(&mut self, batch: &mut Batch, job: Job) -> io::Result<()> {
        match job {
            Job::Append(entries, flushed) => {
                batch.answers.push(Answer::Appended(flushed));
                batch.needs_sync = true;
                for entry in entries {
                    let payload = codec::encode(entry.as_ref()).map_err(io::Error::other)?;
                    let start = record::put(&mut batch.bytes, Tag::Entry, &payload);
                    batch.entries.push((entry.log_id, start, payload.len()));
                }
            }
            Job::Vote(vote, done) => {
                batch.answers.push(Answer::Done(done));
                batch.needs_sync = true;
                put(batch, Tag::Vote, &vote)?;
                self.facts.vote = Some(vote);
            }
            Job::Committed(committed) => {
                put(batch, Tag::Committed, &committed)?;
                self.facts.committed = committed;
            }
            Job::TruncateAfter(last) => {
                batch.needs_sync = true;
                put(batch, Tag::TruncateAfter, &last)?;
            }
            Job::Purge(log_id) => {
                batch.needs_sync = true;
                batch.purges = true;
                put(batch, Tag::Purge, &log_id)?;
                self.facts.purged = Some(log_id);
            }
            Job::Flush(done) => {
                batch.answers.push(Answer::Done(done));
                batch.needs_sync = true;
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let (segment, highest) = self.segments.back_mut().expect("a batch starts in a segment");
        segment.file.write_all_at(&batch.bytes, self.end)?;
        if batch.needs_sync && !mutant::is(Mutant::SkipSync) {
            let began = Instant::now();
            segment.file.sync_data()?;
            self.syncs.add(began.elapsed());
        }
        let start = self.end;
        self.end += batch.bytes.len() as u64;
        self.bytes_written.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
        if batch.needs_sync {
            self.synced = self.end;
        }
        *highest = batch.entries.iter().map(|(log_id, ..)| log_id.index).max().unwrap_or(0).max(*highest);
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for (log_id, offset, bytes) in &batch.entries {
            tail.written(*log_id, Place::new(segment, start + *offset as u64, *bytes));
        }
        tail.shrink();
        drop(tail);
        if batch.purges { self.drop_purged() } else { Ok(()) }
    }

    /// Starts the next segment where the last one is full. What stands in the last one is on disk before.
    fn roll_if_full(&mut self) -> io::Result<()> {
        if let Some((last, _)) = self.segments.back() {
            if self.end < self.segment_bytes {
                return Ok(());
            }
            if self.synced < self.end {
                last.file.sync_data()?;
            }
        }
        let number = self.segments.back().map_or(1, |(last, _)| last.number + 1);
        let segment = Segment::create(&self.directory, number)?;
        let mut bytes = record::header(number).to_vec();
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        record::put(&mut bytes, Tag::Facts, &codec::encode(&self.facts).map_err(io::Error::other)?);
        segment.file.write_all_at(&bytes, 0)?;
        segment.file.sync_all()?;
        sync_directory(&self.directory)?;
        segment::note_newest(&self.directory, number)?;
        self.end = bytes.len() as u64;
        self.synced = self.end;
        self.segments.push_back((Arc::new(segment), 0));
        Ok(())
    }

    /// Removes the oldest segments while all they ever held is purged. Never the one that is written to.
    fn drop_purged(&mut self) -> io::Result<()> {
        let purged = self.facts.purged.map_or(0, |purged| purged.index);
        while self.segments.len() > 1 && self.segments.front().is_some_and(|(_, highest)| *highest <= purged) {
            if let Some((segment, _)) = self.segments.pop_front() {
                fs::remove_file(&segment.path)?;
            }
        }
        Ok(())
    }
}

fn put<T: serde::Serialize>(batch: &mut Batch, tag: Tag, value: &T) -> io::Result<()> {
    record::put(&mut batch.bytes, tag, &codec::encode(value).map_err(io::Error::other)?);
    Ok(())
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
    }
}

/// After a failed write nothing can be promised any more: every job fails, until nobody asks.
fn fail_all(jobs: &Receiver<Job>, cause: &io::Error) {
    while let Ok(job) = jobs.recv() {
        let failed = Err(io::Error::new(cause.kind(), cause.to_string()));
        match job {
            Job::Append(_, flushed) => Answer::Appended(flushed).give(failed),
            Job::Vote(_, done) | Job::Flush(done) => Answer::Done(done).give(failed),
            Job::Committed(_) | Job::TruncateAfter(_) | Job::Purge(_) => {}
        }
    }
}
