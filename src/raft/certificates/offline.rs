//! Renews the certificate of a node that does not run and that nobody lets in any more because its certificate has
//! expired: the authority's key is in the node's own state, sealed with the cluster key that it holds.

use std::io::ErrorKind;
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
use crate::identity::{DataDirectory, IdentityError, TLS};
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

/// Renews the certificate of the node in `directory`, which must not run. The certificate is valid for `valid`. What is
/// in `tls/` is replaced once the new certificate is signed, and stays where that fails.
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
    let tls = directory.below(TLS)?;
    if !directory.certificates().trusts().contains(&authorities.signer.fingerprint) {
        files::replace_authorities(&tls, &bundle)?;
    }
    files::replace_pair(&tls, &certificate, &key)?;
    Ok(Renewed { node: identity.node, not_after })
}

/// Opens a data directory, also one whose certificates or keys are lost or damaged: in memory, those of an authority
/// that signed nothing stand for them.
fn open(directory: &Path) -> Result<DataDirectory, IdentityError> {
    DataDirectory::open_with(directory, |tls| match files::read(tls) {
        Err(error) if is_loss(&error) => {
            let for_now = authority::create("renewal")?;
            Held::new(for_now.certificate.clone(), for_now.key, for_now.certificate)
        }
        read => read,
    })
}

/// Says whether there is nothing to go on with, as opposed to a disk that does not give it now.
fn is_loss(error: &IdentityError) -> bool {
    match error {
        IdentityError::Damaged { .. } => true,
        IdentityError::Io { source, .. } => source.kind() == ErrorKind::NotFound,
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;

    use portcullis_model::NodeAddresses;

    use super::*;
    use crate::create::{CreateCluster, create_cluster};

    const VALID: Duration = Duration::from_secs(3600);

    /// The data directory of a node that never ran: it has no state to sign with.
    fn made() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses =
            NodeAddresses { cluster: at(7443), management: at(9443), gateway_http: at(8280), gateway_https: at(8243) };
        let wish = CreateCluster {
            name: "test".to_owned(),
            node_name: "one".to_owned(),
            addresses,
            admin_password_hash: "$argon2id$x".to_owned(),
            certificate_valid: VALID,
        };
        create_cluster(directory.path(), &wish).unwrap();
        directory
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_what_is_there() {
        for damaged in ["ca.pem", "node.pem", "node.key"] {
            let directory = made();
            let tls = directory.path().join(TLS);
            fs::write(tls.join(damaged), "x").unwrap();
            let files = || ["ca.pem", "node.pem", "node.key"].map(|name| fs::read_to_string(tls.join(name)).unwrap());
            let before = files();
            let refused = renew_offline(directory.path(), VALID).await.unwrap_err();
            assert!(refused.to_string().contains("holds no state"), "{refused}");
            assert_eq!(files(), before, "{damaged} was damaged");
            fs::remove_dir_all(&tls).unwrap();
            renew_offline(directory.path(), VALID).await.unwrap_err();
            assert!(!tls.exists());
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_taken_for_a_lost_one() {
        let directory = made();
        let tls = directory.path().join(TLS);
        let before = fs::read_to_string(tls.join("ca.pem")).unwrap();
        fs::remove_file(tls.join("node.key")).unwrap();
        fs::create_dir(tls.join("node.key")).unwrap();
        let refused = renew_offline(directory.path(), VALID).await.unwrap_err();
        assert!(matches!(refused, StartError::Identity(IdentityError::Io { .. })), "{refused}");
        assert_eq!(fs::read_to_string(tls.join("ca.pem")).unwrap(), before);
    }
}
