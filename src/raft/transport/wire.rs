//! What the bytes between two nodes go over: mutual TLS over TCP. In a simulation, a simulated connection without it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// How long a connection is silent before TCP asks whether the other end is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
/// Between two such questions; a connection without an answer to three of them ends.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// Sets up a connection to another node: nothing waits for more to send, and where the other machine has gone without a
/// word the connection ends, instead of keeping its place for ever.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A connection to another node, as bytes.
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the larger one is all there is outside tests"))]
pub(super) enum Wire {
    Secure(TlsStream<TcpStream>),
    #[cfg(test)]
    Simulated(turmoil::net::TcpStream),
}

/// Calls the same function of whichever there is.
macro_rules! of_either {
    ($wire:expr, $function:path $(, $argument:expr)*) => {
        match $wire.get_mut() {
            Wire::Secure(stream) => $function(Pin::new(stream) $(, $argument)*),
            #[cfg(test)]
            Wire::Simulated(stream) => $function(Pin::new(stream) $(, $argument)*),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        of_either!(self, AsyncRead::poll_read, cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        of_either!(self, AsyncWrite::poll_write, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, AsyncWrite::poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_either!(self, AsyncWrite::poll_shutdown, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_either!(self, AsyncWrite::poll_write_vectored, cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Secure(stream) => stream.is_write_vectored(),
            #[cfg(test)]
            Self::Simulated(stream) => stream.is_write_vectored(),
        }
    }
}
