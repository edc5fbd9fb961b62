//! The one thread that writes the message store: everything queued goes into one batch, made durable once. Removals alone wait a
//! little for what must be durable: one that is lost has a report proposed again, and recognised.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use sled::{Batch, Db};
use tokio::sync::oneshot;
use tracing::error;

use super::StoreError;
use super::record::Records;

/// Requests taken into one batch.
const BATCH_MAX: usize = 256;
/// How long removals wait for something that is to be durable, with which they are written.
const REMOVALS_WAIT: Duration = Duration::from_secs(1);

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Request {
    /// Write records and say when they are durable.
    Append {
        /// The records.
        records: Records,
        /// Where the outcome goes.
        done: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Remove a report.
    Remove {
        /// What its keys begin with.
        prefix: Vec<u8>,
    },
}

/// Owns the database.
pub(super) struct Writer {
    db: Db,
    file: File,
}

impl Writer {
    /// `file` is sled's data file, opened again: fdatasync works on the file, whoever opened it.
    pub(super) fn new(db: Db, file: File) -> Self {
        Self { db, file }
    }

    /// Writes records durably.
    pub(super) fn write_now(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in records {
            batch.insert(key.as_slice(), value.as_slice());
        }
        self.commit(batch)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        self.file.sync_data().map_err(|cause| StoreError::Io { path: PathBuf::from(super::FOLDER), cause })
    }

    /// Serves requests until nobody can send more.
    pub(super) fn run(self, requests: &Receiver<Request>) {
        let mut held = Held::default();
        loop {
            let (mut next, is_end) = match held.next(requests) {
                Ok(request) => (Some(request), false),
                Err(nothing) => (None, nothing == RecvTimeoutError::Disconnected),
            };
            let is_quiet = next.is_none();
            while let Some(request) = next {
                if let Err(cause) = self.collect(request, &mut held) {
                    error!(%cause, "the message store cannot be read");
                }
                next = if held.count < BATCH_MAX { requests.try_recv().ok() } else { None };
            }
            let is_due = (is_quiet && held.count > 0) || held.is_urgent();
            if (is_due && !self.commit_held(std::mem::take(&mut held))) || is_end {
                return;
            }
        }
    }

    /// Writes what is held and tells those who wait; says whether more can be written.
    fn commit_held(&self, held: Held) -> bool {
        // sled panics on damaged files; nothing of it is used after that.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.commit(held.batch))).unwrap_or(Err(StoreError::Panicked));
        if let Err(cause) = &outcome {
            error!(%cause, "the message store cannot be written: usage is counted on, but a crash would lose it");
        }
        for done in held.waiting {
            // A caller that is gone needs no answer.
            done.send(if outcome.is_ok() { Ok(()) } else { Err(StoreError::Stopped) }).ok();
        }
        outcome.is_ok()
    }

    fn collect(&self, request: Request, held: &mut Held) -> Result<(), StoreError> {
        held.count += 1;
        match request {
            Request::Append { records, done } => {
                for (key, value) in records {
                    held.batch.insert(key, value);
                }
                held.waiting.push(done);
            }
            Request::Remove { prefix } => {
                for key in self.db.scan_prefix(prefix).keys() {
                    held.batch.remove(key?);
                }
            }
        }
        Ok(())
    }
}

/// What is not written yet.
#[derive(Default)]
struct Held {
    batch: Batch,
    count: usize,
    /// Who waits for it to be durable.
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Held {
    /// Waits for a request: for as long as it takes, or as removals may wait.
    fn next(&self, requests: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        if self.count == 0 {
            return requests.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        requests.recv_timeout(REMOVALS_WAIT)
    }

    /// Says whether somebody waits, or much does.
    fn is_urgent(&self) -> bool {
        !self.waiting.is_empty() || self.count >= BATCH_MAX
    }
}
