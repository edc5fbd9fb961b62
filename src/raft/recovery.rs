//! Recovery from a lost majority: one surviving node goes on alone, with all that is in its log, as a cluster with
//! another id, so that no node of the old one can speak to it again. Works on the data directory of a node that does not
//! run.
//!
//! What may be in the log and was never confirmed is kept: it may have been acknowledged by nodes that are gone. What
//! only they had is lost.
//!
//! Everything new is written beside the old first, then a note that says so, and then each new part takes its place. A
//! recovery that was cut short is finished by the next; until then the node does not start.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openraft::storage::RaftLogStorage as _;
use openraft::{EntryPayload, RaftLogReader as _};
use portcullis_database::command::{self, CannotApply};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{State, adoption};
use portcullis_model::{NodeId, Timestamp};

use crate::authority;
use crate::begun;
use crate::certificates::Authorities;
use crate::fatal::Fatal;
use crate::identity::{self, DataDirectory, Identity, IdentityError, io_at};
use crate::log::{LogError, LogStore, sync_directory};
use crate::snapshots::{self, SnapshotFileError, Snapshots};
use crate::types::{Membership, position_alone};

/// Says that everything new is written, and only has to take its place.
const NOTE: &str = "recovery.unfinished";
const RAFT: &str = "raft";
const NEW_RAFT: &str = "raft.recovered";
/// The parts that take the place of others: new name, name.
const NEW_FILES: [(&str, &str); 2] =
    [("tls/node.pem.recovered", "tls/node.pem"), ("identity.json.recovered", "identity.json")];
/// Entries read from the log at a time.
const ENTRIES: u64 = 1000;

/// Why a node cannot be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The data directory is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log is not usable.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshot is not usable.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// An entry cannot be applied.
    #[error(transparent)]
    Apply(#[from] CannotApply),
    /// An entry cannot be read.
    #[error("the log cannot be read: {0}")]
    Read(String),
    /// There is nothing to go on from.
    #[error("node {0} holds no state of its cluster: it never caught up. Recover another node, or restore a backup")]
    Empty(NodeId),
    /// It was taken out before.
    #[error("node {0} was removed from its cluster before: recover a node that was a member")]
    Removed(NodeId),
    /// No certificate can be signed.
    #[error("no certificate can be made with the key in {path}: {why}. Put the cluster.key of the cluster there")]
    Key {
        /// The cluster key's file.
        path: PathBuf,
        /// What does not work.
        why: String,
    },
}

/// What a recovery goes on from, for people to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The cluster's name.
    pub cluster_name: String,
    /// The node.
    pub node: NodeId,
    /// The index of the last entry that it has.
    pub last_index: u64,
    /// The index up to which it knows entries to be confirmed; what comes after was perhaps acknowledged, perhaps not.
    pub confirmed_index: u64,
    /// The cluster's clock at the last entry: what was changed later is lost.
    pub last_change_at: Timestamp,
    /// The members that it goes on without.
    pub lost: Vec<NodeId>,
}

/// A recovery that is prepared.
#[derive(Debug)]
pub struct Recovery {
    directory: DataDirectory,
    state: State,
    report: RecoveryReport,
}

/// Says whether a recovery of the directory was begun and not finished.
pub(crate) fn is_unfinished(directory: &Path) -> bool {
    directory.join(NOTE).exists()
}

impl Recovery {
    /// Finishes a recovery that was cut short; returns the node's new identity, or `None` where there is none.
    ///
    /// # Errors
    /// Where a part cannot take its place.
    pub fn finish_begun(directory: &Path) -> Result<Option<Identity>, RecoveryError> {
        if !is_unfinished(directory) {
            return Ok(None);
        }
        let opened = DataDirectory::open_for_recovery(directory)?;
        put_in_place(directory)?;
        drop(opened);
        Ok(Some(DataDirectory::open(directory)?.identity().clone()))
    }

    /// Reads all that the node has. Changes nothing but what a start would: a torn end of the log is cut off.
    ///
    /// # Errors
    /// Where the directory is in use, something in it is damaged, or it holds nothing to go on from.
    pub async fn prepare(directory: &Path) -> Result<Self, RecoveryError> {
        let directory = DataDirectory::open(directory)?;
        let (state, membership, confirmed_index) = replay(&directory).await?;
        let node = directory.identity().node;
        let record = state.system.nodes.get(&node).ok_or(RecoveryError::Empty(node))?;
        if record.removed_at.is_some() {
            return Err(RecoveryError::Removed(node));
        }
        let lost: BTreeSet<NodeId> = membership.nodes().map(|(id, _)| NodeId(*id)).filter(|id| *id != node).collect();
        let report = RecoveryReport {
            cluster_name: directory.identity().cluster_name.clone(),
            node,
            last_index: state.applied_index,
            confirmed_index,
            last_change_at: state.now(),
            lost: lost.into_iter().collect(),
        };
        Ok(Self { directory, state, report })
    }

    /// Returns what the recovery goes on from.
    #[must_use]
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Makes the node the only one of its cluster, and returns who it is now. Its certificate is `valid` for that long.
    /// What was there before is kept in `raft.before-recovery-INDEX`.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn apply(mut self, valid: Duration) -> Result<Identity, RecoveryError> {
        let path = self.directory.path().to_owned();
        let old = self.directory.identity().clone();
        let id = uuid::Builder::from_random_bytes(random_bytes()).into_uuid();
        let identity = Identity { cluster_id: id, ..old };
        let certificate = self.certify(&identity, valid)?;
        let at = wall_clock().max(self.state.now());
        if !adoption::recover(&mut self.state, identity.node, id, at) {
            return Err(RecoveryError::Empty(identity.node));
        }
        let new_raft = path.join(NEW_RAFT);
        remove_if_there(&new_raft)?;
        let position = position_alone(self.state.applied_index, identity.node, identity.addresses.cluster);
        identity::write_snapshot(&new_raft.join("snapshots"), &position, &self.state)?;
        let json = serde_json::to_vec_pretty(&identity).map_err(|_| IdentityError::Invalid("the identity"))?;
        let contents: [&[u8]; 2] = [certificate.as_bytes(), &json];
        for ((new, _), content) in NEW_FILES.iter().zip(contents) {
            remove_if_there(&path.join(new))?;
            identity::write_file(&path.join(new), content, 0o644)?;
        }
        sync_directory(&path.join("tls")).map_err(io_at(&path))?;
        let aside = format!("raft.before-recovery-{}", self.state.applied_index);
        identity::write_file(&path.join(NOTE), aside.as_bytes(), 0o600)?;
        sync_directory(&path).map_err(io_at(&path))?;
        put_in_place(&path)?;
        Ok(identity)
    }

    /// Signs the node's key for the new cluster id with the cluster's authority, which stays.
    fn certify(&self, identity: &Identity, valid: Duration) -> Result<String, RecoveryError> {
        let empty = || RecoveryError::Empty(identity.node);
        let authorities = Authorities::of(&self.state).ok_or_else(empty)?;
        let record = self.state.system.nodes.get(&identity.node).ok_or_else(empty)?;
        let request = authority::request_for(&self.directory.certificates().key).map_err(IdentityError::from)?;
        authorities
            .sign(self.directory.cluster_key(), &request, record, (identity.cluster_id, valid))
            .map_err(|e| RecoveryError::Key { path: self.directory.path().join("cluster.key"), why: e.to_string() })
    }
}

/// Loads the snapshot and applies every entry after it. Returns the last membership in it too, and the index up to which
/// entries are known to be confirmed.
async fn replay(directory: &DataDirectory) -> Result<(State, Membership, u64), RecoveryError> {
    let snapshots = Snapshots::open(&directory.below(snapshots::DIRECTORY)?)?;
    let (mut state, mut membership, mut next) = match snapshots.current() {
        Some((meta, file)) => (file.load()?.1, meta.last_membership, meta.last_log_id.map_or(0, |id| id.index + 1)),
        None => (State::default(), Membership::default(), 0),
    };
    let (mut log, thread) = LogStore::open(&directory.below("raft/log")?, Fatal::new())?;
    let failed = |e: std::io::Error| RecoveryError::Read(e.to_string());
    let committed = log.read_committed().await.map_err(failed)?.map_or(0, |id| id.index);
    let confirmed = committed.max(state.applied_index);
    let mut reader = log.get_log_reader().await;
    let end = log.get_log_state().await.map_err(failed)?.last_log_id.map_or(0, |id| id.index + 1);
    while next < end {
        let entries = reader.try_get_log_entries(next..(next + ENTRIES).min(end)).await.map_err(failed)?;
        if entries.first().is_none_or(|first| first.log_id.index != next) {
            return Err(RecoveryError::Read(format!("entry {next} is missing")));
        }
        for entry in entries {
            let index = entry.log_id.index;
            match &entry.payload {
                EntryPayload::Normal(one) => drop(command::apply(&mut state, index, one)?),
                EntryPayload::Blank => {}
                EntryPayload::Membership(one) => membership = Membership::new(Some(entry.log_id), one.clone()),
            }
            state.applied_index = index;
            next = index + 1;
        }
    }
    drop((reader, log));
    thread.join().map_err(|_| RecoveryError::Read("the log's thread failed".to_owned()))?;
    Ok((state, membership, confirmed))
}

/// Has each new part take its place. Goes on where an earlier call was cut short.
fn put_in_place(path: &Path) -> Result<(), IdentityError> {
    let note = path.join(NOTE);
    let aside = path.join(fs::read_to_string(&note).map_err(io_at(&note))?.trim());
    let (raft, new_raft) = (path.join(RAFT), path.join(NEW_RAFT));
    // There is no log in what takes its place.
    begun::forget(path)?;
    if new_raft.exists() {
        if !aside.exists() {
            fs::rename(&raft, &aside).map_err(io_at(&raft))?;
            sync_directory(path).map_err(io_at(path))?;
        }
        fs::rename(&new_raft, &raft).map_err(io_at(&new_raft))?;
        sync_directory(path).map_err(io_at(path))?;
    }
    for (new, name) in NEW_FILES {
        let new = path.join(new);
        if new.exists() {
            fs::rename(&new, path.join(name)).map_err(io_at(&new))?;
        }
    }
    sync_directory(&path.join("tls")).map_err(io_at(path))?;
    sync_directory(path).map_err(io_at(path))?;
    fs::remove_file(&note).map_err(io_at(&note))?;
    sync_directory(path).map_err(io_at(path))
}

/// Removes what an earlier recovery left that never came to its note.
fn remove_if_there(path: &Path) -> Result<(), IdentityError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_at(path)(e)),
        _ => Ok(()),
    }
}
