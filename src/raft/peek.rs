//! What a data directory shows of its node to a process that is not the node: read without taking its lock.

use std::fs::{File, TryLockError};
use std::path::Path;

use portcullis_database::handle::wall_clock;
use portcullis_model::NodeId;

use crate::certificates::{CERTIFICATE, Parsed, utc};
use crate::identity::{IdentityError, LOCK, TLS, io_at, read_identity};

/// A node as its data directory shows it.
#[derive(Clone, Debug)]
pub struct Peeked {
    /// The node.
    pub node: NodeId,
    /// Its cluster's name.
    pub cluster_name: String,
    /// Whether a process holds the directory.
    pub is_running: bool,
    /// When its certificate ends (RFC 3339).
    pub certificate_ends: String,
    /// Whether that is over.
    pub certificate_has_ended: bool,
}

/// Looks into the data directory of a node, which may run.
///
/// # Errors
/// Where it holds no node, or what it holds cannot be read.
pub fn peek(directory: &Path) -> Result<Peeked, IdentityError> {
    let identity = read_identity(directory)?;
    let path = directory.join(TLS).join(CERTIFICATE);
    let certificate = Parsed::from_pem(&std::fs::read_to_string(&path).map_err(io_at(&path))?)?;
    Ok(Peeked {
        node: identity.node,
        cluster_name: identity.cluster_name,
        is_running: is_locked(&directory.join(LOCK))?,
        certificate_ends: utc(certificate.not_after),
        certificate_has_ended: certificate.not_after <= wall_clock(),
    })
}

/// Says whether a process holds the lock. One that asks for it in this moment is told that it is taken.
fn is_locked(path: &Path) -> Result<bool, IdentityError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(io_at(path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(io_at(path)(e)),
    }
}
