//! Makes the data directory of a new cluster's first node: configuration file, authority, certificate, keys, seed.
//! Starts nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_raft::{CreateCluster, IdentityError, create_cluster};

use crate::config::{Config, FILE_NAME};

/// Letters and digits of a password that is made; those easily mistaken for another are left out.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of such a password: 20 of 32 letters are 100 bits.
const PASSWORD_CHARS: usize = 20;

/// What a new cluster is to be.
#[derive(Clone, Copy, Debug)]
pub struct Founding<'a> {
    /// The first node's configuration, which is written into `node.toml`.
    pub config: &'a Config,
    /// The cluster's name.
    pub cluster_name: &'a str,
    /// The password of the first user, `admin`.
    pub admin_password: &'a str,
}

/// A cluster that was made.
#[derive(Clone, Copy, Debug)]
pub struct Founded {
    /// The SHA-256 of the cluster's certificate authority (DER).
    pub ca_fingerprint: [u8; 32],
}

/// Why a data directory cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DataDirFault {
    /// It is in use, not empty, or cannot be written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The configuration file cannot be written.
    #[error("{} cannot be written: {cause}", file.display())]
    CannotWrite {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// Makes a new cluster in `data_dir`.
///
/// # Errors
/// Where the directory holds a node or other files already, or cannot be written.
pub fn found(data_dir: &Path, founding: &Founding<'_>) -> Result<Founded, DataDirFault> {
    let wish = CreateCluster {
        name: founding.cluster_name.to_owned(),
        node_name: founding.config.node_name(),
        addresses: founding.config.addresses(),
        admin_password_hash: portcullis_key_manager::hash_password(founding.admin_password),
        certificate_valid: founding.config.certificate_valid(),
    };
    let created = create_cluster(data_dir, &wish)?;
    write_config(data_dir, founding.config)?;
    Ok(Founded { ca_fingerprint: created.ca_fingerprint })
}

/// Draws a password.
#[must_use]
pub fn new_password() -> String {
    let bytes: [u8; PASSWORD_CHARS] = portcullis_database::handle::random_bytes();
    // 32 divides 256, so every letter is as likely as any other.
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// Writes `node.toml`, unless there is one that says the same already.
pub(crate) fn write_config(data_dir: &Path, config: &Config) -> Result<(), DataDirFault> {
    let file = data_dir.join(FILE_NAME);
    let present = std::fs::read_to_string(&file).ok();
    let says = present.as_deref().and_then(|text| Config::from_layers(Some((&file, text)), [], &[]).ok());
    if says.is_some_and(|loaded| loaded.config == *config) {
        return Ok(());
    }
    let written = (|| {
        let place = file.with_extension("toml.new");
        let mut new = std::fs::File::create(&place)?;
        new.write_all(config.as_commented_toml().as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&place, &file)?;
        std::fs::File::open(data_dir)?.sync_all()
    })();
    written.map_err(|cause| DataDirFault::CannotWrite { file, cause })
}

impl Fault for DataDirFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Identity(fault) => code_of(fault),
            Self::CannotWrite { .. } => "PC-2021",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Identity(fault) => status_of(fault),
            Self::CannotWrite { .. } => 500,
        }
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn next_step(&self) -> String {
        match self {
            Self::Identity(fault) => next_step_of(fault),
            Self::CannotWrite { .. } => {
                "make room or give this user the right to write there, then try again".to_owned()
            }
        }
    }
}

/// Returns the code of a fault of a data directory.
pub(crate) fn code_of(fault: &IdentityError) -> &'static str {
    match fault {
        IdentityError::NoNode { .. } => "PC-2022",
        IdentityError::AlreadyUsed { .. } => "PC-2023",
        IdentityError::NotEmpty { .. } => "PC-2024",
        IdentityError::InUse { .. } => "PC-2010",
        IdentityError::Damaged { .. } => "PC-2025",
        IdentityError::TooNew { .. } => "PC-2026",
        _ => "PC-2020",
    }
}

/// Returns the HTTP status that comes nearest.
pub(crate) fn status_of(fault: &IdentityError) -> u16 {
    match fault {
        IdentityError::NoNode { .. } => 404,
        IdentityError::AlreadyUsed { .. } | IdentityError::NotEmpty { .. } | IdentityError::InUse { .. } => 409,
        _ => 500,
    }
}

/// Returns what to do about a fault of a data directory.
pub(crate) fn next_step_of(fault: &IdentityError) -> String {
    match fault {
        IdentityError::NoNode { path, .. } => format!(
            "portcullis cluster bootstrap --data-dir {0}     or join one: portcullis cluster join --data-dir {0} --token TOKEN",
            path.display()
        ),
        IdentityError::AlreadyUsed { path, .. } => {
            format!("portcullis server --data-dir {}     or choose another directory", path.display())
        }
        IdentityError::NotEmpty { .. } => "choose a new or an empty directory".to_owned(),
        IdentityError::InUse { .. } => "stop the node that runs there, or use another directory".to_owned(),
        IdentityError::Damaged { .. } => {
            "remove the node from the cluster and join again with a new directory".to_owned()
        }
        IdentityError::TooNew { .. } => "run the version that wrote it".to_owned(),
        _ => "check the directory, the node's name and this user's rights".to_owned(),
    }
}
