//! An answer's body on its way from a backend, over whichever version of HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::UpstreamError;
use super::exchange::Exchange;
use super::line::Seat;
use super::pool::Slot;
use crate::alarm::Alarm;

/// An answer's body on its way.
pub(crate) enum Coming {
    /// Over HTTP/1.1.
    Http1(Box<Exchange>),
    /// Over HTTP/2.
    Http2(Box<Stream>),
}

/// An answer's body on a stream of HTTP/2.
pub(crate) struct Stream {
    /// `None` once it has ended.
    body: Option<Incoming>,
    alarm: Alarm,
    /// For the next piece.
    patience: Duration,
    /// Its place, on the connection and among all calls to the backend.
    _place: (Seat, Slot),
}

impl Stream {
    pub(crate) fn new(body: Incoming, mut alarm: Alarm, patience: Duration, place: (Seat, Slot)) -> Self {
        alarm.set(patience);
        Self { body: Some(body), alarm, patience, _place: place }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.alarm.set(self.patience);
                if body.is_end_stream() {
                    self.body = None;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.body = None;
                Poll::Ready(Some(Err(UpstreamError::CutOff)))
            }
            Poll::Ready(None) => {
                self.body = None;
                Poll::Ready(None)
            }
            Poll::Pending if self.alarm.is_due(cx) => {
                self.body = None;
                Poll::Ready(Some(Err(UpstreamError::Stalled)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Coming {
    /// Reads the next frame.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_frame(cx),
            Self::Http2(stream) => stream.poll_frame(cx),
        }
    }

    /// Says whether there is nothing more to read.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_ended(),
            Self::Http2(stream) => stream.body.is_none(),
        }
    }

    /// Returns what is known of the length of what is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(exchange) => exchange.size_hint(),
            Self::Http2(stream) => stream.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint),
        }
    }
}
