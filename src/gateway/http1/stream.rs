//! The bytes of a connection, plain or TLS.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::socket::Socket;
use crate::off_path;

/// The bytes of a connection; `T` is its side of TLS.
pub(crate) enum Stream<T> {
    Plain(Socket),
    Tls(Box<T>),
}

/// Bytes read at once from who sends much.
const READ_BYTES_MAX: usize = 64 << 10;

impl<T: AsyncRead + Unpin> Stream<T> {
    /// Reads more into `read`. Where there is room for fewer than `least` bytes, room is made for `size` of them first, which
    /// grows while reads fill it.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut BytesMut,
        size: &mut usize,
        least: usize,
    ) -> Poll<io::Result<usize>> {
        // From its beginning, as soon as nobody holds what was read before: the same few lines of the processor's caches.
        if read.is_empty() {
            let _is_whole = read.try_reclaim(*size);
        }
        if read.capacity() - read.len() < least {
            read.reserve(*size);
        }
        let spare = read.capacity() - read.len();
        let count = match self {
            Self::Plain(socket) => socket.poll_fill(cx, read),
            Self::Tls(stream) => off_path::call(|| pin!(stream.read_buf(read)).poll(cx)),
        };
        if matches!(count, Poll::Ready(Ok(count)) if count == spare) {
            *size = (*size * 2).min(READ_BYTES_MAX);
        }
        count
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => off_path::call(|| Pin::new(stream).poll_read(cx, buf)),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => off_path::call(|| Pin::new(stream).poll_write(cx, bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => off_path::call(|| Pin::new(stream).poll_write_vectored(cx, parts)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => off_path::call(|| Pin::new(stream).poll_flush(cx)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => off_path::call(|| Pin::new(stream).poll_shutdown(cx)),
        }
    }
}
