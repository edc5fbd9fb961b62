//! One request and its answer over one connection to a backend, driven by polling: while the answer's body is read,
//! the rest of the request's body is still being sent.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};

use super::UpstreamError;
use super::coming::Coming;
use super::head;
use super::lines::Lines;
use super::link::{Left, SharedLink};
use super::pool::Slot;
use super::sending::{RequestBody, Sending};
use crate::alarm::{Alarm, Alarms};
use crate::client::Client;
use crate::downstream::body::ClientBody;
use crate::http1::framing::{Framing, Piece};
use crate::outbox::Outbox;

/// Interim answers (RFC 9110 §15.2) before the final one: more than any sensible backend sends.
const INTERIM_ANSWERS_MAX: u32 = 16;

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
    interim_answers: u32,
    /// Whether the headers of the answer may be passed on as they are.
    takes_lines: bool,
    /// The head of the answer, once it is here.
    head: Option<head::Incoming>,
}

struct Carrier {
    link: SharedLink,
    slot: Slot,
}

/// What is asked, but for the head.
pub(crate) struct Demand {
    pub(crate) verb: Method,
    pub(crate) body: RequestBody,
    /// Whether the headers of the answer may be passed on as they are.
    pub(crate) takes_lines: bool,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The headers that are passed on as they are, where `headers` has none.
    pub(crate) lines: Option<Lines>,
    pub(crate) body: AnswerBody,
    /// When the request was sent, where it had waited for that.
    pub(crate) sent_at: Option<Instant>,
    /// Room for another exchange.
    pub(crate) room: Option<Box<Exchange>>,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// What it is read from.
    Stream(Coming),
}

/// Why no answer came.
pub(crate) struct Failure {
    pub(crate) error: UpstreamError,
    /// Whether the backend cannot have seen a whole request of which anything is lost: nothing came back, and nothing
    /// was taken from the client that is not at hand.
    pub(crate) can_be_repeated: bool,
    /// Whether nothing was sent at all: it is safe to repeat whatever is asked.
    pub(crate) is_unsent: bool,
    /// When the request was sent, where it had waited for that.
    pub(crate) sent_at: Option<Instant>,
    /// The body, where it can be sent again.
    pub(crate) rest: Option<ClientBody>,
}

impl Exchange {
    /// Begins an exchange in the room of one that has ended, if there is one. The head is in the link's write buffer.
    pub(crate) fn begin(
        room: Option<Box<Self>>,
        (link, slot): (SharedLink, Slot),
        alarms: &Rc<Alarms>,
        patience: Patience,
        demand: Demand,
    ) -> Box<Self> {
        let Demand { verb, body, takes_lines } = demand;
        let sending = Sending::new(&mut link.borrow_mut(), body);
        let carrier = Some(Carrier { link, slot });
        let mut exchange = match room {
            Some(mut room) => {
                (room.carrier, room.sending, room.patience) = (carrier, sending, patience);
                (room.verb, room.takes_lines) = (verb, takes_lines);
                (room.framing, room.keeps_alive) = (Framing::Ended, false);
                (room.has_received, room.interim_answers) = (false, 0);
                room
            }
            None => Box::new(Self {
                carrier,
                alarm: alarms.alarm(),
                patience,
                verb,
                sending,
                framing: Framing::Ended,
                keeps_alive: false,
                has_received: false,
                interim_answers: 0,
                takes_lines,
                head: None,
            }),
        };
        exchange.alarm.set(patience.send_stall);
        exchange
    }

    /// Sends the request and waits for the answer's head.
    pub(crate) async fn answer(mut self: Box<Self>) -> Result<Answer, Failure> {
        std::future::poll_fn(|cx| self.poll_answered(cx)).await?;
        Ok(self.into_answer())
    }

    /// Sends what can be sent now; ready when the answer's head is here.
    pub(crate) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_head(cx).map_err(|error| self.failure(error))
    }

    /// Makes the answer, once its head is here.
    pub(crate) fn into_answer(mut self: Box<Self>) -> Answer {
        let head = self.head.take().expect("it has been waited for");
        self.framing = head.framing;
        self.keeps_alive = head.keeps_alive;
        if let Some(rest) = &mut self.sending.rest {
            rest.is_answered();
        }
        let sent_at = self.sending.sent_at;
        let (body, room) = match self.whole_body() {
            Some(body) => (AnswerBody::Whole(body), Some(self.into_room())),
            None => {
                self.alarm.set(self.patience.receive_stall);
                (AnswerBody::Stream(Coming::Http1(self)), None)
            }
        };
        Answer { status: head.status, headers: head.headers, lines: head.lines, body, sent_at, room }
    }

    fn failure(&mut self, error: UpstreamError) -> Failure {
        let can_be_repeated = !self.has_received && !self.sending.has_taken_from_client;
        let Sending { is_unsent, sent_at, .. } = self.sending;
        Failure { error, can_be_repeated, is_unsent, sent_at, rest: self.sending.rest.take() }
    }

    /// Has the outbox send the request of this client, where all of it is at hand.
    pub(crate) fn leave(&mut self, outbox: &Outbox, client: &Client, cx: &Context<'_>) {
        let Some(carrier) = &self.carrier else { return };
        if self.sending.leave(&mut carrier.link.borrow_mut()) {
            outbox.take_request(&carrier.link, client, cx);
            self.alarm.set(self.patience.head);
        }
    }

    /// Makes one that has ended mere room for another.
    fn into_room(mut self: Box<Self>) -> Box<Self> {
        self.alarm.set_at(None);
        self
    }

    /// Returns the body where all of it is here already: the usual case, in which the connection is free at once.
    fn whole_body(&mut self) -> Option<Bytes> {
        if !self.sending.is_done {
            return None;
        }
        let mut link = self.carrier.as_ref()?.link.borrow_mut();
        let body = match self.framing {
            Framing::Ended => Bytes::new(),
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= link.read.len())?;
                link.read.split_to(length).freeze()
            }
            Framing::Chunked(_) | Framing::UntilClose => return None,
        };
        drop(link);
        self.framing = Framing::Ended;
        self.end();
        Some(body)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            let Some(carrier) = &self.carrier else { return Poll::Ready(Err(UpstreamError::Closed)) };
            let link = &mut *carrier.link.borrow_mut();
            if !link.read.is_empty() {
                self.has_received = true;
                // A head is large: it is moved once, to where it waits.
                match head::parse(&mut link.read, &mut link.memory, &self.verb, self.takes_lines) {
                    // Nothing was asked for that would change the protocol.
                    Ok(Some(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                        return Poll::Ready(Err(UpstreamError::Protocol("it switches protocols unasked")));
                    }
                    // An interim answer; the final one follows.
                    Ok(Some(head)) if head.status.is_informational() && self.interim_answers < INTERIM_ANSWERS_MAX => {
                        self.interim_answers += 1;
                        continue;
                    }
                    Ok(Some(head)) if head.status.is_informational() => {
                        return Poll::Ready(Err(UpstreamError::Protocol("the final answer never comes")));
                    }
                    Ok(Some(head)) => {
                        self.head = Some(head);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(None) if link.read.len() > self.patience.head_bytes_max => {
                        return Poll::Ready(Err(UpstreamError::Protocol("the head is too large")));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            match link.poll_read(cx) {
                // What comes before anything was sent is not the answer.
                Poll::Ready(_) if matches!(link.left, Left::Waits) => {
                    self.sending.is_unsent = true;
                    return Poll::Ready(Err(UpstreamError::Closed));
                }
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

    /// Sends what can be sent now. Only the client's faults are errors here: where the backend takes no more, its
    /// answer is read all the same.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        if self.sending.is_done {
            return Poll::Ready(Ok(()));
        }
        let Some(carrier) = &self.carrier else { return Poll::Ready(Ok(())) };
        let before = self.sending.progress();
        let sent = self.sending.poll(&mut carrier.link.borrow_mut(), cx);
        match sent {
            Poll::Ready(Ok(())) => {
                self.sending.is_done = true;
                // The time of what was left to be sent runs already.
                if self.sending.sent_at.is_none() {
                    self.alarm.set(self.patience.head);
                }
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
                if self.sending.progress() != before {
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
            let Some(carrier) = &self.carrier else { return Poll::Ready(Ok(Piece::End)) };
            let link = &mut *carrier.link.borrow_mut();
            let piece = self.framing.next(&mut link.read)?;
            if piece != Piece::NeedsMore {
                self.alarm.set(self.patience.receive_stall);
                return Poll::Ready(Ok(piece));
            }
            match link.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    self.framing.connection_ended().map_err(|_| UpstreamError::CutOff)?;
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
        if self.framing.is_ended() {
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
        self.framing.size_hint()
    }

    /// Puts the connection back, where it can be used again.
    fn end(&mut self) {
        let Some(Carrier { link, slot }) = self.carrier.take() else { return };
        let is_sent = self.sending.is_done && !self.sending.has_failed;
        if self.keeps_alive && is_sent && link.borrow().read.is_empty() {
            slot.put_back(link);
        }
    }
}
