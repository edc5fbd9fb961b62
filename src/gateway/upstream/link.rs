//! One connection to a backend, plain or TLS, with its buffers.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::UpstreamError;
use super::head::Memory;
use crate::http1;
use crate::http1::socket::Socket;
use crate::route::endpoint::Origin;

/// Bytes read at once at first: most answers of an API fit.
const READ_BYTES: usize = 8 << 10;

/// A connection to a backend.
pub(crate) struct Link {
    stream: Stream,
    /// What was read and not yet used.
    pub(crate) read: BytesMut,
    /// What is kept of the head of the last answer.
    pub(crate) memory: Memory,
    read_size: usize,
    /// What is to be written; kept for its capacity.
    pub(crate) write: Vec<u8>,
    /// Where others write it, what became of it.
    pub(super) left: Left,
    /// When it was last put back, in the worker's milliseconds.
    pub(crate) idle_since_ms: u64,
}

/// A connection that the outbox may write to while an exchange waits for what comes.
pub(crate) type SharedLink = Rc<RefCell<Link>>;

/// What became of a request that was left to be sent.
#[derive(Debug, Default)]
pub(super) enum Left {
    /// None was left.
    #[default]
    Nothing,
    /// It waits.
    Waits,
    /// So many bytes of it were sent, beginning at this time; where it is not all, the rest is not left any more.
    Sent(usize, Instant),
    /// Nothing was sent: the backend had closed the connection.
    Unsent,
    /// The backend takes nothing more.
    Failed(io::Error),
}

/// How TLS to backends is checked, with the protocols that are offered.
#[derive(Debug)]
pub(crate) struct Trust {
    /// HTTP/1.1 alone, without a word about it.
    pub(crate) http1: Arc<rustls::ClientConfig>,
    /// HTTP/2, or HTTP/1.1 where the backend has nothing else.
    pub(crate) with_http2: Arc<rustls::ClientConfig>,
}

impl Trust {
    pub(crate) fn new(http1: Arc<rustls::ClientConfig>) -> Self {
        let mut with_http2 = rustls::ClientConfig::clone(&http1);
        with_http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { http1, with_http2: Arc::new(with_http2) }
    }
}

/// The bytes of a connection to a backend.
pub(crate) type Stream = http1::stream::Stream<TlsStream<TcpStream>>;

impl Link {
    /// Connects to an origin within `timeout`, TLS handshake included.
    ///
    /// # Errors
    /// Where the name is unknown, no address answers, the certificate is not trusted, or time is over.
    pub(crate) async fn connect(
        origin: &Origin,
        trust: Option<&Arc<Trust>>,
        timeout: Duration,
    ) -> Result<Self, UpstreamError> {
        let stream = tokio::time::timeout(timeout, Stream::connect(origin, trust.map(|trust| &trust.http1)));
        let stream = stream.await.map_err(|_| UpstreamError::ConnectTimeout)??;
        Ok(Self {
            stream,
            read: BytesMut::new(),
            memory: Memory::default(),
            read_size: READ_BYTES,
            write: Vec::new(),
            left: Left::Nothing,
            idle_since_ms: 0,
        })
    }

    /// Sends what was left to be sent, now; says whether that is done with.
    pub(crate) fn send_left(&mut self, now: Instant) -> bool {
        if !matches!(self.left, Left::Waits) {
            return true;
        }
        let (is_sent, left) = self.send_now(now);
        self.left = left;
        is_sent
    }

    fn send_now(&mut self, now: Instant) -> (bool, Left) {
        if self.has_come() {
            return (false, Left::Unsent);
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.poll_write_own(&mut cx, 0) {
            Poll::Ready(Ok(count)) => {
                let is_whole = count == self.write.len() && matches!(self.poll_flush(&mut cx), Poll::Ready(Ok(())));
                (is_whole, Left::Sent(count, now))
            }
            Poll::Ready(Err(error)) => (false, Left::Failed(error)),
            Poll::Pending => (false, Left::Sent(0, now)),
        }
    }

    /// Reads more into `read`.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let least = self.read_size / 2;
        self.stream.poll_fill(cx, &mut self.read, &mut self.read_size, least)
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Writes some of what is in `write`, from `from` on.
    pub(crate) fn poll_write_own(&mut self, cx: &mut Context<'_>, from: usize) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, &self.write[from..])
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Sends what TLS holds back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says whether something came, or the end, while nothing is under way. Costs no system call where nothing did. With TLS,
    /// what has not been read yet is not known.
    fn has_come(&mut self) -> bool {
        let has_come = match &mut self.stream {
            Stream::Plain(socket) => socket.has_come(),
            Stream::Tls(_) => false,
        };
        has_come || !self.read.is_empty()
    }

    /// Says whether the connection can carry another request: the backend has neither closed it nor sent something
    /// unasked. Costs no system call where nothing came.
    pub(crate) fn is_usable(&mut self) -> bool {
        !self.has_come() && (!self.is_tls() || self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending())
    }

    /// Takes the connection apart, for another protocol than HTTP: its stream, and what was read of it already.
    pub(crate) fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.read)
    }

    /// Makes the connection small for the time it is not used.
    pub(crate) fn rest(&mut self, now_ms: u64) {
        self.idle_since_ms = now_ms;
        self.left = Left::Nothing;
        if self.read.capacity() > 2 * READ_BYTES {
            self.read = BytesMut::new();
            self.read_size = READ_BYTES;
        }
        self.write.clear();
        self.write.shrink_to(READ_BYTES);
    }
}

impl Stream {
    /// Says whether HTTP/2 is spoken: agreed on over TLS, known before without.
    pub(super) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    pub(super) async fn connect(
        origin: &Origin,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> Result<Self, UpstreamError> {
        let tcp = connect_tcp(&origin.host, origin.port).await?;
        tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
        if !origin.is_tls {
            return Ok(Self::Plain(Socket::new(tcp)));
        }
        let unusable = |what: &'static str| UpstreamError::Connect(io::Error::new(io::ErrorKind::InvalidInput, what));
        let tls = tls.ok_or_else(|| unusable("this gateway trusts no certificate authority"))?;
        let name = ServerName::try_from(origin.host.clone()).map_err(|_| unusable("the host is not a name for TLS"))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.map_err(UpstreamError::Connect)?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
    // An address needs no resolver, and so no other thread.
    if let Ok(address) = host.parse::<IpAddr>() {
        return TcpStream::connect(SocketAddr::new(address, port)).await.map_err(UpstreamError::Connect);
    }
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(UpstreamError::Name)?;
    let mut error = UpstreamError::Name(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(cause) => error = UpstreamError::Connect(cause),
        }
    }
    Err(error)
}
