//! The management port's server: accepts, shakes hands, serves HTTP/1.1 and HTTP/2, and stops without cutting off a
//! request. It is not the gateway's server, and it knows no route.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::{debug, error, warn};

use crate::{leftover, trailing_slash};

/// Header lines of one request.
const HEADERS_MAX: usize = 100;
/// Bytes of one request's head.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// How long the system may go without an acknowledgement from a peer that is being written to.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);
/// How long a connection that never carried a request may take to end by itself.
const UNUSED_GRACE: Duration = Duration::from_secs(1);
/// The pause after the system refused to accept a connection (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; those beyond are closed at once and counted.
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request's head may take, and an HTTP/1.1 connection may idle.
    pub header_read_timeout: Duration,
    /// How long an HTTP/2 connection may idle.
    pub idle_timeout: Duration,
    /// How long requests in work may take after a stop was asked for.
    pub drain_timeout: Duration,
    /// What the server counts.
    pub counters: Arc<Counters>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(20),
            counters: Arc::default(),
        }
    }
}

/// What a server counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections open now.
    pub open: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub refused: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Requests answered.
    pub requests: AtomicU64,
}

/// Serves `router` on `listener` until `stop` becomes true (or its sender is gone); then takes no more connections,
/// lets requests in work finish for at most `limits.drain_timeout`, and returns. A request carries the peer's address
/// as `ConnectInfo<SocketAddr>`. Finish the router with [`crate::layers::finish`] first.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    mut stop: watch::Receiver<bool>,
    limits: Limits,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let to_connections = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {
                limits.counters.open.store(connections.len() as u64, Ordering::Relaxed);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if connections.len() >= limits.connections_max {
                        let refused = limits.counters.refused.fetch_add(1, Ordering::Relaxed);
                        if refused.is_multiple_of(1000) {
                            warn!(max = limits.connections_max, "too many connections, the newest are closed");
                        }
                        continue;
                    }
                    limits.counters.accepted.fetch_add(1, Ordering::Relaxed);
                    let connection =
                        Connection { peer, router: router.clone(), limits: limits.clone(), stop: to_connections.clone() };
                    connections.spawn(connection.run(stream, acceptor.clone()));
                    limits.counters.open.store(connections.len() as u64, Ordering::Relaxed);
                }
                Err(refused) => {
                    if !is_of_one_connection(&refused) {
                        error!(error = %refused, "cannot accept connections");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
        }
    }
    drop(listener);
    let drained =
        tokio::time::timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        warn!(connections = connections.len(), "connections are cut off: their requests took too long to finish");
        connections.shutdown().await;
    }
    limits.counters.open.store(0, Ordering::Relaxed);
}

/// Waits for the order to stop, or for the loss of whoever could give it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let told = stop.wait_for(|stop| *stop).await.is_ok();
    if !told {
        debug!("whoever could stop the server is gone, so it stops");
    }
}

/// Says whether accepting failed for a reason of the one connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What one connection is served with.
struct Connection {
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

/// Requests of one connection, for telling when it idles.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    in_work: AtomicU64,
}

/// One request in work; over when this is dropped, also where the caller gave the request up.
struct InWork(Arc<Activity>);

impl InWork {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.in_work.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        if let Err(error) = tune(&stream) {
            debug!(peer = %self.peer, %error, "cannot set socket options");
        }
        let Some(acceptor) = acceptor else { return self.serve(stream, false).await };
        match tokio::time::timeout(self.limits.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(stream, is_http2).await;
            }
            Ok(Err(error)) => {
                self.limits.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                debug!(peer = %self.peer, %error, "tls handshake failed");
            }
            Err(_) => {
                self.limits.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                debug!(peer = %self.peer, "tls handshake took too long");
            }
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_http2: bool) {
        let builder = protocol(&self.limits, is_http2);
        let activity = Arc::new(Activity::default());
        let service = service_fn({
            let (router, counters) = (self.router.clone(), Arc::clone(&self.limits.counters));
            let (activity, peer) = (Arc::clone(&activity), self.peer);
            move |request| answer(request, router.clone(), peer, Arc::clone(&activity), Arc::clone(&counters))
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = asked_to_end(&mut self.stop, &activity, self.limits.idle_timeout) => {
                connection.as_mut().graceful_shutdown();
                let finish = connection.as_mut();
                match activity.begun.load(Ordering::Relaxed) {
                    // Without a request there is nothing to finish, and an HTTP/2 handshake may never end.
                    0 => tokio::time::timeout(UNUSED_GRACE, finish).await.unwrap_or(Ok(())),
                    _ => finish.await,
                }
            }
        };
        if let Err(error) = ended {
            debug!(peer = %self.peer, %error, "connection broke");
        }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}

/// Returns the HTTP settings. The version is fixed by TLS (plain connections are HTTP/1.1), so that no connection
/// waits without a bound for its first bytes to tell.
fn protocol(limits: &Limits, is_http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    if is_http2 { builder.http2_only() } else { builder.http1_only() }
}

async fn answer(
    request: hyper::Request<Incoming>,
    router: Router,
    peer: SocketAddr,
    activity: Arc<Activity>,
    counters: Arc<Counters>,
) -> Result<Response, Infallible> {
    let _in_work = InWork::begin(activity);
    let mut request: Request = leftover::read_to_the_end(request).map(axum::body::Body::new);
    trailing_slash::take_off(&mut request);
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await;
    counters.requests.fetch_add(1, Ordering::Relaxed);
    response
}

/// Returns when the server is asked to stop, or when the connection had no request for `idle`.
async fn asked_to_end(stop: &mut watch::Receiver<bool>, activity: &Activity, idle: Duration) {
    let mut seen = 0;
    loop {
        if tokio::time::timeout(idle, stopped(stop)).await.is_ok() {
            return;
        }
        let begun = activity.begun.load(Ordering::Relaxed);
        if begun == seen && activity.in_work.load(Ordering::Relaxed) == 0 {
            return;
        }
        seen = begun;
    }
}
