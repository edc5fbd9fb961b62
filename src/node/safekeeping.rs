//! Snapshots, backups, restoring and recovering where no node runs: what the command line does on files, with the code
//! and the next step of each fault.

use std::path::Path;

use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_model::safekeeping::BackupEncryption;
use portcullis_raft::backup::{self, BackupError, KeyError};
use portcullis_raft::{IdentityError, RecoveryError, Restoration, RestoreError, SnapshotFileError};

use crate::config::{Config, ConfigFault};
use crate::founding::{DataDirFault, code_of, next_step_of, status_of, write_config};

pub use portcullis_database::snapshot::Summary;
pub use portcullis_raft::backup::{BackupKey, Head, Verified};
pub use portcullis_raft::{Identity, Recovery, RecoveryReport, Restored, SnapshotReport};

/// Why something with a snapshot or a backup did not work.
#[derive(Debug, thiserror::Error)]
pub enum SafekeepingFault {
    /// A snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// A backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A backup cannot be restored.
    #[error(transparent)]
    Restore(RestoreError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirFault),
    /// A node cannot be recovered.
    #[error(transparent)]
    Recovery(RecoveryError),
    /// The node's configuration is not acceptable.
    #[error(transparent)]
    Config(#[from] ConfigFault),
}

impl From<RestoreError> for SafekeepingFault {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Identity(fault) => Self::DataDir(fault.into()),
            other => Self::Restore(other),
        }
    }
}

impl From<RecoveryError> for SafekeepingFault {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Identity(fault) => Self::DataDir(fault.into()),
            other => Self::Recovery(other),
        }
    }
}

impl From<KeyError> for SafekeepingFault {
    fn from(error: KeyError) -> Self {
        Self::Backup(error.into())
    }
}

/// Counts what is in a snapshot file, checking every byte.
///
/// # Errors
/// What is wrong with it.
pub fn inspect_snapshot(file: &Path) -> Result<SnapshotReport, SafekeepingFault> {
    Ok(portcullis_raft::inspect_snapshot(file)?)
}

/// Reads what a backup says about itself.
///
/// # Errors
/// Where it is no backup.
pub fn backup_head(file: &Path) -> Result<Head, SafekeepingFault> {
    Ok(backup::read_head(file)?)
}

/// Checks every byte of a backup; with its key also what is encrypted.
///
/// # Errors
/// What is wrong with it.
pub fn verify_backup(file: &Path, key: Option<&BackupKey>) -> Result<Verified, SafekeepingFault> {
    Ok(backup::verify(file, key)?)
}

/// Makes what a node needs to encrypt a backup.
///
/// # Errors
/// Where the passphrase is too short.
pub fn encryption_for(key: &BackupKey) -> Result<BackupEncryption, SafekeepingFault> {
    Ok(key.for_new_backup()?)
}

/// A backup to restore, and where.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub file: &'a Path,
    /// What opens it.
    pub key: Option<BackupKey>,
    /// The text of a node's `cluster.key`, for a backup that is not encrypted.
    pub cluster_key: Option<String>,
    /// The new cluster's name; the old one's where it is not given.
    pub name: Option<String>,
    /// The first node's configuration, which is written into `node.toml`.
    pub config: &'a Config,
}

/// Makes the data directory of the first node of a new cluster from a backup.
///
/// # Errors
/// Where the directory holds anything already, the backup is damaged, or a key is missing or another.
pub fn restore(data_dir: &Path, wish: Restore<'_>) -> Result<Restored, SafekeepingFault> {
    portcullis_raft::check_unused(data_dir).map_err(DataDirFault::from)?;
    let cluster_key = wish.cluster_key.map(|text| portcullis_raft::parse_cluster_key(&text));
    let cluster_key = cluster_key.transpose().map_err(DataDirFault::from)?;
    let restoration = Restoration {
        backup: backup::unpack(wish.file, wish.key.as_ref())?,
        cluster_key,
        name: wish.name,
        node_name: wish.config.node_name(),
        addresses: wish.config.addresses(),
        certificate_valid: wish.config.certificate_valid(),
    };
    let restored = portcullis_raft::restore_cluster(data_dir, restoration)?;
    write_config(data_dir, wish.config)?;
    Ok(restored)
}

/// Has a recovery that is prepared take effect, and returns who the node is now.
///
/// # Errors
/// Where the configuration is not acceptable, or something cannot be written.
pub fn recover(data_dir: &Path, recovery: Recovery) -> Result<Identity, SafekeepingFault> {
    let valid = Config::load(data_dir, &[])?.config.certificate_valid();
    Ok(recovery.apply(valid)?)
}

impl Fault for SafekeepingFault {
    fn code(&self) -> &'static str {
        match self {
            Self::DataDir(fault) => fault.code(),
            Self::Config(fault) => fault.code(),
            Self::Recovery(RecoveryError::Identity(fault)) => code_of(fault),
            Self::Snapshot(_) => "PC-2040",
            Self::Backup(BackupError::NeedsKey(_) | BackupError::WrongKey(_) | BackupError::Key(_)) => "PC-2042",
            Self::Backup(BackupError::TooNew { .. } | BackupError::State { .. }) => "PC-2043",
            Self::Backup(_) => "PC-2041",
            Self::Restore(_) => "PC-2044",
            Self::Recovery(_) => "PC-2045",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::DataDir(fault) => fault.status(),
            Self::Config(fault) => fault.status(),
            Self::Recovery(RecoveryError::Identity(fault)) => status_of(fault),
            Self::Snapshot(_) | Self::Backup(_) | Self::Restore(_) | Self::Recovery(_) => 400,
        }
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn next_step(&self) -> String {
        let text = match self {
            Self::DataDir(fault) => return fault.next_step(),
            Self::Config(fault) => return fault.next_step(),
            Self::Recovery(RecoveryError::Identity(fault)) => return next_step_of(fault),
            Self::Snapshot(_) => "check the path: snapshots are in raft/snapshots of a node's data directory",
            Self::Backup(BackupError::NeedsKey(_)) => "give --passphrase-file or --key-file, as it was made with",
            Self::Backup(BackupError::Key(KeyError::TooShort(_))) => "choose a longer one, several words",
            Self::Backup(BackupError::Key(KeyError::NotAKey)) => "openssl rand -hex 32 > backup.key     makes one",
            Self::Backup(BackupError::WrongKey(_) | BackupError::Key(_)) => {
                "give the passphrase or key file that it was made with"
            }
            Self::Backup(BackupError::TooNew { .. } | BackupError::State { .. }) => {
                "run the version that made it, or a newer one"
            }
            Self::Backup(_) => "use another backup: portcullis cluster backup list DIR     shows which are whole",
            Self::Restore(_) => "give the cluster.key of any node of that cluster with --cluster-key-file",
            Self::Recovery(_) => {
                "recover another surviving node, or restore a backup: portcullis cluster restore --data-dir NEW FILE"
            }
        };
        text.to_owned()
    }
}

impl From<IdentityError> for SafekeepingFault {
    fn from(fault: IdentityError) -> Self {
        Self::DataDir(fault.into())
    }
}
