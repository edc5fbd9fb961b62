//! The note beside a node's log that there is one. A node whose log was deleted does not know any more what it voted and
//! acknowledged: as if it were new it could vote twice in a term, and a majority could miss what was acknowledged (Raft §5.4).

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::identity::{IdentityError, io_at};
use crate::log::{LogError, sync_directory};

/// The file in the data directory.
const BEGUN: &str = "log-begun";

/// Refuses a log with nothing in it where one was begun before.
///
/// # Errors
/// [`LogError::Gone`], or that directories cannot be read.
pub(crate) fn check(directory: &Path, log: &Path) -> Result<(), LogError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| LogError::Io { path, source }
    };
    if !directory.join(BEGUN).try_exists().map_err(failed(directory))? {
        return Ok(());
    }
    let has_files = match fs::read_dir(log) {
        Ok(mut files) => files.next().is_some(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(failed(log)(e)),
    };
    if has_files { Ok(()) } else { Err(LogError::Gone { path: log.to_owned() }) }
}

/// Notes that the log was begun, once it is on disk and before the node promises anything.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn note(directory: &Path) -> Result<(), IdentityError> {
    let path = directory.join(BEGUN);
    if path.try_exists().map_err(io_at(&path))? {
        return Ok(());
    }
    File::create(&path).and_then(|file| file.sync_all()).map_err(io_at(&path))?;
    sync_directory(directory).map_err(io_at(directory))
}

/// Forgets it, where another log is to be begun.
///
/// # Errors
/// Where it cannot be removed.
pub(crate) fn forget(directory: &Path) -> Result<(), IdentityError> {
    let path = directory.join(BEGUN);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_at(&path)(e)),
        _ => sync_directory(directory).map_err(io_at(directory)),
    }
}
