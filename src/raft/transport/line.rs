//! A connection to another node: dialled, secured, introduced. What is then said on it is not its concern.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::codec::{self, CodecError};
use portcullis_model::NodeId;
use portcullis_model::mutant::{self, Mutant};
use rustls_pki_types::ServerName;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::frame::{self, FrameReader};
use super::message::{Hello, LineKind, PROTOCOL, Welcome};
use super::rejected;
use super::wire::{Wire, tune};
use crate::authority::node_host;
use crate::certificates::Certificates;
use crate::fatal::Fatal;

/// How long dialling, the TLS handshake and the introduction may take together.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a node that did not answer is left alone, at first and at most.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_LAST: Duration = Duration::from_secs(1);

/// An open connection.
pub(super) struct Line {
    pub(super) input: FrameReader<ReadHalf<Wire>>,
    pub(super) output: WriteHalf<Wire>,
}

impl Line {
    pub(super) fn new(wire: Wire) -> Self {
        let (input, output) = tokio::io::split(wire);
        Self { input: FrameReader::new(input), output }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0} cannot be reached: {1}")]
    Io(SocketAddr, #[source] io::Error),
    #[error("{0} did not answer in time")]
    TimedOut(SocketAddr),
    #[error("{0} did not answer a moment ago")]
    BackingOff(SocketAddr),
    #[error("{0} closed the connection before it was opened")]
    Closed(SocketAddr),
    #[error("{at} refuses: {why}")]
    Refused { at: SocketAddr, why: String },
    #[error("{0} speaks another language")]
    Codec(SocketAddr, #[source] CodecError),
    #[error("the node is stopping")]
    Stopping,
}

/// Dials other nodes in this node's name.
pub(super) struct Connector {
    pub(super) cluster: Uuid,
    pub(super) node: NodeId,
    pub(super) certificates: Arc<Certificates>,
    pub(super) fatal: Fatal,
    pub(super) runtime: runtime::Handle,
}

impl Connector {
    pub(super) async fn connect(&self, to: NodeId, at: SocketAddr, line: LineKind) -> Result<Line, ConnectError> {
        timeout(CONNECT_WITHIN, self.introduce(to, at, line)).await.map_err(|_| ConnectError::TimedOut(at))?
    }

    async fn introduce(&self, to: NodeId, at: SocketAddr, line: LineKind) -> Result<Line, ConnectError> {
        let failed = |e| ConnectError::Io(at, e);
        let mut open = Line::new(self.dial(to, at).await.map_err(failed)?);
        let hello = Hello { protocol: PROTOCOL, cluster: self.cluster, from: self.node, to, line };
        let hello = codec::encode(&hello).map_err(|e| ConnectError::Codec(at, e))?;
        // Where the other side has closed the connection already, what it said before tells why.
        let written = frame::write(&mut open.output, &hello).await;
        let welcome = match open.input.next().await.and_then(|welcome| written.map(|()| welcome)) {
            Ok(welcome) => welcome.ok_or(ConnectError::Closed(at))?,
            Err(e) => {
                rejected::tell_of_ours(self.node, &self.certificates.held(), at, &e);
                return Err(failed(e));
            }
        };
        let why = match codec::decode(&welcome).map_err(|e| ConnectError::Codec(at, e))? {
            Welcome::Come => return Ok(open),
            Welcome::WrongProtocol(theirs) => format!("it speaks protocol {theirs}, this node speaks {PROTOCOL}"),
            Welcome::WrongCluster(theirs) => format!("it belongs to cluster {theirs}"),
            Welcome::WrongNode(theirs) => format!("it is node {theirs}, not node {to}"),
            Welcome::WrongCertificate => "this node's certificate is not that of its id".to_owned(),
            Welcome::Removed => {
                if !mutant::is(Mutant::ServeRemoved) {
                    self.fatal.raise(removed(self.node));
                }
                "this node was removed from the cluster".to_owned()
            }
        };
        tracing::warn!(%to, %at, %why, "a node refuses this one");
        Err(ConnectError::Refused { at, why })
    }
}

impl Connector {
    /// Opens a connection to node `to`, and to no other.
    async fn dial(&self, to: NodeId, at: SocketAddr) -> io::Result<Wire> {
        #[cfg(test)]
        if crate::simulation::is_here() {
            return turmoil::net::TcpStream::connect(at).await.map(Wire::Simulated);
        }
        let stream = TcpStream::connect(at).await?;
        tune(&stream)?;
        // The certificate must name the very node that is meant.
        let name = ServerName::try_from(node_host(to, self.cluster)).map_err(io::Error::other)?;
        let tls = self.certificates.tls();
        let stream = tls.connector.connect(name, stream).await?;
        Ok(Wire::Secure(stream.into()))
    }
}

/// What a node that was removed says before it stops.
pub(crate) fn removed(node: NodeId) -> String {
    format!(
        "node {node} was removed from the cluster and stops. To bring this machine back, join it again with a new data \
         directory: `portcullis cluster join --data-dir NEW --token TOKEN`"
    )
}

/// Keeps at most one attempt to connect under way, whoever gives up waiting for it, and leaves a node that does not
/// answer alone for a while.
pub(super) struct Dialer {
    connector: Arc<Connector>,
    to: NodeId,
    kind: LineKind,
    attempt: Option<JoinHandle<Result<Line, ConnectError>>>,
    not_before: Instant,
    backoff: Duration,
}

impl Dialer {
    pub(super) fn new(connector: Arc<Connector>, to: NodeId, kind: LineKind) -> Self {
        Self { connector, to, kind, attempt: None, not_before: Instant::now(), backoff: BACKOFF_FIRST }
    }

    /// Returns an open connection. May be abandoned: the attempt goes on and the next caller gets it.
    pub(super) async fn line(&mut self, at: SocketAddr) -> Result<Line, ConnectError> {
        if self.attempt.is_none() && Instant::now() < self.not_before {
            return Err(ConnectError::BackingOff(at));
        }
        let attempt = self.attempt.get_or_insert_with(|| {
            let (connector, to, kind) = (Arc::clone(&self.connector), self.to, self.kind);
            self.connector.runtime.spawn(async move { connector.connect(to, at, kind).await })
        });
        let result = attempt.await.unwrap_or(Err(ConnectError::Stopping));
        self.attempt = None;
        match &result {
            Ok(_) => self.backoff = BACKOFF_FIRST,
            Err(_) => {
                self.not_before = Instant::now() + self.backoff;
                self.backoff = (self.backoff * 2).min(BACKOFF_LAST);
            }
        }
        result
    }
}

impl Dialer {
    /// Waits until the node may be dialled again. For callers that would only ask again at once.
    pub(super) async fn due(&self) {
        if self.attempt.is_none() {
            tokio::time::sleep_until(self.not_before).await;
        }
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.abort();
        }
    }
}
