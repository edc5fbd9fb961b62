//! The transport of key validation by Thrift: listeners with TLS on nodes with a key manager, connections to them on nodes
//! without. What is said on them is the key manager's.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use portcullis_database::StateCell;
use portcullis_http::tls;
use portcullis_key_manager::thrift::{Door, Offered, Reach, Stream, ThriftService, Visitor};
use portcullis_model::api::versioned_context;
use portcullis_model::port::PortFuture;
use portcullis_model::{ApiId, Component, NodeId};
use portcullis_raft::Held;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connections to one port at a time; those beyond are closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to connect.
const DIAL_WITHIN: Duration = Duration::from_secs(1);
/// The pause after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listeners, and the way to stop them.
pub(crate) struct ThriftServed {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

/// What one listener serves with.
struct Port {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    service: Arc<ThriftService>,
    door: Arc<dyn Door>,
    offered: Offered,
    stop: watch::Receiver<bool>,
}

impl ThriftServed {
    /// Serves validation on the first listener, and the sign-in for it on the second.
    pub(crate) fn start(
        listeners: [TcpListener; 2],
        tls: &Arc<rustls::ServerConfig>,
        service: &Arc<ThriftService>,
        door: &Arc<dyn Door>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        // These clients name no protocol, or one of their own.
        let mut tls = rustls::ServerConfig::clone(tls);
        tls.alpn_protocols.clear();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let [validation, sign_in] = listeners;
        let serve = |listener, offered| {
            let (acceptor, service, door) = (acceptor.clone(), Arc::clone(service), Arc::clone(door));
            let port = Port { listener, acceptor, service, door, offered, stop: stopped.clone() };
            tokio::spawn(port.accept())
        };
        let tasks = [serve(validation, Offered::Validation), serve(sign_in, Offered::Authentication)];
        Self { stop, tasks }
    }

    /// Lets calls that are under way finish, at most for `within`, then ends.
    pub(crate) async fn drain(self, within: Duration) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let abort = task.abort_handle();
            if timeout(within, task).await.is_err() {
                tracing::warn!("connections by Thrift are cut off: their calls took too long to finish");
                abort.abort();
            }
        }
    }
}

impl Port {
    async fn accept(self) {
        let mut connections = JoinSet::new();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) if connections.len() < CONNECTIONS_MAX => {
                        connections.spawn(self.connection(stream, peer));
                    }
                    Ok((_, peer)) => tracing::warn!(%peer, max = CONNECTIONS_MAX, "too many connections by Thrift"),
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections by Thrift");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    /// Shakes hands on one connection and serves it.
    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + use<> {
        let (acceptor, service, door) = (self.acceptor.clone(), Arc::clone(&self.service), Arc::clone(&self.door));
        let (stop, visitor) = (self.stop.clone(), Visitor { offered: self.offered, origin: Some(peer.ip()) });
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "cannot set socket options");
            }
            match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => service.serve(stream, visitor, door.as_ref(), stop).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "tls handshake failed"),
                Err(_) => tracing::debug!(%peer, "tls handshake took too long"),
            }
        }
    }
}

/// Waits until a stop is told, or whoever could tell it is gone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The way to the key managers of other nodes.
pub(crate) struct ThriftReach {
    me: NodeId,
    cell: Arc<StateCell>,
    port: u16,
    /// Connections live here, whichever thread they are first needed on.
    runtime: Handle,
    certificates: OnceLock<watch::Receiver<Arc<Held>>>,
    /// The settings for the authorities that were trusted last.
    made: Mutex<Option<(Arc<Held>, Arc<ClientConfig>)>>,
}

impl ThriftReach {
    /// Makes the way from a node to the others' Thrift port. Call it on the runtime that connections are to live on.
    pub(crate) fn new(me: NodeId, cell: Arc<StateCell>, port: u16) -> Arc<Self> {
        let (certificates, made) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { me, cell, port, runtime: Handle::current(), certificates, made })
    }

    /// Sets where the trusted authorities are seen, once.
    pub(crate) fn connect(&self, certificates: watch::Receiver<Arc<Held>>) {
        assert!(self.certificates.set(certificates).is_ok(), "the certificates are set once");
    }

    /// Returns the TLS settings by which the cluster's authorities, and no others, are believed.
    fn settings(&self) -> io::Result<Arc<ClientConfig>> {
        let certificates = self.certificates.get().ok_or_else(|| io::Error::other("the node is still starting"))?;
        let held = Arc::clone(&certificates.borrow());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.as_ref() {
            Some((of, settings)) if Arc::ptr_eq(of, &held) => Ok(Arc::clone(settings)),
            _ => {
                let settings = tls::client_config_with_ca(&held.authorities).map_err(io::Error::other)?;
                *made = Some((held, Arc::clone(&settings)));
                Ok(settings)
            }
        }
    }
}

impl Reach for ThriftReach {
    fn key_managers(&self) -> Vec<(NodeId, SocketAddr)> {
        let state = self.cell.load();
        let serving =
            state.system.nodes.values().filter(|node| node.serves(Component::KeyManager) && node.id != self.me);
        let at = |ip| SocketAddr::new(ip, self.port);
        let mut nodes: Vec<_> = serving.map(|node| (node.id, at(node.addresses.management.ip()))).collect();
        // Each node begins with another one.
        let first = usize::try_from(self.me.0).unwrap_or(0).checked_rem(nodes.len()).unwrap_or(0);
        nodes.rotate_left(first);
        nodes
    }

    fn api(&self, api: ApiId) -> Option<(String, String)> {
        let state = self.cell.load();
        let served = state.deployed.api(api)?;
        Some((versioned_context(&served.context, &served.version), served.version.clone()))
    }

    fn applied(&self) -> u64 {
        self.cell.applied()
    }

    fn dial(&self, _node: NodeId, at: SocketAddr) -> PortFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let connector = TlsConnector::from(self.settings()?);
            let secure = async move {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                let stream = connector.connect(ServerName::from(at.ip()), stream).await?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            };
            let dialled = self.runtime.spawn(async move { timeout(DIAL_WITHIN, secure).await });
            dialled.await.map_err(io::Error::other)?.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}
