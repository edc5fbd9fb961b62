//! What a data directory on this machine shows of its node without the node's help: for `portcullis doctor`.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_model::NodeId;
use portcullis_model::facts::MachineFacts;
use portcullis_raft::peek;
use tokio::net::TcpStream;

use crate::boot_fault::BootFault;
use crate::config::Config;
use crate::machine;

/// How long a port may take to accept.
const PORT_WITHIN: Duration = Duration::from_secs(1);

/// A node as its data directory shows it.
#[derive(Debug)]
pub struct LocalNode {
    /// The node.
    pub node: NodeId,
    /// Its cluster's name.
    pub cluster_name: String,
    /// Whether a process uses the directory.
    pub is_running: bool,
    /// When its certificate ends, for people.
    pub certificate_ends: String,
    /// Whether that is over.
    pub certificate_has_ended: bool,
    /// Its ports.
    pub ports: Vec<Port>,
    /// The machine, seen from the directory.
    pub machine: MachineFacts,
}

/// A port of a node.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// Where it is.
    pub at: SocketAddr,
    /// Whether something accepts connections there.
    pub is_open: bool,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.at, self.key)
    }
}

/// Looks at a data directory. Changes nothing but a small file that is written, synced and removed.
///
/// # Errors
/// Where it holds no node, or what it holds cannot be read.
pub async fn look(data_dir: &Path, config: &Config) -> Result<LocalNode, BootFault> {
    let seen = peek(data_dir)?;
    let mut ports = Vec::new();
    let mut listed = vec![
        ("cluster.port", config.bound(config.cluster.port)),
        ("management.port", config.bound(config.management.port)),
        ("gateway.http_port", config.bound(config.gateway.http_port)),
        ("gateway.https_port", config.bound(config.gateway.https_port)),
        ("observability.port", config.observability_address()),
    ];
    if config.has_thrift() {
        listed.extend(config.thrift_ports().map(|(key, port)| (key, config.bound(port))));
    }
    for (key, at) in listed {
        let connected = tokio::time::timeout(PORT_WITHIN, TcpStream::connect(at)).await;
        ports.push(Port { key, at, is_open: matches!(connected, Ok(Ok(_))) });
    }
    Ok(LocalNode {
        node: seen.node,
        cluster_name: seen.cluster_name,
        is_running: seen.is_running,
        certificate_ends: seen.certificate_ends,
        certificate_has_ended: seen.certificate_has_ended,
        ports,
        machine: machine::look(data_dir),
    })
}
