//! Serves one client's connection: TLS, HTTP/1.1 by [`downstream`] or HTTP/2 by hyper. Over HTTP/1.1 one task does it
//! all, the calls to backends included; each stream of HTTP/2 has a task on the same thread.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::alarm::Alarm;
use crate::caller;
use crate::client::{Client, Wait, Watched};
use crate::downstream;
use crate::downstream::body::ClientBody;
use crate::downstream::head;
use crate::downstream::wire::Stream;
use crate::handler;
use crate::http1::socket::Socket;
use crate::off_path;
use crate::peer::PeerCertificate;
use crate::proxy_protocol;
use crate::worker::{Phase, Place, Worker};

/// Streams of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 128;

/// Serves a connection to its end. It has its place among those that are open for as long.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mut stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    _place: Place,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection lost before it was served");
        return;
    }
    let Some(address) = told_by_proxy(&worker, &mut stream, peer).await else { return };
    let is_trusted_proxy = caller::is_in(&worker.tuning().trusted_proxies, address.ip().to_canonical());
    let slowest = worker.settings.client.slowest_answer();
    let client = Client::new(address, tls.is_some(), is_trusted_proxy, slowest, worker.alarms.now_ms());
    let mut guard = Guard::new(&worker, &client);
    let stream = match tls {
        None => Some(Stream::Plain(Socket::new(stream))),
        Some(tls) => off_path::boxed(|| secured(&worker, &client, &tls, stream)).await,
    };
    let http2 = match stream {
        Some(stream) if is_http2(&stream) => Some((stream, BytesMut::new())),
        Some(stream) => downstream::serve(&worker, &client, &mut guard, stream).await,
        None => None,
    };
    if let Some((stream, before)) = http2 {
        off_path::boxed(|| serve_http2(&worker, &client, &mut guard, stream, before)).await;
    }
}

/// Agrees with the client on keys; `None` where the connection is of no use.
async fn secured(worker: &Worker, client: &Client, tls: &TlsAcceptor, stream: TcpStream) -> Option<Stream> {
    let handshake = tokio::time::timeout(worker.settings.client.handshake_timeout, tls.accept(stream)).await;
    match handshake {
        Ok(Ok(stream)) => {
            client.shows(stream.get_ref().1.peer_certificates().and_then(PeerCertificate::new));
            Some(Stream::Tls(Box::new(stream)))
        }
        Ok(Err(error)) => {
            debug!(%error, "tls handshake failed");
            None
        }
        Err(_) => {
            worker.counters.slow_clients.add(1);
            None
        }
    }
}

/// Says whether client and gateway agreed on HTTP/2.
fn is_http2(stream: &Stream) -> bool {
    matches!(stream, Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
}

/// Returns the client's address: the peer's, or what a trusted proxy says before the client's first byte. `None` where
/// the connection is of no use.
async fn told_by_proxy(worker: &Worker, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    let settings = &worker.settings;
    if !settings.has_proxy_protocol || !caller::is_in(&worker.tuning().trusted_proxies, peer.ip().to_canonical()) {
        return Some(peer);
    }
    let within = settings.client.handshake_timeout;
    match off_path::boxed(move || tokio::time::timeout(within, proxy_protocol::read(stream))).await {
        Ok(Ok(client)) => Some(client.unwrap_or(peer)),
        Ok(Err(error)) => {
            debug!(%peer, %error, "connection refused");
            None
        }
        Err(_) => {
            worker.counters.slow_clients.add(1);
            None
        }
    }
}

/// Serves a connection that speaks HTTP/2; `before` is what was read of it already.
async fn serve_http2(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    guard: &mut Guard<'_>,
    stream: Stream,
    before: BytesMut,
) {
    let io = TokioIo::new(Watched::new(stream, before, client, &worker.alarms));
    client.is_multiplexed();
    let (worker_of_calls, client_of_calls) = (Rc::clone(worker), Rc::clone(client));
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, client) = (Rc::clone(&worker_of_calls), Rc::clone(&client_of_calls));
        async move {
            let (parts, body) = request.into_parts();
            let doubt = head::doubt_of_http2(&parts.uri, &parts.headers);
            Ok::<_, Infallible>(handler::handle(&worker, &client, &parts, ClientBody::Http2(body), doubt).await)
        }
    });
    let connection = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(worker.settings.client.head_bytes_max).unwrap_or(64 << 10))
        .serve_connection(io, service);
    guard.carry(connection, |connection| connection.graceful_shutdown()).await;
}

/// Runs the streams of HTTP/2 connections on the worker's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Ends a connection that takes too long, and tells it to end when the worker drains.
pub(crate) struct Guard<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    alarm: Alarm,
    seat: usize,
    is_draining: bool,
    /// The connection has been polled and its task is known.
    is_seated: bool,
}

impl<'a> Guard<'a> {
    fn new(worker: &'a Rc<Worker>, client: &'a Rc<Client>) -> Self {
        let seat = worker.connections.enter();
        client.sits_at(seat);
        Self { worker, client, alarm: worker.alarms.alarm(), seat, is_draining: false, is_seated: false }
    }

    /// Carries a connection to its end: `end_soon` has it end after the call it is in.
    async fn carry<C, E>(&mut self, connection: C, end_soon: impl Fn(Pin<&mut C>))
    where
        C: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut connection = pin!(connection);
        let ended = poll_fn(|cx| {
            if self.begins_to_drain() {
                end_soon(connection.as_mut());
            }
            match connection.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(ended),
                Poll::Pending => self.poll(cx).map(Ok),
            }
        });
        if let Err(error) = ended.await {
            debug!(%error, "connection ended");
        }
        if self.client.has_flooded() {
            debug!(client = self.client.ip, "connection closed for its frames");
            self.worker.counters.flooding_clients.add(1);
        }
    }

    /// Says, once, that the connection is to end after the call it is in.
    fn begins_to_drain(&mut self) -> bool {
        let begins = !self.is_draining && self.worker.phase() != Phase::Serving;
        self.is_draining |= begins;
        begins
    }

    /// Is ready when the connection is to be closed as it is.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.worker.phase() == Phase::Closing {
            return Poll::Ready(());
        }
        if !self.is_seated {
            self.worker.connections.seat(self.seat, cx.waker());
            self.is_seated = true;
        }
        let deadline = self.client.deadline_ms(&self.worker.settings.client);
        self.alarm.set_at(deadline.map(|(deadline_ms, _)| deadline_ms));
        match deadline {
            Some((_, wait)) if self.alarm.is_due(cx) => {
                if wait != Wait::Idle {
                    self.worker.counters.slow_clients.add(1);
                }
                if wait == Wait::BelowPace {
                    self.worker.counters.clients_below_pace.add(1);
                }
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.worker.connections.leave(self.seat);
    }
}
