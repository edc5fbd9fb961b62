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
use crate::pace::{Pace, SlowestPace};
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
    /// How the client takes what is sent.
    pace: Cell<Pace>,
    slowest: Option<SlowestPace>,
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
    /// That the client takes what is sent, of which it takes too little.
    BelowPace,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        is_https: bool,
        is_trusted_proxy: bool,
        slowest: Option<SlowestPace>,
        now_ms: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            ip: address.ip().to_canonical().to_string(),
            address,
            is_https,
            is_trusted_proxy,
            certificate: RefCell::new(None),
            in_progress: Cell::new(0),
            head_since_ms: Cell::new(None),
            idle_since_ms: Cell::new(now_ms),
            pace: Cell::default(),
            slowest,
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

    /// Notes how many bytes the client took of those that it was offered; `None` where it takes none now.
    pub(crate) fn was_written(&self, taken: Option<usize>, now_ms: u64) {
        let mut pace = self.pace.get();
        match taken {
            Some(_) if pace.is_even() => return,
            Some(bytes) => pace.moves(bytes, now_ms, self.slowest),
            None => pace.waits(now_ms),
        }
        self.pace.set(pace);
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
        let pace = self.pace.get();
        if let Some(since) = pace.waited_since_ms() {
            let stalled = (after(since, limits.stall_timeout), Wait::Slow);
            let behind_at_ms = self.slowest.and_then(|slowest| pace.too_late_at_ms(slowest));
            let behind = behind_at_ms.filter(|at_ms| *at_ms < stalled.0).map(|at_ms| (at_ms, Wait::BelowPace));
            return Some(behind.unwrap_or(stalled));
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

/// Returns how many bytes a write got rid of; `None` where it waits.
pub(crate) fn taken(written: &Poll<io::Result<usize>>) -> Option<usize> {
    match written {
        Poll::Ready(Ok(count)) => Some(*count),
        Poll::Ready(Err(_)) => Some(0),
        Poll::Pending => None,
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

    fn was_written(&self, taken: Option<usize>) {
        self.client.was_written(taken, self.alarms.now_ms());
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
        self.was_written(taken(&written));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.was_written(flushed.is_ready().then_some(0));
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.was_written(shut.is_ready().then_some(0));
        shut
    }
}
