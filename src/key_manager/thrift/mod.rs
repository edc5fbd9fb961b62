//! Key validation by Thrift, as the original's gateways ask their key managers where no balancer stands between them
//! (`KeyValidatorClientType` `ThriftClient`): the service `APIKeyValidationService`, and the sign-in that gives the session
//! ids it asks for. Both ends are here: the answering one for any client that speaks the protocol, the asking one for
//! nodes without a key manager. The transport (TLS, ports, addresses) is not: streams come from the node.
//!
//! Thrift's binary protocol without frames, as the original speaks it. What this cluster's nodes tell each other beyond
//! the original's fields has numbers from 100 on, which other readers skip.

mod asking;
mod codec;
mod contract;
mod service;
mod serving;
mod session;
#[cfg(test)]
mod tests;
mod told;

use std::io;
use std::net::SocketAddr;

use portcullis_model::port::PortFuture;
use portcullis_model::{ApiId, NodeId};
use tokio::io::{AsyncRead, AsyncWrite};

pub use asking::ThriftKeyValidation;
pub use service::ThriftService;
pub use serving::{Offered, Visitor};

/// A connection to a client or a server.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Decides whether this node answers now.
pub trait Door: Send + Sync {
    /// Lets a question in once this node has applied the log up to `min_index`, or says why another node should be asked. A
    /// question of a node is let in only while that node is in the cluster.
    fn admit(&self, asker: Option<NodeId>, min_index: Option<u64>) -> PortFuture<'_, Result<(), String>>;
}

/// What a node that asks knows of the cluster.
pub trait Reach: Send + Sync {
    /// Returns the nodes that have a key manager, in the order in which they are to be asked.
    fn key_managers(&self) -> Vec<(NodeId, SocketAddr)>;
    /// Returns the path under which an API is served, with its version in it, and the version.
    fn api(&self, api: ApiId) -> Option<(String, String)>;
    /// Returns the index of the log up to which this node has applied it.
    fn applied(&self) -> u64;
    /// Connects to a key manager.
    fn dial(&self, node: NodeId, at: SocketAddr) -> PortFuture<'_, io::Result<Box<dyn Stream>>>;
}
