//! Making a node's data directory: as the first of a new cluster, or as one that joins. Starts nothing.

use std::path::Path;
use std::time::Duration;

use portcullis_database::command::Bootstrap;
use portcullis_database::handle::random_bytes;
use portcullis_database::{ClusterKey, codec};
use portcullis_model::cluster::JoinGrant;
use portcullis_model::{NodeAddresses, NodeId};
use uuid::Uuid;

use crate::authority::{self, Subject};
use crate::identity::{self, Contents, Identity, IdentityError, check_unused, fingerprint};

/// What a new cluster is to be.
#[derive(Clone, Debug)]
pub struct CreateCluster {
    /// The cluster's name.
    pub name: String,
    /// The first node's name, a host name.
    pub node_name: String,
    /// Where the first node listens.
    pub addresses: NodeAddresses,
    /// The administrator's password, as an argon2id string.
    pub admin_password_hash: String,
    /// How long the first node's certificate is valid.
    pub certificate_valid: Duration,
}

/// A cluster that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Who the first node is.
    pub identity: Identity,
    /// The authority's certificate, PEM.
    pub ca_certificate: String,
    /// The SHA-256 of the authority's certificate.
    pub ca_fingerprint: [u8; 32],
}

/// Makes the data directory of the first node of a new cluster: the authority, the node's certificate, the cluster
/// key, and the seed that the node's first start puts into the log.
///
/// # Errors
/// Where the directory is used already or cannot be written, or a name is not usable.
pub fn create_cluster(directory: &Path, wish: &CreateCluster) -> Result<Created, IdentityError> {
    check_unused(directory)?;
    let cluster_id = uuid::Builder::from_random_bytes(random_bytes()).into_uuid();
    authority::check_name(&wish.node_name, Some(cluster_id))?;
    let cluster_key = ClusterKey::new(random_bytes());
    let ca = authority::create(&wish.name)?;
    let identity = Identity::new(cluster_id, &wish.name, NodeId(1), &wish.node_name, wish.addresses.clone());
    let (key, request) = authority::request()?;
    let subject = Subject {
        node: identity.node,
        cluster: cluster_id,
        name: &wish.node_name,
        addresses: &wish.addresses,
        valid: wish.certificate_valid,
    };
    let certificate = authority::sign(&ca, &request, &subject)?;
    let seed = Bootstrap {
        cluster_id,
        cluster_name: wish.name.clone(),
        ca_certificate: ca.certificate.clone(),
        ca_key: cluster_key.seal(ca.key.as_bytes()),
        node_name: wish.node_name.clone(),
        node_addresses: wish.addresses.clone(),
        admin_password_hash: wish.admin_password_hash.clone(),
    };
    let seed = codec::encode(&seed).map_err(|_| IdentityError::Invalid("the cluster's name or the node's"))?;
    let contents = Contents {
        identity: &identity,
        ca_certificate: &ca.certificate,
        certificate: &certificate,
        key: &key,
        cluster_key: &cluster_key,
        seed: Some(&seed),
        state: None,
    };
    identity::write_new(directory, &contents)?;
    let ca_fingerprint = fingerprint(&ca.certificate)?;
    Ok(Created { identity, ca_certificate: ca.certificate, ca_fingerprint })
}

/// The key of a node that wants to join, and the request for its certificate.
#[derive(Clone)]
pub struct JoinKey {
    key: String,
    /// What goes into [`portcullis_model::cluster::JoinRequest::certificate_request`].
    pub certificate_request: String,
}

impl std::fmt::Debug for JoinKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinKey(…)")
    }
}

/// Makes a key for a node that wants to join.
///
/// # Errors
/// Where no key can be made.
pub fn prepare_join() -> Result<JoinKey, IdentityError> {
    let (key, certificate_request) = authority::request()?;
    Ok(JoinKey { key, certificate_request })
}

/// Makes the data directory of a node that was admitted. What was asked for, `node_name` and `addresses`, is what the
/// join request said.
///
/// # Errors
/// Where the directory is used already or cannot be written, or the grant is not usable.
pub fn save_join(
    directory: &Path,
    grant: &JoinGrant,
    key: &JoinKey,
    node_name: &str,
    addresses: &NodeAddresses,
) -> Result<Identity, IdentityError> {
    let cluster_id: Uuid = grant.cluster_id.parse().map_err(|_| IdentityError::Invalid("the grant's cluster id"))?;
    let cluster_key = identity::parse_key(&grant.cluster_key, Path::new("the grant"))?;
    fingerprint(&grant.ca_certificate)?;
    let identity = Identity::new(cluster_id, &grant.cluster_name, grant.node, node_name, addresses.clone());
    let contents = Contents {
        identity: &identity,
        ca_certificate: &grant.ca_certificate,
        certificate: &grant.certificate,
        key: &key.key,
        cluster_key: &cluster_key,
        seed: None,
        state: None,
    };
    identity::write_admitted(directory, &contents, &grant.peers)?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::contacts;
    use crate::identity::DataDirectory;

    fn wish() -> CreateCluster {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses =
            NodeAddresses { cluster: at(7443), management: at(9443), gateway_http: at(8280), gateway_https: at(8243) };
        CreateCluster {
            name: "test".to_owned(),
            node_name: "one".to_owned(),
            addresses,
            admin_password_hash: "$argon2id$x".to_owned(),
            certificate_valid: Duration::from_secs(86_400),
        }
    }

    #[test]
    fn a_data_directory_is_made_once_and_used_by_one_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n1");
        let created = create_cluster(&path, &wish()).unwrap();
        let open = DataDirectory::open(&path).unwrap();
        assert_eq!(open.identity(), &created.identity);
        assert!(matches!(DataDirectory::open(&path), Err(IdentityError::InUse { .. })));
        assert!(matches!(create_cluster(&path, &wish()), Err(IdentityError::AlreadyUsed { .. })));
        drop(open);
        DataDirectory::open(&path).unwrap();
    }

    #[test]
    fn a_node_that_joins_keeps_whom_to_ask_before_it_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let wish = wish();
        let first = create_cluster(&directory.path().join("n1"), &wish).unwrap();
        let peers = vec![(NodeId(1), wish.addresses.cluster)];
        let grant = JoinGrant {
            node: NodeId(2),
            cluster_id: first.identity.cluster_id.to_string(),
            cluster_name: wish.name.clone(),
            ca_certificate: first.ca_certificate.clone(),
            certificate: first.ca_certificate,
            cluster_key: "07".repeat(32),
            peers: peers.clone(),
        };
        let path = directory.path().join("n2");
        save_join(&path, &grant, &prepare_join().unwrap(), "two", &wish.addresses).unwrap();
        assert_eq!(contacts::read(&path), peers);
        let written = |name: &str| std::fs::metadata(path.join(name)).unwrap().modified().unwrap();
        for name in ["contacts.json", "cluster.key", "tls/ca.pem", "tls/node.pem", "tls/node.key"] {
            assert!(written(name) <= written("identity.json"), "{name} is written before the identity");
        }
    }

    #[test]
    fn a_directory_with_other_files_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("photo.jpg"), "x").unwrap();
        assert!(matches!(create_cluster(directory.path(), &wish()), Err(IdentityError::NotEmpty { .. })));
        assert!(matches!(DataDirectory::open(directory.path()), Err(IdentityError::NoNode { .. })));
    }
}
