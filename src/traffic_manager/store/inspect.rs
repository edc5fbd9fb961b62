//! Looks into the message store of a node that does not run, without changing it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use portcullis_model::Timestamp;

use super::{FOLDER, StoreError, config, io_at, record};
use crate::reporter::WaitingReport;

/// What a message store holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Contents {
    /// Which start of the node wrote it last.
    pub incarnation: u64,
    /// Up to which time the node may have used its reserve.
    pub ceiling: Timestamp,
    /// Reports that cannot be read.
    pub damaged: u64,
    /// Stores that were set aside because they did not open.
    pub set_aside: Vec<PathBuf>,
    /// The reports that may not have been applied, oldest first.
    pub waiting: Vec<WaitingReport>,
}

/// Returns what the message store below `data_dir` holds. It is copied first, because opening one may change it.
///
/// # Errors
/// Where there is none, the node runs, or the store does not open.
pub fn inspect(data_dir: &Path) -> Result<Contents, StoreError> {
    let path = data_dir.join(FOLDER);
    let place = copy_of(&path)?;
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config(&place).open()?;
        record::read_all(&db)
    }));
    let removed = std::fs::remove_dir_all(&place).map_err(io_at(&place));
    let found = opened.map_err(|_| StoreError::Panicked)??;
    removed?;
    Ok(Contents {
        incarnation: found.incarnation,
        ceiling: found.ceiling,
        damaged: found.damaged,
        set_aside: stores_set_aside(data_dir)?,
        waiting: found.statements.iter().map(WaitingReport::of_statement).collect(),
    })
}

fn stores_set_aside(data_dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data_dir).map_err(io_at(data_dir))? {
        let path = entry.map_err(io_at(data_dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(FOLDER) && name.contains(".unusable-") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a store that nobody has open beside itself.
fn copy_of(path: &Path) -> Result<PathBuf, StoreError> {
    let file = std::fs::File::open(path.join("db")).map_err(io_at(path))?;
    // The engine of a running node holds this lock.
    if let Err(cause) = file.try_lock_shared() {
        return Err(io_at(path)(cause.into()));
    }
    let place = path.with_extension(format!("inspected-{}", std::process::id()));
    copy_folder(path, &place).inspect_err(|_| {
        // What was copied is of no use.
        std::fs::remove_dir_all(&place).ok();
    })?;
    Ok(place)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(to).map_err(io_at(to))?;
    for entry in std::fs::read_dir(from).map_err(io_at(from))? {
        let entry = entry.map_err(io_at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(io_at(&source))?;
        }
    }
    Ok(())
}
