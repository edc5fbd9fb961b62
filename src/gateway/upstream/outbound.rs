//! A request's body as HTTP/2 takes it, and how far it has come.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::UpstreamError;
use super::request::BodyLength;
use super::sending::RequestBody;
use crate::alarm::Alarms;
use crate::downstream::body::{BodyFault, ClientBody};

/// A request's body on its way.
pub(crate) struct Outbound {
    first: Option<Bytes>,
    rest: Option<ClientBody>,
    length: BodyLength,
    counted: Option<Rc<Cell<u64>>>,
    progress: Rc<Progress>,
}

/// How far a body has come.
pub(crate) struct Progress {
    alarms: Rc<Alarms>,
    /// When the last piece was taken, in the worker's milliseconds.
    moved_at_ms: Cell<u64>,
    is_done: Cell<bool>,
    has_taken_from_client: Cell<bool>,
    is_answered: Cell<bool>,
    is_too_slow: Cell<bool>,
}

impl Progress {
    /// Returns when the last piece was taken, and whether it was the last of all.
    pub(crate) fn last(&self) -> (u64, bool) {
        (self.moved_at_ms.get(), self.is_done.get())
    }

    /// Says whether something was taken from the client that is not at hand any more.
    pub(crate) fn has_taken_from_client(&self) -> bool {
        self.has_taken_from_client.get()
    }

    /// Notes that the call is being answered.
    pub(crate) fn is_answered(&self) {
        self.is_answered.set(true);
    }

    /// Says whether the body was given up because it came too slowly.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.is_too_slow.get()
    }

    fn moves(&self, is_done: bool) {
        self.moved_at_ms.set(self.alarms.now_ms());
        self.is_done.set(is_done);
    }
}

impl Outbound {
    /// Has a body sent, and its progress told.
    pub(crate) fn new(body: RequestBody, alarms: &Rc<Alarms>) -> (Self, Rc<Progress>) {
        let first = body.first.filter(|first| !first.is_empty());
        let progress = Rc::new(Progress {
            alarms: Rc::clone(alarms),
            moved_at_ms: Cell::new(alarms.now_ms()),
            is_done: Cell::new(first.is_none() && body.rest.is_none()),
            has_taken_from_client: Cell::new(false),
            is_answered: Cell::new(false),
            is_too_slow: Cell::new(false),
        });
        let outbound =
            Self { first, rest: body.rest, length: body.length, counted: body.counted, progress: Rc::clone(&progress) };
        (outbound, progress)
    }

    /// Takes it back: nothing of it was sent.
    pub(crate) fn into_body(self) -> RequestBody {
        RequestBody { first: self.first, rest: self.rest, length: self.length, counted: self.counted }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            this.progress.moves(this.rest.is_none());
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        if this.progress.is_answered.get() {
            rest.is_answered();
        }
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        let is_last = frame.is_none() || this.rest.as_ref().is_none_or(Body::is_end_stream);
        this.progress.moves(is_last);
        match frame {
            Some(Ok(frame)) => {
                this.progress.has_taken_from_client.set(true);
                if let (Some(counted), Some(piece)) = (&this.counted, frame.data_ref()) {
                    counted.set(counted.get() + piece.len() as u64);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(fault)) => {
                this.progress.is_too_slow.set(fault == BodyFault::TooSlow);
                Poll::Ready(Some(Err(fault.into())))
            }
            None => {
                this.rest = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (self.length, &self.rest) {
            (BodyLength::None, _) => SizeHint::with_exact(0),
            (_, None) => SizeHint::with_exact(self.first.as_ref().map_or(0, |first| first.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}
