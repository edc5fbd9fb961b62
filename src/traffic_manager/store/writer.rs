//! The one thread that writes the message store: everything queued goes into one batch, made durable once.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use sled::{Batch, Db};
use tokio::sync::oneshot;
use tracing::error;

use super::StoreError;
use super::record::Records;

/// Requests taken into one batch.
const BATCH_MAX: usize = 256;

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
        while let Ok(first) = requests.recv() {
            let mut batch = Batch::default();
            let mut waiting = Vec::new();
            let mut next = Some(first);
            let mut count = 0;
            while let Some(request) = next {
                if let Err(cause) = self.collect(request, &mut batch, &mut waiting) {
                    error!(%cause, "the message store cannot be read");
                }
                count += 1;
                next = if count < BATCH_MAX { requests.try_recv().ok() } else { None };
            }
            // sled panics on damaged files; nothing of it is used after that.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.commit(batch))).unwrap_or(Err(StoreError::Panicked));
            if let Err(cause) = &outcome {
                error!(%cause, "the message store cannot be written: usage is counted on, but a crash would lose it");
            }
            let is_ok = outcome.is_ok();
            for done in waiting {
                // A caller that is gone needs no answer.
                done.send(if is_ok { Ok(()) } else { Err(StoreError::Stopped) }).ok();
            }
            if !is_ok {
                return;
            }
        }
    }

    fn collect(
        &self,
        request: Request,
        batch: &mut Batch,
        waiting: &mut Vec<oneshot::Sender<Result<(), StoreError>>>,
    ) -> Result<(), StoreError> {
        match request {
            Request::Append { records, done } => {
                for (key, value) in records {
                    batch.insert(key, value);
                }
                waiting.push(done);
            }
            Request::Remove { prefix } => {
                for key in self.db.scan_prefix(prefix).keys() {
                    batch.remove(key?);
                }
            }
        }
        Ok(())
    }
}
