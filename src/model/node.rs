//! Nodes of the cluster as the state knows them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::component::{Component, Components};
use crate::id::NodeId;
use crate::time::Timestamp;

/// A node that was admitted to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The id.
    pub id: NodeId,
    /// The name people read; the host name by default.
    pub name: String,
    /// Where it listens.
    pub addresses: NodeAddresses,
    /// The components it serves, by name; all of them where it is empty.
    pub components: Vec<String>,
    /// Whether it is meant to vote.
    pub is_voter: bool,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When it was removed: its id is never used again.
    pub removed_at: Option<Timestamp>,
}

impl NodeRecord {
    /// Says whether the node is in the cluster and serves a component.
    #[must_use]
    pub fn serves(&self, component: Component) -> bool {
        self.removed_at.is_none() && Components::of_record(&self.components).has(component)
    }
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddresses {
    /// Raft and forwarding, mutual TLS.
    pub cluster: SocketAddr,
    /// Portals, REST, OAuth 2.
    pub management: SocketAddr,
    /// Gateway, HTTP.
    pub gateway_http: SocketAddr,
    /// Gateway, HTTPS.
    pub gateway_https: SocketAddr,
}
