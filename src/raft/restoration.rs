//! Restoring a backup: makes the data directory of the first node of a new cluster, which goes on with the state of the
//! backup. Starts nothing.
//!
//! The cluster gets an id and an authority of its own, so that no node of the old cluster can speak to it. The cluster
//! key stays: the secrets in the state are sealed with it.

use std::path::Path;
use std::time::Duration;

use portcullis_database::adoption::{self, NewCluster};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{ClusterKey, State};
use portcullis_model::NodeAddresses;

use crate::authority::{self, Subject};
use crate::backup::Unpacked;
use crate::identity::{self, Contents, Identity, IdentityError, check_unused, fingerprint};
use crate::types::position_alone;

/// What is to be restored, and where.
#[derive(Debug)]
pub struct Restoration {
    /// The backup.
    pub backup: Unpacked,
    /// The key that opens the secrets in it, where the backup does not carry it.
    pub cluster_key: Option<ClusterKey>,
    /// The new cluster's name; the old one's where it is not given.
    pub name: Option<String>,
    /// The node's name, a host name.
    pub node_name: String,
    /// Where the node listens.
    pub addresses: NodeAddresses,
    /// How long the node's certificate is valid.
    pub certificate_valid: Duration,
}

/// Why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No key was given, and there is none in the backup.
    #[error("the backup is not encrypted and so does not hold the cluster key, which opens the secrets in it")]
    NeedsClusterKey,
    /// The key is another cluster's.
    #[error("the cluster key is not the one with which the secrets in the backup were sealed")]
    WrongClusterKey,
    /// It is no cluster's.
    #[error("the backup holds the state of a cluster that was never bootstrapped")]
    NoCluster,
}

/// A cluster that was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Who its first node is.
    pub identity: Identity,
    /// The SHA-256 of its authority's certificate.
    pub ca_fingerprint: [u8; 32],
    /// The index it goes on from.
    pub applied_index: u64,
}

/// Makes the data directory of the first node of a new cluster from a backup.
///
/// # Errors
/// Where the directory is used already, or the key is missing or another.
pub fn restore_cluster(directory: &Path, wish: Restoration) -> Result<Restored, RestoreError> {
    check_unused(directory)?;
    let Restoration { backup, cluster_key, name, node_name, addresses, certificate_valid: valid } = wish;
    let mut state = backup.state;
    let cluster_key = backup.cluster_key.or(cluster_key).ok_or(RestoreError::NeedsClusterKey)?;
    check_key(&state, &cluster_key)?;
    let id = uuid::Builder::from_random_bytes(random_bytes()).into_uuid();
    authority::check_name(&node_name, Some(id)).map_err(IdentityError::from)?;
    let name = name.unwrap_or(backup.head.cluster_name);
    let ca = authority::create(&name).map_err(IdentityError::from)?;
    let new = NewCluster {
        id,
        name: name.clone(),
        ca_certificate: ca.certificate.clone(),
        ca_key: cluster_key.seal(ca.key.as_bytes()),
        node_name: node_name.clone(),
        node_addresses: addresses.clone(),
        at: wall_clock().max(state.now()),
    };
    let node = adoption::restore(&mut state, new).ok_or(RestoreError::NoCluster)?;
    let (key, request) = authority::request().map_err(IdentityError::from)?;
    let subject = Subject { node, cluster: id, name: &node_name, addresses: &addresses, valid };
    let certificate = authority::sign(&ca, &request, &subject).map_err(IdentityError::from)?;
    let identity = Identity::new(id, &name, node, &node_name, addresses.clone());
    let position = position_alone(state.applied_index, node, addresses.cluster);
    let contents = Contents {
        identity: &identity,
        ca_certificate: &ca.certificate,
        certificate: &certificate,
        key: &key,
        cluster_key: &cluster_key,
        seed: None,
        state: Some((&position, &state)),
    };
    identity::write_new(directory, &contents)?;
    let ca_fingerprint = fingerprint(&ca.certificate)?;
    Ok(Restored { identity, ca_fingerprint, applied_index: state.applied_index })
}

/// The authority's key is a secret that every cluster has.
fn check_key(state: &State, cluster_key: &ClusterKey) -> Result<(), RestoreError> {
    let facts = state.system.cluster.get(&()).ok_or(RestoreError::NoCluster)?;
    cluster_key.open(&facts.ca_key).map(drop).map_err(|_| RestoreError::WrongClusterKey)
}
