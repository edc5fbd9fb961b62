//! HTTP between the components of different nodes: connections on the cluster port that name `h2` in ALPN. They are
//! secured and identified here, like every connection between nodes; what is said on them is not known here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_model::NodeId;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::{client, server};

use super::calls::Peers;
use super::tls;
use crate::authority::node_host;
use crate::core::Core;
use crate::node::RaftNode;

/// How long dialling and the TLS handshake may take together.
const DIAL_WITHIN: Duration = Duration::from_secs(1);

/// A node that connected to speak HTTP with this one's components.
pub struct Guest {
    /// Which node it is, by its certificate.
    pub node: NodeId,
    /// The connection.
    pub stream: Box<server::TlsStream<TcpStream>>,
    /// Its place among the connections from other nodes; free when this is dropped.
    pub place: OwnedSemaphorePermit,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guest({})", self.node)
    }
}

/// What takes guests in; it must not wait.
pub type Reception = Box<dyn Fn(Guest) + Send + Sync>;

/// Why there is no connection to a node's components. Nothing was said on it.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The node is not known.
    #[error("the cluster knows no address of node {0}")]
    NoAddress(NodeId),
    /// It cannot be reached, or shows no certificate of its own.
    #[error("{0} cannot be reached: {1}")]
    Io(SocketAddr, #[source] io::Error),
    /// It did not answer.
    #[error("{0} did not answer in time")]
    TimedOut(SocketAddr),
    /// It runs a version that does not speak HTTP on the cluster port.
    #[error("{0} runs a version that answers no component of another node")]
    TooOld(SocketAddr),
}

/// Hands a guest to whoever takes them in.
pub(super) fn receive(core: &Core, guest: Guest) {
    match core.reception.get() {
        Some(reception) => reception(guest),
        None => tracing::debug!(from = %guest.node, "a node came before the components are up"),
    }
}

impl Peers {
    /// Opens a connection to the components of node `to` at `at`.
    pub(crate) async fn dial(&self, to: NodeId, at: SocketAddr) -> Result<client::TlsStream<TcpStream>, DialError> {
        let failed = |e| DialError::Io(at, e);
        let connector = self.connector();
        let secure = async {
            let stream = TcpStream::connect(at).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let name =
                ServerName::try_from(node_host(to, connector.cluster)).map_err(|e| failed(io::Error::other(e)))?;
            let settings = connector.certificates.tls();
            settings.connector.with_alpn(vec![tls::HTTP.to_vec()]).connect(name, stream).await.map_err(failed)
        };
        let stream = timeout(DIAL_WITHIN, secure).await.map_err(|_| DialError::TimedOut(at))??;
        if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP) { Ok(stream) } else { Err(DialError::TooOld(at)) }
    }
}

impl RaftNode {
    /// Sets what takes in the nodes that want to speak HTTP with this one's components, once. Until then they are cut
    /// off.
    ///
    /// # Panics
    /// Where it was set before.
    pub fn receive_guests(&self, reception: Reception) {
        assert!(self.core.reception.set(reception).is_ok(), "who takes guests in is set once");
    }

    /// Opens a connection to the components of another node: HTTP/2 over mutual TLS.
    ///
    /// # Errors
    /// Where the node cannot be reached or is not who it should be.
    pub async fn dial(&self, to: NodeId) -> Result<client::TlsStream<TcpStream>, DialError> {
        let at = self.core.address_of(to).ok_or(DialError::NoAddress(to))?;
        self.core.peers.dial(to, at).await
    }
}
