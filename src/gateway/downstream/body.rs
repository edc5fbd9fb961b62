//! The body of a client's request, over whichever version of HTTP.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::paced::Paced;
use super::wire::{BodyBroken, Reader, Wire};
use crate::grpc;
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// The body of a client's request.
pub(crate) enum ClientBody {
    /// There is none.
    Empty,
    /// Over HTTP/1.1.
    Http1(Reader),
    /// Over HTTP/2.
    Http2(Incoming),
    /// One of the others, whose client must keep a pace.
    Paced(Box<Paced>),
}

/// Why a body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error(transparent)]
    Broken(#[from] BodyBroken),
    #[error("the body comes too slowly")]
    TooSlow,
}

impl From<BodyFault> for UpstreamError {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Broken(_) => Self::ClientBody,
            BodyFault::TooSlow => Self::ClientTooSlow,
        }
    }
}

impl ClientBody {
    /// Returns the body of the request whose head was just read.
    pub(crate) fn of(wire: &Rc<Wire>) -> Self {
        if wire.is_body_read() { Self::Empty } else { Self::Http1(Reader::new(wire)) }
    }

    /// Says whether all of the body is here already, and it is not too large to be copied.
    pub(crate) fn is_whole_now(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(reader) => reader.wire().is_body_whole(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Paced(_) => false,
        }
    }

    /// Takes the body, all of which is here.
    pub(crate) fn take_whole(&self) -> Bytes {
        match self {
            Self::Http1(reader) => reader.wire().take_whole_body(),
            Self::Empty | Self::Http2(_) | Self::Paced(_) => Bytes::new(),
        }
    }

    /// Has the client keep the slowest pace from now on until its call is answered. A call of gRPC has a stream, on
    /// which it may say nothing for as long as it likes.
    pub(crate) fn paced(self, worker: &Worker, headers: &HeaderMap) -> Self {
        match worker.settings.client.slowest_request() {
            Some(slowest) if !matches!(self, Self::Empty | Self::Paced(_)) && !grpc::is_call(headers) => {
                Self::Paced(Box::new(Paced::new(self, slowest, worker.alarms.alarm())))
            }
            _ => self,
        }
    }

    /// Notes that the call is being answered: who then still sends has a conversation with the backend.
    pub(crate) fn is_answered(&mut self) {
        if let Self::Paced(paced) = self {
            paced.is_let_go();
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(reader) => reader.wire().poll_frame(cx).map_err(BodyFault::Broken),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(|_| BodyBroken.into()),
            Self::Paced(paced) => paced.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(reader) => reader.wire().is_body_read(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Paced(paced) => paced.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(reader) => reader.wire().size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Paced(paced) => paced.size_hint(),
        }
    }
}
