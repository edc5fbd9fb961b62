//! Data directories of simulated nodes.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;

use portcullis_database::ClusterKey;
use portcullis_model::{NodeAddresses, NodeId};
use tempfile::TempDir;

use super::node::PORT;
use crate::identity::{Contents, DataDirectory, Identity, IdentityError, write_new};
use crate::tests::VALID;
use crate::{CreateCluster, create_cluster};

/// The first node's data directory before it is first started. It is made once: keys take their time.
struct Template {
    root: TempDir,
    directory: DataDirectory,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let root = tempfile::tempdir().expect("a directory");
        let wish = CreateCluster {
            name: "simulated".to_owned(),
            node_name: "h0".to_owned(),
            addresses: addresses(IpAddr::from([192, 168, 0, 1])),
            admin_password_hash: "$argon2id$none".to_owned(),
            certificate_valid: VALID,
        };
        create_cluster(root.path(), &wish).expect("a cluster");
        let directory = DataDirectory::open(root.path()).expect("a data directory");
        Template { root, directory }
    })
}

/// Returns where a node at that address listens.
pub(super) fn addresses(ip: IpAddr) -> NodeAddresses {
    let at = |port| SocketAddr::from((ip, port));
    NodeAddresses { cluster: at(PORT), management: at(9443), gateway_http: at(8280), gateway_https: at(8243) }
}

/// Makes the data directory of the first node.
pub(super) fn make_first(home: &Path) -> std::io::Result<()> {
    copy(template().root.path(), home)
}

/// Makes the data directory of a node that was admitted.
pub(super) fn make(home: &Path, node: NodeId, name: &str, at: NodeAddresses) -> Result<(), IdentityError> {
    let first = &template().directory;
    let own = first.identity();
    let identity = Identity::new(own.cluster_id, &own.cluster_name, node, name, at);
    let held = first.certificates();
    let contents = Contents {
        identity: &identity,
        ca_certificate: &held.authorities,
        certificate: &held.certificate,
        key: &held.key,
        cluster_key: &ClusterKey::new(*first.cluster_key().as_bytes()),
        seed: None,
        state: None,
    };
    write_new(home, &contents)
}

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for item in std::fs::read_dir(from)? {
        let item = item?;
        let target = to.join(item.file_name());
        if item.file_type()?.is_dir() {
            copy(&item.path(), &target)?;
        } else {
            std::fs::copy(item.path(), &target)?;
        }
    }
    Ok(())
}
