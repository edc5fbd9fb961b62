//! One request and its answer over one connection to a backend, driven by polling: while the answer's body is read,
//! the rest of the request's body is still being sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming as ClientBody;

use super::UpstreamError;
use super::framing::{Framing, Piece};
use super::head::{self, BodyLength};
use super::link::Link;
use super::pool::Slot;
use crate::alarm::Alarm;

/// A piece of a request's body up to this size is copied behind the head, so that one system call writes both.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// How long an exchange may take where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the answer's head, once the request was sent.
    pub(crate) head: Duration,
    /// For the next piece of the request's body, and for the backend to take it.
    pub(crate) send_stall: Duration,
    /// For the next piece of the answer's body.
    pub(crate) receive_stall: Duration,
    /// Bytes of the answer's head.
    pub(crate) head_bytes_max: usize,
}

/// A request's body, of which the first piece may have been read already.
pub(crate) struct RequestBody {
    pub(crate) first: Option<Bytes>,
    pub(crate) rest: Option<ClientBody>,
    pub(crate) length: BodyLength,
}

impl RequestBody {
    /// Returns a body that has nothing.
    pub(crate) fn none(length: BodyLength) -> Self {
        Self { first: None, rest: None, length }
    }
}

/// A request that is being sent and an answer that is being read.
pub(crate) struct Exchange {
    /// `None` once the exchange has ended and the connection was put back or closed.
    carrier: Option<Carrier>,
    alarm: Alarm,
    patience: Patience,
    verb: Method,
    sending: Sending,
    framing: Framing,
    keeps_alive: bool,
    has_received: bool,
}

struct Carrier {
    link: Link,
    slot: Slot,
}

struct Sending {
    /// How much of the link's write buffer is written.
    written: usize,
    /// A large piece that comes after it.
    large: Bytes,
    rest: Option<ClientBody>,
    is_chunked: bool,
    owes_flush: bool,
    /// Whether anything is still to be sent.
    is_done: bool,
    /// Whether sending failed; the backend may have answered all the same.
    has_failed: bool,
    is_waiting_for_client: bool,
    has_taken_from_client: bool,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// The exchange it is read from.
    Stream(Box<Exchange>),
}

/// Why no answer came.
pub(crate) struct Failure {
    pub(crate) error: UpstreamError,
    /// Whether the backend cannot have seen a whole request of which anything is lost: nothing came back, and nothing
    /// was taken from the client that is not at hand.
    pub(crate) can_be_repeated: bool,
    /// The body, where it can be sent again.
    pub(crate) rest: Option<ClientBody>,
}

impl Exchange {
    /// Begins an exchange. The head is in the link's write buffer.
    pub(crate) fn new(
        mut link: Link,
        slot: Slot,
        alarm: Alarm,
        patience: Patience,
        verb: Method,
        body: RequestBody,
    ) -> Self {
        let is_chunked = body.length == BodyLength::Chunked;
        let mut sending = Sending {
            written: 0,
            large: Bytes::new(),
            rest: body.rest,
            is_chunked,
            owes_flush: false,
            is_done: false,
            has_failed: false,
            is_waiting_for_client: false,
            has_taken_from_client: false,
        };
        if let Some(first) = body.first {
            sending.queue(&mut link.write, first);
        }
        let mut exchange = Self {
            carrier: Some(Carrier { link, slot }),
            alarm,
            patience,
            verb,
            sending,
            framing: Framing::Ended,
            keeps_alive: false,
            has_received: false,
        };
        exchange.alarm.set(patience.send_stall);
        exchange
    }

    /// Sends the request and waits for the answer's head.
    pub(crate) async fn answer(mut self) -> Result<Answer, Failure> {
        let head = std::future::poll_fn(|cx| self.poll_head(cx)).await;
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                let can_be_repeated = !self.has_received && !self.sending.has_taken_from_client;
                return Err(Failure { error, can_be_repeated, rest: self.sending.rest.take() });
            }
        };
        self.framing = head.framing;
        self.keeps_alive = head.keeps_alive;
        self.alarm.set(self.patience.receive_stall);
        let body = match self.whole_body() {
            Some(body) => AnswerBody::Whole(body),
            None => AnswerBody::Stream(Box::new(self)),
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Returns the body where all of it is here already: the usual case, in which the connection is free at once.
    fn whole_body(&mut self) -> Option<Bytes> {
        if !self.sending.is_done {
            return None;
        }
        let link = &mut self.carrier.as_mut()?.link;
        let body = match self.framing {
            Framing::Ended => Bytes::new(),
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= link.read.len())?;
                link.read.split_to(length).freeze()
            }
            Framing::Chunked(_) | Framing::UntilClose => return None,
        };
        self.framing = Framing::Ended;
        self.end();
        Some(body)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<head::Incoming, UpstreamError>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            let Some(carrier) = &mut self.carrier else { return Poll::Ready(Err(UpstreamError::Closed)) };
            if !carrier.link.read.is_empty() {
                self.has_received = true;
                match head::parse(&mut carrier.link.read, &self.verb, HeaderMap::new())? {
                    // Nothing was asked for that would change the protocol.
                    Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                        return Poll::Ready(Err(UpstreamError::Protocol("it switches protocols unasked")));
                    }
                    // An interim answer; the final one follows.
                    Some(head) if head.status.is_informational() => continue,
                    Some(head) => return Poll::Ready(Ok(head)),
                    None if carrier.link.read.len() > self.patience.head_bytes_max => {
                        return Poll::Ready(Err(UpstreamError::Protocol("the head is too large")));
                    }
                    None => {}
                }
            }
            match carrier.link.poll_read(cx) {
                Poll::Ready(Ok(0)) if self.has_received => return Poll::Ready(Err(UpstreamError::CutOff)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(UpstreamError::Closed)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) if !self.has_received => return Poll::Ready(Err(UpstreamError::Closed)),
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(UpstreamError::Receive(cause))),
                Poll::Pending if self.alarm.is_due(cx) => {
                    let late = if self.sending.is_waiting_for_client {
                        UpstreamError::ClientStalled
                    } else {
                        UpstreamError::HeadTimeout
                    };
                    return Poll::Ready(Err(late));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what can be sent now. Only the client's faults are errors here: where the backend takes no more, its answer
    /// is read all the same.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        if self.sending.is_done {
            return Poll::Ready(Ok(()));
        }
        let Some(carrier) = &mut self.carrier else { return Poll::Ready(Ok(())) };
        let before = self.sending.written + self.sending.large.len();
        let sent = self.sending.poll(&mut carrier.link, cx);
        match sent {
            Poll::Ready(Ok(())) => {
                self.sending.is_done = true;
                self.alarm.set(self.patience.head);
            }
            Poll::Ready(Err(UpstreamError::Send(_))) => {
                self.sending.is_done = true;
                self.sending.has_failed = true;
                self.sending.rest = None;
                self.alarm.set(self.patience.head);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.sending.written + self.sending.large.len() != before {
                    self.alarm.set(self.patience.send_stall);
                }
            }
        }
        sent
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, UpstreamError>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            let Some(carrier) = &mut self.carrier else { return Poll::Ready(Ok(Piece::End)) };
            let piece = self.framing.next(&mut carrier.link.read)?;
            if piece != Piece::NeedsMore {
                self.alarm.set(self.patience.receive_stall);
                return Poll::Ready(Ok(piece));
            }
            match carrier.link.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    self.framing.connection_ended()?;
                    return Poll::Ready(Ok(Piece::End));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(UpstreamError::Receive(cause))),
                Poll::Pending if self.alarm.is_due(cx) => return Poll::Ready(Err(UpstreamError::Stalled)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads the next frame of the answer's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if self.carrier.is_none() {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.poll_piece(cx)) {
            Ok(piece) => piece,
            Err(error) => {
                self.carrier = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        if matches!(self.framing, Framing::Ended | Framing::Length(0)) {
            self.end();
        }
        match piece {
            Piece::Data(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Piece::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Piece::End | Piece::NeedsMore => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    /// Says whether there is nothing more to read.
    pub(crate) fn is_ended(&self) -> bool {
        self.carrier.is_none()
    }

    /// Returns what is known of the length of what is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Ended => SizeHint::with_exact(0),
            Framing::Chunked(_) | Framing::UntilClose => SizeHint::default(),
        }
    }

    /// Puts the connection back, where it can be used again.
    fn end(&mut self) {
        let Some(Carrier { link, slot }) = self.carrier.take() else { return };
        let is_sent = self.sending.is_done && !self.sending.has_failed;
        if self.keeps_alive && is_sent && link.read.is_empty() {
            slot.put_back(link);
        }
    }
}

impl Sending {
    /// Queues a piece of the body behind what is in `write`.
    fn queue(&mut self, write: &mut Vec<u8>, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.is_chunked {
            write.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
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

    fn poll(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.is_waiting_for_client = false;
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
                            self.queue(&mut link.write, piece);
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(UpstreamError::ClientBody)),
                    Poll::Ready(None) => {
                        self.rest = None;
                        self.end_body(&mut link.write);
                    }
                    Poll::Pending => self.is_waiting_for_client = true,
                }
            }
            if self.written < link.write.len() {
                self.written += ready!(link.poll_write_own(cx, self.written)).map_err(UpstreamError::Send)?;
                self.owes_flush = true;
                continue;
            }
            link.write.clear();
            self.written = 0;
            if !self.large.is_empty() {
                let count = ready!(link.poll_write(cx, &self.large)).map_err(UpstreamError::Send)?;
                self.large.advance(count);
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
