//! Keeps the message store's files small: sled may keep several times what is live, and gives little back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tracing::info;

use super::{StoreError, config, io_at, sync_folders};

/// A store is rebuilt when its files are so many times what is live, and more than [`FLOOR_BYTES`].
const BLOATED: u64 = 4;
/// What sled's files are in any case.
const FLOOR_BYTES: u64 = 64 << 20;

/// Says whether the files are out of proportion to what is in them.
pub(super) fn is_bloated(path: &Path, live_bytes: u64) -> bool {
    folder_bytes(path).is_ok_and(|bytes| bytes > FLOOR_BYTES.max(live_bytes.saturating_mul(BLOATED)))
}

fn folder_bytes(path: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { folder_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// Copies what is live to a new store, makes that durable, and puts it in the old one's place.
pub(super) fn rebuild(path: &Path) -> Result<(), StoreError> {
    let fresh = path.with_extension("rebuilt");
    if fresh.exists() {
        // Left over from a rebuild that a crash cut short.
        std::fs::remove_dir_all(&fresh).map_err(io_at(&fresh))?;
    }
    let before = folder_bytes(path).unwrap_or(0);
    let copied = catch_unwind(AssertUnwindSafe(|| copy(path, &fresh)));
    copied.map_err(|_| StoreError::Panicked)??;
    let old = path.with_extension("old");
    std::fs::rename(path, &old).map_err(io_at(path))?;
    std::fs::rename(&fresh, path).map_err(io_at(&fresh))?;
    sync_folders(path)?;
    std::fs::remove_dir_all(&old).map_err(io_at(&old))?;
    info!(bytes_before = before, bytes = folder_bytes(path).unwrap_or(0), "the message store was rebuilt");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(to).map_err(io_at(to))?;
    let (from, fresh) = (config(from).open()?, config(to).open()?);
    for row in from.iter() {
        let (key, value) = row?;
        fresh.insert(key, value)?;
    }
    fresh.flush()?;
    let file = std::fs::File::open(to.join("db")).map_err(io_at(to))?;
    file.sync_data().map_err(io_at(to))
}
