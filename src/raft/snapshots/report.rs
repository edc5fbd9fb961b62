//! What the snapshot files of a node hold, for people to look at. No node needs to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis_database::snapshot::Summary;
use portcullis_model::NodeId;

use super::{DIRECTORY, SnapshotFile, SnapshotFileError};
use crate::types::SnapshotMeta;

/// What a snapshot file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// When it was written.
    pub created_at: Option<SystemTime>,
    /// The format of the file.
    pub format: u16,
    /// The index of the last entry in it.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The nodes that vote.
    pub voters: Vec<NodeId>,
    /// The members that do not.
    pub learners: Vec<NodeId>,
    /// What is in the state; `None` where only the head was read.
    pub summary: Option<Summary>,
}

/// Reads all of a snapshot file, checks every byte, and counts what is in it. No node needs to run.
///
/// # Errors
/// What is wrong with the file.
pub fn inspect_snapshot(path: &Path) -> Result<SnapshotReport, SnapshotFileError> {
    let file = SnapshotFile::open(path)?;
    let (meta, format, summary) = file.inspect()?;
    Ok(report(&file, &meta, format, Some(summary)))
}

/// Returns the snapshot files of the node in `data_dir`, oldest first, by their heads.
///
/// # Errors
/// Where the directory cannot be read, or a head is damaged.
pub fn list_snapshots(data_dir: &Path) -> Result<Vec<SnapshotReport>, SnapshotFileError> {
    list(&data_dir.join(DIRECTORY))
}

pub(super) fn list(directory: &Path) -> Result<Vec<SnapshotReport>, SnapshotFileError> {
    let failed = |source| SnapshotFileError::Io { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for item in fs::read_dir(directory).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "snap") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| head_report(path)).collect()
}

fn head_report(path: &Path) -> Result<SnapshotReport, SnapshotFileError> {
    let file = SnapshotFile::open(path)?;
    let (meta, head, _) = file.head()?;
    Ok(report(&file, &meta, head.format, None))
}

fn report(file: &SnapshotFile, meta: &SnapshotMeta, format: u16, summary: Option<Summary>) -> SnapshotReport {
    let membership = &meta.last_membership;
    SnapshotReport {
        path: file.path().to_owned(),
        bytes: file.bytes(),
        created_at: fs::metadata(file.path()).and_then(|about| about.modified()).ok(),
        format,
        index: meta.last_log_id.map_or(0, |id| id.index),
        term: meta.last_log_id.map_or(0, |id| id.leader_id.term),
        voters: membership.voter_ids().map(NodeId).collect(),
        learners: membership.membership().learner_ids().map(NodeId).collect(),
        summary,
    }
}
