//! The sending half of an exchange: head and body of a request, as the client delivers and the backend takes them.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http_body::Body as _;

use super::UpstreamError;
use super::link::{Left, Link};
use super::request::BodyLength;
use crate::downstream::body::ClientBody;
use crate::http1::COPIED_BYTES_MAX;
use crate::http1::framing::write_chunk_size;

/// A request's body, of which the first piece may have been read already.
pub(crate) struct RequestBody {
    pub(crate) first: Option<Bytes>,
    pub(crate) rest: Option<ClientBody>,
    pub(crate) length: BodyLength,
    /// Where its bytes are counted as they are taken from the client.
    pub(crate) counted: Option<Rc<Cell<u64>>>,
}

impl RequestBody {
    /// Returns a body that has nothing.
    pub(crate) fn none(length: BodyLength) -> Self {
        Self { first: None, rest: None, length, counted: None }
    }

    /// Returns the same body to be sent once more, where all of it is at hand.
    pub(crate) fn again(&self) -> Option<Self> {
        let first = self.first.clone();
        // What was counted when it came is not counted twice.
        self.rest.is_none().then_some(Self { first, rest: None, length: self.length, counted: None })
    }
}

/// What of a request is still to be sent.
pub(crate) struct Sending {
    /// How much of the link's write buffer is written.
    written: usize,
    written_in_all: u64,
    /// A large piece that comes after it.
    large: Bytes,
    pub(super) rest: Option<ClientBody>,
    is_chunked: bool,
    owes_flush: bool,
    /// Whether anything is still to be sent.
    pub(super) is_done: bool,
    /// Whether sending failed; the backend may have answered all the same.
    pub(super) has_failed: bool,
    pub(super) is_waiting_for_client: bool,
    pub(super) has_taken_from_client: bool,
    /// Whether nothing was sent because the backend had closed the connection.
    pub(super) is_unsent: bool,
    /// When the outbox began to send, where it did.
    pub(super) sent_at: Option<Instant>,
    counted: Option<Rc<Cell<u64>>>,
}

impl Sending {
    /// Queues the first piece of the body behind the head.
    pub(super) fn new(link: &mut Link, body: RequestBody) -> Self {
        let mut sending = Self {
            written: 0,
            written_in_all: 0,
            large: Bytes::new(),
            rest: body.rest,
            is_chunked: body.length == BodyLength::Chunked,
            owes_flush: false,
            is_done: false,
            has_failed: false,
            is_waiting_for_client: false,
            has_taken_from_client: false,
            is_unsent: false,
            sent_at: None,
            counted: body.counted,
        };
        if let Some(first) = body.first {
            sending.queue(&mut link.write, first);
        }
        sending
    }

    /// Has others send it, where all of it is at hand; says whether that can be.
    pub(super) fn leave(&self, link: &mut Link) -> bool {
        let is_at_hand = self.rest.is_none() && self.large.is_empty() && self.written == 0;
        if is_at_hand {
            link.left = Left::Waits;
        }
        is_at_hand
    }

    /// Takes back what others were to send; ready where it is not waiting any more.
    fn poll_left(&mut self, link: &mut Link) -> Poll<Result<(), UpstreamError>> {
        match std::mem::take(&mut link.left) {
            Left::Nothing => {}
            Left::Waits => {
                link.left = Left::Waits;
                return Poll::Pending;
            }
            Left::Sent(count, at) => {
                self.written = count;
                self.written_in_all = count as u64;
                self.sent_at = Some(at);
                self.owes_flush = link.is_tls();
            }
            Left::Unsent => {
                self.is_unsent = true;
                return Poll::Ready(Err(UpstreamError::Closed));
            }
            Left::Failed(cause) => return Poll::Ready(Err(UpstreamError::Send(cause))),
        }
        Poll::Ready(Ok(()))
    }

    /// Returns how many bytes were written so far.
    pub(super) fn progress(&self) -> u64 {
        self.written_in_all
    }

    /// Queues a piece of the body behind what is in `write`.
    fn queue(&mut self, write: &mut Vec<u8>, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.is_chunked {
            write_chunk_size(write, piece.len());
        }
        if piece.len() > COPIED_BYTES_MAX {
            self.large = piece;
            return;
        }
        write.extend_from_slice(&piece);
        if self.is_chunked {
            write.extend_from_slice(b"\r\n");
        }
    }

    fn end_body(&mut self, write: &mut Vec<u8>) {
        if self.is_chunked {
            write.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Sends what can be sent now; ready when all is sent.
    pub(super) fn poll(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.is_waiting_for_client = false;
        if let Err(error) = ready!(self.poll_left(link)) {
            return Poll::Ready(Err(error));
        }
        loop {
            // A piece that is at hand goes out with the head.
            if self.large.is_empty()
                && link.write.len() < COPIED_BYTES_MAX
                && let Some(rest) = &mut self.rest
            {
                match Pin::new(rest).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.has_taken_from_client = true;
                        // Trailers of requests stay on this hop (RFC 9110 §6.5.1 lets a recipient drop them).
                        if let Ok(piece) = frame.into_data() {
                            if let Some(counted) = &self.counted {
                                counted.set(counted.get() + piece.len() as u64);
                            }
                            self.queue(&mut link.write, piece);
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Err(fault.into())),
                    Poll::Ready(None) => {
                        self.rest = None;
                        self.end_body(&mut link.write);
                    }
                    Poll::Pending => self.is_waiting_for_client = true,
                }
            }
            if self.written < link.write.len() {
                let count = ready!(link.poll_write_own(cx, self.written)).map_err(UpstreamError::Send)?;
                self.written += count;
                self.written_in_all += count as u64;
                self.owes_flush = true;
                continue;
            }
            link.write.clear();
            self.written = 0;
            if !self.large.is_empty() {
                let count = ready!(link.poll_write(cx, &self.large)).map_err(UpstreamError::Send)?;
                self.large.advance(count);
                self.written_in_all += count as u64;
                self.owes_flush = true;
                if self.is_chunked && self.large.is_empty() {
                    link.write.extend_from_slice(b"\r\n");
                }
                continue;
            }
            if self.owes_flush {
                ready!(link.poll_flush(cx)).map_err(UpstreamError::Send)?;
                self.owes_flush = false;
            }
            if self.rest.is_none() {
                return Poll::Ready(Ok(()));
            }
            if self.is_waiting_for_client {
                return Poll::Pending;
            }
        }
    }
}
