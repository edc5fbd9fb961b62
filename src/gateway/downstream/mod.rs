//! HTTP/1.1 from clients: one task carries a connection, one request after the other, and does the calls to backends
//! too.
//!
//! It is written here and not taken from a library because it is the hottest path there is: heads are read without a
//! copy into memory that the connection keeps, head and body of an answer leave in one system call, and a call takes no
//! channel and no task. Why: `docs/decisions/0094-http1-of-our-own.md`.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod date;
#[cfg(test)]
mod differential;
pub(crate) mod head;
mod left;
mod paced;
pub(crate) mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::{HeaderMap, Response, StatusCode};
use tracing::debug;

use crate::body::ReplyBody;
use crate::client::{self, Client};
use crate::connection::Guard;
use crate::handler;
use crate::leftover;
use crate::off_path;
use crate::refusal::Refusal;
use crate::websocket;
use crate::worker::{Phase, Worker};
use answer::{Answer, Manner};
use body::ClientBody;
use head::{Head, Memory, Unreadable};
use wire::{Next, Stream, Wire};

/// Carries a connection to its end. Where it turns out to speak HTTP/2, it is given back with what was read of it.
pub(crate) fn serve<'a>(
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    guard: &mut Guard<'_>,
    stream: Stream,
) -> impl Future<Output = Option<(Stream, BytesMut)>> {
    Connection { worker, client, wire: Wire::new(stream) }.carry(guard)
}

/// A connection under way. The stream is closed when it ends, whoever still holds the wire.
struct Connection<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    wire: Rc<Wire>,
}

/// What becomes of a connection after an answer.
enum After {
    /// It takes the next request.
    Continues,
    /// It is closed once the client had time to read.
    Ends,
    /// It is of no use any more.
    Broken,
}

impl Connection<'_> {
    async fn carry(self, guard: &mut Guard<'_>) -> Option<(Stream, BytesMut)> {
        let mut memory = Memory::default();
        let mut may_be_http2 = !self.client.is_https;
        loop {
            let next = poll_fn(|cx| self.poll_next(cx, guard, &mut memory, may_be_http2)).await;
            may_be_http2 = false;
            if self.wire.left().is_there() && !self.sends_left(guard).await {
                return None;
            }
            let after = match next {
                Ok(Next::Request(head)) => {
                    let response = {
                        self.client.sends(head.fields);
                        let body = ClientBody::of(&self.wire);
                        let mut answering =
                            pin!(handler::handle(self.worker, self.client, &head.parts, body, head.doubt));
                        poll_fn(|cx| self.poll_call(cx, guard, answering.as_mut())).await?
                    };
                    let after = self.answer(guard, manner(&self, &head, &response), response).await;
                    memory.recycle(head);
                    after
                }
                Ok(Next::Http2) => return self.wire.take(),
                Ok(Next::End) => return None,
                Err(unreadable) => {
                    self.client.call_begins();
                    let response = refuse(unreadable);
                    let after = self.answer(guard, Manner::UNREADABLE, response).await;
                    self.client.call_ends(self.now_ms());
                    after
                }
            };
            match after {
                After::Continues => self.wire.rest(),
                After::Ends => {
                    self.end(guard).await;
                    return None;
                }
                After::Broken => return None,
            }
        }
    }

    fn poll_next(
        &self,
        cx: &mut Context<'_>,
        guard: &mut Guard<'_>,
        memory: &mut Memory,
        may_be_http2: bool,
    ) -> Poll<Result<Next, Unreadable>> {
        if self.worker.phase() != Phase::Serving && self.wire.is_between_requests() {
            return Poll::Ready(Ok(Next::End));
        }
        let next = self.wire.poll_next(cx, memory, &self.worker.settings.client, may_be_http2);
        if next.is_ready() {
            return next;
        }
        if !self.wire.is_between_requests() {
            self.client.head_begins(self.now_ms());
        }
        if self.wire.left().is_own() && matches!(self.poll_left(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Ok(Next::End));
        }
        guard.poll(cx).map(|()| Ok(Next::End))
    }

    /// Sends what is left of the last answer: nothing else goes on before. Says whether that could be.
    async fn sends_left(&self, guard: &mut Guard<'_>) -> bool {
        poll_fn(|cx| match self.poll_left(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
            Poll::Pending => guard.poll(cx).map(|()| false),
        })
        .await
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_left(cx, |written| self.client.was_written(client::taken(written), self.now_ms()))
    }

    /// Has a request answered; ready with `None` where the client is gone, or out of time.
    fn poll_call(
        &self,
        cx: &mut Context<'_>,
        guard: &mut Guard<'_>,
        answering: Pin<&mut impl Future<Output = Response<ReplyBody>>>,
    ) -> Poll<Option<Response<ReplyBody>>> {
        match answering.poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending if self.poll_gone(cx).is_ready() || guard.poll(cx).is_ready() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends an answer, and reads what is left of the request's body beside it.
    async fn answer(&self, guard: &mut Guard<'_>, manner: Manner, response: Response<ReplyBody>) -> After {
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let mut write = self.wire.left().take_room();
        write.extend_from_slice(self.wire.take_begun_interim());
        let mut answer = Answer::begin(write, manner, response, self.worker);
        let mut leftover = Leftover::new(answer.keeps_alive());
        // Who is waited for, or is to be, is looked after while it is answered.
        let may_be_left = answer.keeps_alive() && !switches && self.wire.is_body_read() && self.client.takes_all();
        let may_be_left = may_be_left && self.worker.outbox.is_of_use(self.worker);
        if may_be_left && poll_fn(|cx| Poll::Ready(self.leaves(cx, &mut answer))).await {
            return After::Continues;
        }
        let sent = poll_fn(|cx| {
            let sent = answer.poll(cx, &self.wire, self.client, self.now_ms());
            if sent.is_pending() {
                // What is found here is looked at again once the answer is sent.
                let _ = leftover.poll(cx, self);
                if self.poll_gone(cx).is_ready() || guard.poll(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
            sent
        });
        if let Err(error) = sent.await {
            debug!(%error, "answer not sent to its end");
            return After::Broken;
        }
        let keeps_alive = answer.keeps_alive();
        self.wire.left().keep_room(answer.into_room());
        if switches {
            self.upgrade(guard).await;
            return After::Broken;
        }
        if !keeps_alive {
            return After::Ends;
        }
        if self.wire.is_body_read() || self.reads_leftover(guard, leftover).await {
            After::Continues
        } else {
            After::Ends
        }
    }

    /// Reads what is left of a request's body; says whether all of it is read.
    async fn reads_leftover(&self, guard: &mut Guard<'_>, mut leftover: Leftover) -> bool {
        let mut alarm = self.worker.alarms.alarm();
        alarm.set(leftover::TIME_MAX);
        poll_fn(|cx| match leftover.poll(cx, self) {
            Poll::Pending if alarm.is_due(cx) || guard.poll(cx).is_ready() => Poll::Ready(false),
            polled => polled,
        })
        .await
    }

    /// Leaves an answer to the outbox where all of it is at hand; says whether it is.
    fn leaves(&self, cx: &mut Context<'_>, answer: &mut Answer) -> bool {
        let is_at_hand = answer.is_at_hand(cx);
        if is_at_hand {
            self.wire.left().leave(answer.take_bytes());
            self.worker.outbox.take_answer(&self.wire, self.client, cx);
        }
        is_at_hand
    }

    /// Closes the connection: at once where nothing of the client's is unread, else when it had time to read.
    async fn end(&self, guard: &mut Guard<'_>) {
        let mut bytes_max = leftover::BYTES_MAX;
        let mut alarm = self.worker.alarms.alarm();
        alarm.set(leftover::TIME_MAX);
        if self.wire.is_body_read() && self.wire.is_body_clear() && self.wire.is_between_requests() {
            bytes_max = 0;
        }
        self.wire.break_body();
        poll_fn(|cx| match self.wire.poll_linger(cx, &mut bytes_max) {
            Poll::Pending if bytes_max == 0 || alarm.is_due(cx) || guard.poll(cx).is_ready() => Poll::Ready(()),
            polled => polled,
        })
        .await;
    }

    /// Carries what the connection becomes.
    async fn upgrade(&self, guard: &mut Guard<'_>) {
        if let (Some(upgrade), Some((stream, read))) = (self.client.take_upgrade(), self.wire.take()) {
            let ends = |cx: &Context<'_>| guard.poll(cx);
            off_path::boxed(move || websocket::carry(self.worker, self.client, stream, read, upgrade, ends)).await;
        }
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_gone(cx, self.worker.settings.client.head_bytes_max)
    }

    fn now_ms(&self) -> u64 {
        self.worker.alarms.now_ms()
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        drop(self.wire.take());
    }
}

/// Says how the answer to a request is written.
fn manner(connection: &Connection<'_>, head: &Head, response: &Response<ReplyBody>) -> Manner {
    let wire = &connection.wire;
    // Where a request ends is not known of one that is not understood, nor of one that waits and was not told to send; and
    // what comes too slowly is not waited for any longer (RFC 9110 §15.5.9).
    let is_given_up = matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT);
    let is_clear = wire.is_body_read() || (wire.is_body_clear() && !is_given_up);
    let keeps_alive = head.keeps_alive && is_clear && connection.worker.phase() == Phase::Serving;
    Manner::of(&head.parts.method, head.parts.version, head.takes_trailers, keeps_alive)
}

/// What is left of a request's body when its answer begins.
struct Leftover {
    bytes_max: usize,
    /// Whether it is of use to read it.
    is_read: bool,
}

impl Leftover {
    fn new(is_read: bool) -> Self {
        Self { bytes_max: leftover::BYTES_MAX, is_read }
    }

    /// Reads and forgets it; ready with whether all of it was read.
    fn poll(&mut self, cx: &mut Context<'_>, connection: &Connection<'_>) -> Poll<bool> {
        if !self.is_read {
            return Poll::Ready(false);
        }
        let is_alone = Rc::strong_count(&connection.wire) == 1;
        let polled = connection.wire.poll_throw_away(cx, is_alone, &mut self.bytes_max);
        if polled == Poll::Ready(false) {
            self.is_read = false;
        }
        polled
    }
}

/// Makes the answer to what cannot be read as a request.
fn refuse(unreadable: Unreadable) -> Response<ReplyBody> {
    let refusal = match unreadable {
        Unreadable::Malformed(what) => Refusal::bad_request(what),
        Unreadable::OtherVersion => Refusal::other_version(),
        Unreadable::TargetTooLong => Refusal::target_too_long(),
        Unreadable::TooLarge => Refusal::head_too_large(),
    };
    refusal.into_response(&HeaderMap::new())
}
