//! Whom a node that was admitted asks whether it is still wanted, until the leader has reached it: without a log it knows no
//! member. It is asked of nobody where it is not there: who was admitted earlier waits as before.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_model::NodeId;

use crate::identity::{self, IdentityError};

/// The file in the data directory.
const CONTACTS: &str = "contacts.json";

/// A node of the cluster, and its cluster address.
pub(crate) type Contact = (NodeId, SocketAddr);

/// Writes down who was a member when the node was admitted.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write(directory: &Path, contacts: &[Contact]) -> Result<(), IdentityError> {
    let text = serde_json::to_vec_pretty(contacts).map_err(|_| IdentityError::Invalid("the grant's peers"))?;
    identity::write_file(&directory.join(CONTACTS), &text, 0o644)
}

/// Returns who was a member then; nobody where that is not known.
pub(crate) fn read(directory: &Path) -> Vec<Contact> {
    let path = directory.join(CONTACTS);
    let read = fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other));
    read.unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(path = %path.display(), %error, "it is not known whom to ask");
        }
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_kept_and_need_not_be_there() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), []);
        let contacts = [(NodeId(1), SocketAddr::from(([10, 0, 0, 1], 7443)))];
        write(directory.path(), &contacts).unwrap();
        assert_eq!(read(directory.path()), contacts);
        fs::write(directory.path().join(CONTACTS), "[[").unwrap();
        assert_eq!(read(directory.path()), []);
    }
}
