//! A client's connection as seen from its bytes: what it waits for and since when, so that slow clients are found.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use portcullis_model::agent::AgentFamily;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Alarms;
use crate::peer::PeerCertificate;
use crate::settings::ClientLimits;
use crate::websocket::Upgrade;

/// What is known of one client's connection.
pub(crate) struct Client {
    /// The address, as text for `X-Forwarded-For`.
    pub(crate) ip: String,
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
    /// The certificate that it showed in the handshake.
    certificate: RefCell<Option<Rc<PeerCertificate>>>,
    /// Its word about where calls come from counts.
    pub(crate) is_trusted_proxy: bool,
    in_progress: Cell<usize>,
    /// When the first byte of a head came, in the worker's milliseconds; `None` between requests.
    head_since_ms: Cell<Option<u64>>,
    idle_since_ms: Cell<u64>,
    /// Since when the client takes nothing of what is sent.
    blocked_since_ms: Cell<Option<u64>>,
    /// Calls share the connection (HTTP/2): what is read between them is no head.
    is_multiplexed: Cell<bool>,
    /// What the connection becomes once the answer under way is sent.
    upgrade: RefCell<Option<Upgrade>>,
    /// What the client last said of itself, and what kind of program that is.
    agent: RefCell<(HeaderValue, AgentFamily)>,
}

/// What a connection waits too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Its next request: closing it is usual.
    Idle,
    /// The rest of a head, or that the client takes what is sent.
    Slow,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, is_https: bool, is_trusted_proxy: bool, now_ms: u64) -> Rc<Self> {
        Rc::new(Self {
            ip: address.ip().to_canonical().to_string(),
            address,
            is_https,
            is_trusted_proxy,
            certificate: RefCell::new(None),
            in_progress: Cell::new(0),
            head_since_ms: Cell::new(None),
            idle_since_ms: Cell::new(now_ms),
            blocked_since_ms: Cell::new(None),
            is_multiplexed: Cell::new(false),
            upgrade: RefCell::new(None),
            agent: RefCell::new((HeaderValue::from_static(""), AgentFamily::None)),
        })
    }

    /// Notes the certificate that the client showed in the handshake.
    pub(crate) fn shows(&self, certificate: Option<Rc<PeerCertificate>>) {
        *self.certificate.borrow_mut() = certificate;
    }

    /// Returns the certificate that the client showed in the handshake.
    pub(crate) fn certificate(&self) -> Option<Rc<PeerCertificate>> {
        self.certificate.borrow().clone()
    }

    /// Returns what kind of program sends these fields. Who says the same as with the call before is looked up once.
    pub(crate) fn agent(&self, headers: &HeaderMap) -> AgentFamily {
        let Some(said) = headers.get(USER_AGENT) else { return AgentFamily::None };
        let mut agent = self.agent.borrow_mut();
        if agent.0 != said {
            // A copy, which does not hold the memory of the head it came in.
            let own = HeaderValue::from_bytes(said.as_bytes()).unwrap_or_else(|_| said.clone());
            *agent = (own, AgentFamily::of(said.as_bytes()));
        }
        agent.1
    }

    pub(crate) fn call_begins(&self) {
        self.in_progress.set(self.in_progress.get() + 1);
        self.head_since_ms.set(None);
    }

    /// Notes that some of a head is here.
    pub(crate) fn head_begins(&self, now_ms: u64) {
        if self.head_since_ms.get().is_none() {
            self.head_since_ms.set(Some(now_ms));
        }
    }

    /// Notes that bytes were offered to the client, and whether it takes none now.
    pub(crate) fn was_written(&self, is_blocked: bool, now_ms: u64) {
        let since = self.blocked_since_ms.get().unwrap_or(now_ms);
        self.blocked_since_ms.set(is_blocked.then_some(since));
    }

    /// Notes what the connection becomes once the answer under way is sent.
    pub(crate) fn will_upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.borrow_mut() = Some(upgrade);
    }

    /// Takes what the connection becomes now that HTTP is over.
    pub(crate) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.borrow_mut().take()
    }

    /// Notes that the connection does not carry one request after the other: it speaks HTTP/2, or no HTTP any more.
    pub(crate) fn is_multiplexed(&self) {
        self.is_multiplexed.set(true);
    }

    /// Says whether calls share the connection.
    pub(crate) fn has_many_calls(&self) -> bool {
        self.is_multiplexed.get()
    }

    pub(crate) fn call_ends(&self, now_ms: u64) {
        self.in_progress.set(self.in_progress.get() - 1);
        self.idle_since_ms.set(now_ms);
    }

    /// Returns until when the connection may go on as it is, in the worker's milliseconds; `None` for without end.
    pub(crate) fn deadline_ms(&self, limits: &ClientLimits) -> Option<(u64, Wait)> {
        let after = |since: u64, limit: std::time::Duration| {
            since.saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
        };
        if let Some(since) = self.blocked_since_ms.get() {
            return Some((after(since, limits.stall_timeout), Wait::Slow));
        }
        if self.in_progress.get() > 0 {
            return None;
        }
        match self.head_since_ms.get() {
            Some(since) => Some((after(since, limits.head_timeout), Wait::Slow)),
            None => Some((after(self.idle_since_ms.get(), limits.idle_timeout), Wait::Idle)),
        }
    }
}

/// A client's byte stream that carries many calls at a time, and tells its [`Client`] whether the client takes what is
/// sent.
pub(crate) struct Watched<T> {
    stream: T,
    /// What was read before it was known what the connection speaks.
    before: BytesMut,
    client: Rc<Client>,
    alarms: Rc<Alarms>,
}

impl<T> Watched<T> {
    pub(crate) fn new(stream: T, before: BytesMut, client: &Rc<Client>, alarms: &Rc<Alarms>) -> Self {
        Self { stream, before, client: Rc::clone(client), alarms: Rc::clone(alarms) }
    }

    fn was_written<R>(&self, written: &Poll<io::Result<R>>) {
        self.client.was_written(written.is_pending(), self.alarms.now_ms());
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.before.len().min(buf.remaining());
        buf.put_slice(&self.before.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.was_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.was_written(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.was_written(&shut);
        shut
    }
}
