//! The body of a client's request, over whichever version of HTTP.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::wire::{BodyBroken, Reader, Wire};

/// The body of a client's request.
pub(crate) enum ClientBody {
    /// There is none.
    Empty,
    /// Over HTTP/1.1.
    Http1(Reader),
    /// Over HTTP/2.
    Http2(Incoming),
}

impl ClientBody {
    /// Returns the body of the request whose head was just read.
    pub(crate) fn of(wire: &Rc<Wire>) -> Self {
        if wire.is_body_read() { Self::Empty } else { Self::Http1(Reader::new(wire)) }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(reader) => reader.wire().poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(|_| BodyBroken),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(reader) => reader.wire().is_body_read(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(reader) => reader.wire().size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
