//! The data directory's identity: who this node is, its keys and certificates, and the lock that keeps a second
//! process out. What the Raft log and the snapshots hold is not its concern.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_database::{ClusterKey, State, level};
use portcullis_model::{NodeAddresses, NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::authority::CertificateError;
use crate::certificates::{self, Certificates, Held};
use crate::contacts::{self, Contact};
use crate::log::sync_directory;
use crate::recovery;
use crate::snapshots::{self, Snapshots};
use crate::transport::TlsError;
use crate::types::SnapshotMeta;

/// The layout of the data directory that this version writes.
const VERSION: u32 = 1;
const IDENTITY: &str = "identity.json";
const CLUSTER_KEY: &str = "cluster.key";
pub(crate) const LOCK: &str = "lock";
pub(crate) const TLS: &str = "tls";
const SEED: &str = "bootstrap.seed";
/// For tests of mixed versions alone.
const PRETENDED_LEVEL: &str = "pretend-feature-level";
/// The node's configuration file, which may be there before the node is.
const CONFIGURATION: &str = "node.toml";

/// Who a node is: `identity.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The layout of the data directory.
    pub version: u32,
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// The cluster's name.
    pub cluster_name: String,
    /// The node's id.
    pub node: NodeId,
    /// The node's name.
    pub node_name: String,
    /// Where it listens.
    pub addresses: NodeAddresses,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// There is no node in the directory.
    #[error(
        "{path} holds no node: make one with `portcullis cluster bootstrap --data-dir {path}` (a new cluster) or \
         `portcullis cluster join --data-dir {path} --token TOKEN` (an existing one)"
    )]
    NoNode {
        /// The directory.
        path: PathBuf,
    },
    /// There is a node in the directory already.
    #[error(
        "{path} holds node {node} of cluster {cluster_name} already: start it with \
         `portcullis server --data-dir {path}`, or choose another directory"
    )]
    AlreadyUsed {
        /// The directory.
        path: PathBuf,
        /// The node in it.
        node: NodeId,
        /// The node's cluster.
        cluster_name: String,
    },
    /// The directory is not empty.
    #[error("{path} is not empty (it holds {found}): choose an empty or a new directory, or remove what is in it")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        found: String,
    },
    /// Another process uses the directory.
    #[error("{path} is in use by another portcullis process: stop that one first, or use another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {reason}. Restore it from a backup, or remove the node and join again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version made the directory.
    #[error("{path} has version {version}; this version of portcullis reads up to {VERSION}: run the newer one")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// `cluster recover` was begun and did not end.
    #[error(
        "the recovery of {path} was begun and not finished: run `portcullis cluster recover --data-dir {path}` again"
    )]
    RecoveryUnfinished {
        /// The directory.
        path: PathBuf,
    },
    /// The command or grant cannot be written.
    #[error("{0} is not as expected")]
    Invalid(&'static str),
    /// A key or certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { path, source }
}

/// What a new data directory gets.
pub(crate) struct Contents<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) ca_certificate: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) key: &'a str,
    pub(crate) cluster_key: &'a ClusterKey,
    pub(crate) seed: Option<&'a [u8]>,
    /// The state that the node begins with, and its position.
    pub(crate) state: Option<(&'a SnapshotMeta, &'a State)>,
}

/// Refuses a directory that holds anything but a configuration file; one that does not exist is fine.
///
/// # Errors
/// [`IdentityError::AlreadyUsed`], [`IdentityError::NotEmpty`], or that it cannot be read.
pub fn check_unused(directory: &Path) -> Result<(), IdentityError> {
    let items = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        items => items.map_err(io_at(directory))?,
    };
    if let Ok(Identity { node, cluster_name, .. }) = read_identity(directory) {
        return Err(IdentityError::AlreadyUsed { path: directory.to_owned(), node, cluster_name });
    }
    for item in items {
        let found = item.map_err(io_at(directory))?.file_name().to_string_lossy().into_owned();
        if found != CONFIGURATION {
            return Err(IdentityError::NotEmpty { path: directory.to_owned(), found });
        }
    }
    Ok(())
}

/// Writes a new data directory of a node that knows no other.
pub(crate) fn write_new(directory: &Path, contents: &Contents<'_>) -> Result<(), IdentityError> {
    write_admitted(directory, contents, &[])
}

/// Writes a new data directory of a node that is to know `members`. The identity comes last: without it the directory
/// holds no node.
pub(crate) fn write_admitted(
    directory: &Path,
    contents: &Contents<'_>,
    members: &[Contact],
) -> Result<(), IdentityError> {
    check_unused(directory)?;
    let tls = directory.join(TLS);
    fs::create_dir_all(&tls).map_err(io_at(&tls))?;
    write_file(&tls.join(certificates::AUTHORITIES), contents.ca_certificate.as_bytes(), 0o644)?;
    write_file(&tls.join(certificates::CERTIFICATE), contents.certificate.as_bytes(), 0o644)?;
    write_file(&tls.join(certificates::KEY), contents.key.as_bytes(), 0o600)?;
    sync_directory(&tls).map_err(io_at(&tls))?;
    let key = format!("{}\n", hex::encode(contents.cluster_key.as_bytes()));
    write_file(&directory.join(CLUSTER_KEY), key.as_bytes(), 0o600)?;
    if let Some(seed) = contents.seed {
        write_file(&directory.join(SEED), seed, 0o600)?;
    }
    if let Some((meta, state)) = contents.state {
        let snapshots = directory.join(snapshots::DIRECTORY);
        write_snapshot(&snapshots, meta, state)?;
    }
    if !members.is_empty() {
        contacts::write(directory, members)?;
    }
    let identity = serde_json::to_vec_pretty(contents.identity).map_err(|_| IdentityError::Invalid("the identity"))?;
    write_file(&directory.join(IDENTITY), &identity, 0o644)?;
    sync_directory(directory).map_err(io_at(directory))
}

/// Makes a directory of snapshots with one in it.
pub(crate) fn write_snapshot(snapshots: &Path, meta: &SnapshotMeta, state: &State) -> Result<(), IdentityError> {
    fs::create_dir_all(snapshots).map_err(io_at(snapshots))?;
    let written = Snapshots::open(snapshots).and_then(|all| all.write(meta, state));
    written.map_err(|e| IdentityError::Io { path: snapshots.to_owned(), source: io::Error::other(e) })?;
    let parent = snapshots.parent().unwrap_or(snapshots);
    sync_directory(parent).map_err(io_at(parent))
}

pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), IdentityError> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path).map_err(io_at(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io_at(path))
}

pub(crate) fn read_identity(directory: &Path) -> Result<Identity, IdentityError> {
    let path = directory.join(IDENTITY);
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(IdentityError::NoNode { path: directory.to_owned() });
        }
        text => text.map_err(io_at(&path))?,
    };
    let damaged = |e: serde_json::Error| IdentityError::Damaged { path: path.clone(), reason: e.to_string() };
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(&text).map_err(damaged)?;
    if version > VERSION {
        return Err(IdentityError::TooNew { path, version });
    }
    serde_json::from_str(&text).map_err(damaged)
}

/// A node's data directory, locked for this process as long as the value lives.
pub struct DataDirectory {
    path: PathBuf,
    identity: Identity,
    cluster_key: ClusterKey,
    held: Held,
    /// Closing it gives the lock back.
    _lock: File,
}

impl fmt::Debug for DataDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataDirectory({})", self.path.display())
    }
}

impl DataDirectory {
    /// Opens and locks the data directory of a node.
    ///
    /// # Errors
    /// Where it holds no node, another process uses it, or something in it is damaged.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        Self::open_with(directory, certificates::read)
    }

    /// Opens and locks the data directory of a node, with the certificates that `held` makes of its `tls/`.
    pub(crate) fn open_with(
        directory: &Path,
        held: impl FnOnce(&Path) -> Result<Held, IdentityError>,
    ) -> Result<Self, IdentityError> {
        let identity = read_identity(directory)?;
        let lock = lock(directory)?;
        if recovery::is_unfinished(directory) {
            return Err(IdentityError::RecoveryUnfinished { path: directory.to_owned() });
        }
        Self::read(directory, identity, lock, held)
    }

    /// Opens and locks the data directory of a node, whether or not its recovery was cut short.
    pub(crate) fn open_for_recovery(directory: &Path) -> Result<Self, IdentityError> {
        let identity = read_identity(directory)?;
        let lock = lock(directory)?;
        Self::read(directory, identity, lock, certificates::read)
    }

    fn read(
        directory: &Path,
        identity: Identity,
        lock: File,
        held: impl FnOnce(&Path) -> Result<Held, IdentityError>,
    ) -> Result<Self, IdentityError> {
        let text = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(io_at(&path))
        };
        Ok(Self {
            path: directory.to_owned(),
            identity,
            cluster_key: parse_key(&text(CLUSTER_KEY)?, &directory.join(CLUSTER_KEY))?,
            held: held(&directory.join(TLS))?,
            _lock: lock,
        })
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns who the node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the key that encrypts the cluster's secrets.
    #[must_use]
    pub fn cluster_key(&self) -> &ClusterKey {
        &self.cluster_key
    }

    /// Returns the node's certificate, its key, and the authorities that it trusts. They serve HTTPS too.
    #[must_use]
    pub fn certificates(&self) -> &Held {
        &self.held
    }

    /// Returns where certificates and keys are.
    pub(crate) fn tls(&self) -> PathBuf {
        self.path.join(TLS)
    }

    /// Returns the certificates as a running node holds them. Those that it signs itself are `valid` for that long.
    pub(crate) fn load_certificates(&self, valid: Duration) -> Result<Certificates, TlsError> {
        Certificates::new(self.tls(), self.held.clone(), self.identity.node, valid)
    }

    /// Returns the highest feature level that the node knows: that of the program, unless a test has it behave as an
    /// earlier one by a file `pretend-feature-level`.
    pub(crate) fn known_level(&self) -> u32 {
        let pretended = fs::read_to_string(self.path.join(PRETENDED_LEVEL)).ok();
        pretended
            .and_then(|text| text.trim().parse().ok())
            .map_or(level::HIGHEST, |level: u32| level.min(level::HIGHEST))
    }

    /// Returns the command with which the first node's first start makes the cluster, until that happened.
    pub(crate) fn seed(&self) -> Result<Option<Vec<u8>>, IdentityError> {
        let path = self.path.join(SEED);
        match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            seed => seed.map(Some).map_err(io_at(&path)),
        }
    }

    /// Forgets the seed once the cluster is made.
    pub(crate) fn remove_seed(&self) -> Result<(), IdentityError> {
        let path = self.path.join(SEED);
        fs::remove_file(&path).and_then(|()| sync_directory(&self.path)).map_err(io_at(&path))
    }

    /// Returns a directory below, which is made where it is missing.
    pub(crate) fn below(&self, name: &str) -> Result<PathBuf, IdentityError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(io_at(&path))?;
        for made in path.ancestors().skip(1).take_while(|made| made.starts_with(&self.path)) {
            sync_directory(made).map_err(io_at(made))?;
        }
        Ok(path)
    }
}

fn lock(directory: &Path) -> Result<File, IdentityError> {
    let path = directory.join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(io_at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IdentityError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(e)) => Err(io_at(&path)(e)),
    }
}

pub(crate) fn parse_key(text: &str, path: &Path) -> Result<ClusterKey, IdentityError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| IdentityError::Damaged {
        path: path.to_owned(),
        reason: "it is not 64 hexadecimal digits".to_owned(),
    })?;
    Ok(ClusterKey::new(bytes))
}

/// Reads the text of a `cluster.key`.
///
/// # Errors
/// [`IdentityError::Damaged`] where it is none.
pub fn parse_cluster_key(text: &str) -> Result<ClusterKey, IdentityError> {
    parse_key(text, Path::new(CLUSTER_KEY))
}

impl Identity {
    /// Returns the identity of a node that is being made.
    pub(crate) fn new(
        cluster_id: Uuid,
        cluster_name: &str,
        node: NodeId,
        node_name: &str,
        addresses: NodeAddresses,
    ) -> Self {
        let (cluster_name, node_name) = (cluster_name.to_owned(), node_name.to_owned());
        Self { version: VERSION, cluster_id, cluster_name, node, node_name, addresses }
    }
}

/// Returns the SHA-256 of a certificate given as PEM, of its DER form.
///
/// # Errors
/// [`IdentityError::Invalid`] where it is no certificate.
pub fn fingerprint(certificate: &str) -> Result<[u8; 32], IdentityError> {
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(certificate.as_bytes())
        .map_err(|_| IdentityError::Invalid("the certificate"))?;
    Ok(Sha256::digest(&der).into())
}
