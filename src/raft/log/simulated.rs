//! The log in a simulation: the same records in the same files, by a writer that runs on the simulation's clock, on a disk
//! that takes its time and that loses what was not synced when the power goes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::*;

/// Bytes of a segment: so few that segments come and go.
const SEGMENT_BYTES: u64 = 16 << 10;

/// The disk of one node.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    sync_takes_us: AtomicU64,
    last: Mutex<Option<LastSegment>>,
}

#[derive(Clone, Debug)]
struct LastSegment {
    path: PathBuf,
    synced: u64,
    end: u64,
}

impl Disk {
    /// Sets how long each sync takes.
    pub(crate) fn set_speed(&self, sync_takes: Duration) {
        self.sync_takes_us.store(u64::try_from(sync_takes.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn note(&self, writer: &Writer) {
        let last = writer.segments.back().map(|(segment, _)| LastSegment {
            path: segment.path.clone(),
            synced: writer.synced,
            end: writer.end,
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Loses some of what was not synced, and leaves the beginning of a batch that was being written: `part` of 256 says how
    /// much of either.
    pub(crate) fn lose_power(&self, part: u8) -> io::Result<()> {
        let Some(last) = self.last.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let file = std::fs::File::options().write(true).open(&last.path)?;
        let kept = last.synced + (last.end - last.synced) * u64::from(part) / 256;
        file.set_len(kept)?;
        let torn = vec![part; usize::from(part % 64)];
        std::os::unix::fs::FileExt::write_all_at(&file, &torn, kept)
    }
}

impl LogStore {
    /// Opens the log of a simulated node; its writer is a task of the runtime that this is called on.
    pub(crate) fn open_simulated(directory: &Path, fatal: Fatal, disk: Arc<Disk>) -> Result<Self, LogError> {
        let (tail, mut writer) = Self::read_back(directory, fatal, SEGMENT_BYTES)?;
        let (bytes_written, syncs) = (Arc::clone(&writer.bytes_written), Arc::clone(&writer.syncs));
        let (jobs, mut queue) = tokio::sync::mpsc::unbounded_channel();
        disk.note(&writer);
        tokio::spawn(async move {
            while let Some(first) = queue.recv().await {
                let takes = Duration::from_micros(disk.sync_takes_us.load(Ordering::Relaxed));
                tokio::time::sleep(takes).await;
                // A failed write has raised the alarm.
                if writer.write_batch(first, || queue.try_recv().ok()).is_err() {
                    return;
                }
                disk.note(&writer);
            }
        });
        Ok(Self { tail, jobs: Queue::Simulated(jobs), bytes_written, syncs })
    }
}
