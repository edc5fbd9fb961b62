//! Renews the certificate of a node that does not run and that nobody lets in any more because its certificate has
//! expired: the authority's key is in the node's own state, sealed with the cluster key that it holds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use openraft::storage::RaftLogStorage as _;
use openraft::{EntryPayload, RaftLogReader as _};
use portcullis_database::{State, command};
use portcullis_model::{NodeId, Timestamp};

use super::files;
use super::held::Held;
use super::signing::Authorities;
use crate::authority;
use crate::fatal::Fatal;
use crate::identity::{DataDirectory, IdentityError, TLS, io_at};
use crate::log::LogStore;
use crate::node::StartError;
use crate::snapshots::Snapshots;

/// A certificate that was renewed.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// The node.
    pub node: NodeId,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// Renews the certificate of the node in `directory`, which must not run. The certificate is valid for `valid`.
///
/// # Errors
/// Where the directory cannot be used, is in use, or holds no state that tells the authority.
pub async fn renew_offline(directory: &Path, valid: Duration) -> Result<Renewed, StartError> {
    let directory = open(directory)?;
    let identity = directory.identity();
    let state = stored_state(&directory).await?;
    let authorities = Authorities::of(&state).ok_or_else(|| {
        StartError::Raft(
            "this node holds no state yet: it never ran. Join it again with a new data directory".to_owned(),
        )
    })?;
    let record = state.system.nodes.get(&identity.node).ok_or_else(|| {
        StartError::Raft(format!("this node's state does not know node {}: join it again", identity.node))
    })?;
    let (key, request) = authority::request().map_err(IdentityError::from)?;
    let wanted = (identity.cluster_id, valid);
    let certificate = authorities
        .sign(directory.cluster_key(), &request, record, wanted)
        .map_err(|e| StartError::Raft(e.to_string()))?;
    let bundle = authorities.bundle();
    let not_after = Held::new(certificate.clone(), key.clone(), bundle.clone())?.not_after();
    if !directory.certificates().trusts().contains(&authorities.signer.fingerprint) {
        files::replace_authorities(&directory.tls(), &bundle)?;
    }
    files::replace_pair(&directory.tls(), &certificate, &key)?;
    Ok(Renewed { node: identity.node, not_after })
}

/// Opens a data directory, also one whose certificates or keys are lost or cannot be read: they are replaced anyway.
fn open(directory: &Path) -> Result<DataDirectory, IdentityError> {
    let tls = directory.join(TLS);
    match DataDirectory::open(directory) {
        Err(IdentityError::Damaged { .. } | IdentityError::Io { .. }) if files::read(&tls).is_err() => {}
        opened => return opened,
    }
    fs::create_dir_all(&tls).map_err(io_at(&tls))?;
    let for_now = authority::create("renewal")?;
    files::replace_authorities(&tls, &for_now.certificate)?;
    files::replace_pair(&tls, &for_now.certificate, &for_now.key)?;
    DataDirectory::open(directory)
}

/// Returns the state as the node's disk has it: the snapshot, and what of the log is known to be committed.
async fn stored_state(directory: &DataDirectory) -> Result<State, StartError> {
    let failed = |e: &dyn std::fmt::Display| StartError::Raft(format!("the node's state cannot be read: {e}"));
    let snapshots = Snapshots::open(&directory.below("raft/snapshots")?)?;
    let (mut state, mut next) = match snapshots.current() {
        Some((_, file)) => {
            let (_, state) = file.load()?;
            let next = state.applied_index + 1;
            (state, next)
        }
        None => (State::default(), 0),
    };
    let (mut log, _thread) = LogStore::open(&directory.below("raft/log")?, Fatal::new())?;
    let committed = log.read_committed().await.map_err(|e| failed(&e))?;
    let end = committed.map_or(0, |committed| committed.index + 1);
    let mut reader = log.get_log_reader().await;
    while next < end {
        let entries = reader.limited_get_log_entries(next, end).await.map_err(|e| failed(&e))?;
        if entries.is_empty() {
            return Err(failed(&format!("entry {next} is missing")));
        }
        for entry in entries {
            let index = entry.log_id.index;
            if let EntryPayload::Normal(entry) = &entry.payload {
                // What it replied was said long ago.
                drop(command::apply(&mut state, index, entry).map_err(|e| failed(&e))?);
            }
            state.applied_index = index;
            next = index + 1;
        }
    }
    Ok(state)
}
