//! A client's connection as seen from its bytes: what it waits for and since when, so that slow clients are found.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use portcullis_model::agent::AgentFamily;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Alarms;
use crate::peer::PeerCertificate;
use crate::settings::ClientLimits;
use crate::websocket::Upgrade;

/// Bytes of what was last read that are kept to look at again.
const TAIL_BYTES_MAX: usize = 16 << 10;
/// Bytes of room for them that a connection between requests may hold.
const TAIL_BYTES_IDLE: usize = 2 << 10;

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
    /// The bytes last read: hyper takes `Content-Length` out where it has `Transfer-Encoding` too, but such a request
    /// is to be refused (RFC 9112 §6.1 calls it an attempt to smuggle).
    tail: RefCell<Vec<u8>>,
    /// Requests whose bytes are in `tail`.
    calls_in_tail: Cell<u32>,
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
            tail: RefCell::default(),
            calls_in_tail: Cell::new(0),
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
            *agent = (said.clone(), AgentFamily::of(said.as_bytes()));
        }
        agent.1
    }

    pub(crate) fn call_begins(&self) {
        self.in_progress.set(self.in_progress.get() + 1);
        self.head_since_ms.set(None);
        self.calls_in_tail.set(self.calls_in_tail.get().saturating_add(1));
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

    /// Says whether the head of the request with this first line, among the bytes last read, has a `Content-Length`.
    pub(crate) fn sent_content_length(&self, verb: &str, target: &str) -> bool {
        let tail = self.tail.borrow();
        let start = if self.calls_in_tail.get() == 1 {
            tail.iter().position(|byte| !byte.is_ascii_whitespace())
        } else {
            // Pipelined: the bytes of earlier requests come before.
            let first_line = [verb.as_bytes(), b" ", target.as_bytes(), b" HTTP/1."].concat();
            tail.windows(first_line.len()).rposition(|part| part == first_line)
        };
        let Some(start) = start else { return false };
        let head = &tail[start..];
        let end = head.windows(4).position(|part| part == b"\r\n\r\n").map_or(head.len(), |end| end + 4);
        head[..end].split(|byte| *byte == b'\n').any(|line| {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"content-length")
        })
    }

    /// Returns what was read after the last head. A client that waits for its answer, as it must before it speaks
    /// WebSocket, has sent nothing there.
    pub(crate) fn read_after_head(&self) -> BytesMut {
        let tail = self.tail.borrow();
        let end = tail.windows(4).position(|part| part == b"\r\n\r\n").map_or(tail.len(), |end| end + 4);
        BytesMut::from(&tail[end..])
    }

    fn was_read(&self, bytes: &[u8], now_ms: u64) {
        if self.is_multiplexed.get() {
            return;
        }
        let mut tail = self.tail.borrow_mut();
        if self.in_progress.get() == 0 && self.head_since_ms.get().is_none() {
            self.head_since_ms.set(Some(now_ms));
            self.calls_in_tail.set(0);
            tail.clear();
            tail.shrink_to(TAIL_BYTES_IDLE);
        }
        if tail.len() + bytes.len() > TAIL_BYTES_MAX {
            tail.clear();
        }
        let kept = bytes.len().min(TAIL_BYTES_MAX);
        tail.extend_from_slice(&bytes[bytes.len() - kept..]);
    }
}

/// A client's byte stream that tells its [`Client`] what happens.
pub(crate) struct Watched<T> {
    stream: Rc<RefCell<T>>,
    client: Rc<Client>,
    alarms: Rc<Alarms>,
}

impl<T> Watched<T> {
    pub(crate) fn new(stream: Rc<RefCell<T>>, client: &Rc<Client>, alarms: &Rc<Alarms>) -> Self {
        Self { stream, client: Rc::clone(client), alarms: Rc::clone(alarms) }
    }

    fn was_written<R>(&self, written: &Poll<io::Result<R>>) {
        match written {
            Poll::Pending if self.client.blocked_since_ms.get().is_none() => {
                self.client.blocked_since_ms.set(Some(self.alarms.now_ms()));
            }
            Poll::Pending => {}
            Poll::Ready(_) => self.client.blocked_since_ms.set(None),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            self.client.was_read(bytes, self.alarms.now_ms());
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, bytes);
        self.was_written(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx);
        self.was_written(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx);
        self.was_written(&shut);
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::Client;

    #[test]
    fn a_content_length_is_found_in_the_head_of_the_request_meant() {
        let client = Client::new("127.0.0.1:1".parse().unwrap(), false, false, 0);
        client.was_read(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Len", 0);
        client.was_read(b"gth: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0);
        client.call_begins();
        assert!(client.sent_content_length("POST", "/a"));
        client.call_begins();
        client.was_read(b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\ncontent-length: 5\r\n", 0);
        assert!(!client.sent_content_length("POST", "/b"), "what follows the head is body");
    }
}
