//! Keeping the state safe, as an operator sees it: snapshots of a node, backups of the cluster, and the feature level.

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterRefusal;
use crate::id::NodeId;
use crate::port::PortFuture;
use crate::time::Timestamp;

/// Takes snapshots and backups, and finishes upgrades; implemented by `raft`, asked by Admin.
pub trait Safekeeping: Send + Sync {
    /// Has this node take a snapshot of all that it has applied, and returns it.
    fn create_snapshot(&self) -> PortFuture<'_, Result<SnapshotFacts, ClusterRefusal>>;

    /// Returns this node's snapshots, oldest first.
    fn list_snapshots(&self) -> PortFuture<'_, Result<Vec<SnapshotFacts>, ClusterRefusal>>;

    /// Begins a backup of everything that was acknowledged anywhere before the call. Its bytes come from the stream.
    fn backup(&self, wish: BackupWish) -> PortFuture<'_, Result<Box<dyn BackupStream>, ClusterRefusal>>;

    /// Says which feature level the cluster has, and which each node knows.
    fn check_upgrade(&self) -> PortFuture<'_, UpgradeCheck>;

    /// Raises the feature level to the highest that every node knows, and returns how things stand then. Refuses while
    /// a node does not say what it knows.
    fn finalise_upgrade(&self) -> PortFuture<'_, Result<UpgradeCheck, ClusterRefusal>>;
}

/// A snapshot file of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// The node that has it.
    pub node: NodeId,
    /// Its file name, in `raft/snapshots` of the data directory.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// The index of the last entry in it.
    pub index: u64,
    /// The Raft term of that entry.
    pub term: u64,
    /// The format of the file.
    pub format: u16,
    /// When it was written.
    pub created_at: Timestamp,
}

/// How a backup is to be made.
#[derive(Clone)]
pub struct BackupWish {
    /// Encrypts it, and has the cluster key put into it.
    pub encryption: Option<BackupEncryption>,
}

/// How a backup is encrypted. The passphrase stays with the caller.
#[derive(Clone)]
pub struct BackupEncryption {
    /// The key.
    pub key: [u8; 32],
    /// How the caller made the key, which goes into the backup's head: enough to make it again from the passphrase.
    pub derivation: KeyDerivation,
}

/// How the key of a backup is had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyDerivation {
    /// From a passphrase, by argon2id (RFC 9106).
    Argon2id {
        /// The salt, hexadecimal; 8 to 32 bytes.
        salt: String,
        /// Memory, in KiB; at most 1 GiB.
        memory_kib: u32,
        /// Passes; at most 16.
        passes: u32,
        /// Lanes; at most 8.
        lanes: u32,
    },
    /// It is in a file.
    KeyFile,
}

impl std::fmt::Debug for BackupWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupWish(encrypted: {})", self.encryption.is_some())
    }
}

impl std::fmt::Debug for BackupEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupEncryption({:?})", self.derivation)
    }
}

/// The bytes of a backup, piece by piece.
pub trait BackupStream: Send {
    /// Returns the next piece; `None` after the last. After an error there is nothing more.
    fn next(&mut self) -> PortFuture<'_, Option<Result<Vec<u8>, String>>>;
}

/// Where an upgrade stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeCheck {
    /// The feature level of the cluster.
    pub feature_level: u32,
    /// The highest level that every node knows; `None` while a node does not answer.
    pub possible_level: Option<u32>,
    /// The nodes, by id.
    pub nodes: Vec<NodeLevel>,
}

/// What one node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLevel {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// The version of the program it runs; empty where it does not answer.
    pub version: String,
    /// The highest feature level it knows; `None` where it does not answer.
    pub feature_level: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_backup_shows_no_key() {
        let encryption = BackupEncryption { key: [0xab; 32], derivation: KeyDerivation::KeyFile };
        let wish = BackupWish { encryption: Some(encryption.clone()) };
        let shown = format!("{wish:?} {encryption:?}");
        assert!(!shown.contains("171") && !shown.contains("ab, "), "{shown}");
    }
}
