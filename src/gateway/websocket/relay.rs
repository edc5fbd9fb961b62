//! Passes the frames of one WebSocket between client and backend, in one task and with bounded buffers, asking the
//! session about each frame.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tracing::debug;

use super::frame::{self, Head, Kind, Opcode};
use super::lane::{Lane, Next};
use super::reading::{MESSAGE_BYTES_MAX, Protocol, Reading, Verdict};
use super::session::{Decision, Farewell, PendingDecision, Session, Side};
use crate::alarm::{Alarm, millis};

/// Bytes read at once.
const READ_BYTES: usize = 8 << 10;
/// Bytes that are kept of a frame that is read whole: the largest head beside it.
const WHOLE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 14;
/// Turns of the loop before other connections have theirs.
const TURNS_MAX: usize = 64;
/// How long both sides may take to end once one of them has.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// How often the session is looked at where no frame comes.
const LOOK_MS: u64 = 1_000;
/// What a client is told instead of an answer to a frame that its quota does not allow (the original's words).
const THROTTLED: &[u8] = b"Websocket frame throttled out";
/// The payload of the gateway's own pings, by which their answers are known.
const PING: &[u8] = b"portcullis";

/// A WebSocket under way.
pub(super) struct Relay<C, B> {
    client: End<C>,
    backend: End<B>,
    /// From the client to the backend.
    up: Lane,
    /// From the backend to the client.
    down: Lane,
    session: Rc<Session>,
    /// A frame of each side that waits for its decision.
    pending: [Option<(Head, PendingDecision)>; 2],
    /// The messages of the client, where they are read.
    reading: Option<(Protocol, Box<Reading>)>,
    owes_notice: bool,
    is_leaving: bool,
    alarm: Alarm,
    heard_at_ms: u64,
    pinged_at_ms: u64,
    looked_at_ms: u64,
    backend_took_at_ms: u64,
    closes_at_ms: Option<u64>,
}

/// One end's byte stream, and what was not flushed to it yet.
struct End<T> {
    stream: T,
    owes_flush: bool,
    is_shut: bool,
}

impl<T> End<T> {
    fn new(stream: T) -> Self {
        Self { stream, owes_flush: false, is_shut: false }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin, B: AsyncRead + AsyncWrite + Unpin> Relay<C, B> {
    /// Makes the relay of two ends; what was read of each already comes first.
    pub(super) fn new(client: (C, BytesMut), backend: (B, BytesMut), session: Rc<Session>) -> Self {
        let now_ms = session.now_ms();
        Self {
            client: End::new(client.0),
            backend: End::new(backend.0),
            up: Lane::new(true, client.1),
            down: Lane::new(false, backend.1),
            alarm: session.alarm(),
            reading: session.protocol().map(|protocol| (protocol, Box::default())),
            session,
            pending: [None, None],
            owes_notice: false,
            is_leaving: false,
            heard_at_ms: now_ms,
            pinged_at_ms: now_ms,
            looked_at_ms: now_ms,
            backend_took_at_ms: now_ms,
            closes_at_ms: None,
        }
    }

    /// Passes on what can be passed on; ready when the connection is to be closed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_turns(cx) {
            Ok(true) => Poll::Ready(()),
            Ok(false) => Poll::Pending,
            Err(error) => {
                debug!(%error, "websocket lost");
                Poll::Ready(())
            }
        }
    }

    /// Says whether the connection has ended.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.look(cx);
        for _ in 0..TURNS_MAX {
            let mut has_moved = self.poll_pending(cx, Side::Client) | self.poll_verdict(cx);
            has_moved |= self.poll_pending(cx, Side::Backend);
            has_moved |= self.poll_read(cx)?;
            has_moved |= self.process(Side::Client);
            has_moved |= self.process(Side::Backend);
            self.put_in_notice();
            has_moved |= self.poll_write(cx)?;
            if self.poll_end(cx) {
                return Ok(true);
            }
            if !has_moved {
                return Ok(self.is_late(cx));
            }
        }
        cx.waker().wake_by_ref();
        Ok(false)
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let Some((head, mut decision)) = self.pending[side as usize].take() else { return false };
        match decision.as_mut().poll(cx) {
            Poll::Ready(decided) => {
                self.act(side, head, decided);
                true
            }
            Poll::Pending => {
                self.pending[side as usize] = Some((head, decision));
                false
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let is_client_waited_for = self.up.has_room() && !self.is_pending(Side::Client);
        let is_backend_waited_for = self.down.has_room() && !self.is_pending(Side::Backend);
        let mut has_moved = false;
        let read_max = if self.reading.is_some() { WHOLE_BYTES_MAX } else { READ_BYTES };
        if is_client_waited_for && read_into(&mut self.client.stream, &mut self.up, read_max, cx)? {
            self.heard_at_ms = self.session.now_ms();
            has_moved = true;
        }
        if is_backend_waited_for {
            has_moved |= read_into(&mut self.backend.stream, &mut self.down, READ_BYTES, cx)?;
        }
        if self.is_leaving {
            // Read so that the other end is not reset before it has read why; but for nobody.
            self.up.read.clear();
            self.down.read.clear();
        }
        Ok(has_moved)
    }

    fn is_pending(&self, side: Side) -> bool {
        let is_judged = side == Side::Client && self.reading.as_ref().is_some_and(|(_, reading)| reading.is_busy());
        self.pending[side as usize].is_some() || is_judged
    }

    /// Looks at what was read of one side. Says whether anything went on its way.
    fn process(&mut self, side: Side) -> bool {
        let mut has_moved = false;
        while !self.is_leaving && !self.is_pending(side) {
            let lane = if side == Side::Client { &mut self.up } else { &mut self.down };
            match lane.next() {
                Ok(Next::Nothing) => break,
                Ok(Next::Moved) => {}
                Ok(Next::Frame(head)) if side == Side::Client && self.reading.is_some() && head.kind.is_data() => {
                    if !self.gather(head) {
                        break;
                    }
                }
                Ok(Next::Frame(head)) => self.meet(side, head),
                Err(fault) => {
                    debug!(%fault, "websocket frame refused");
                    self.leave(Farewell::PROTOCOL);
                }
            }
            has_moved = true;
        }
        has_moved
    }

    /// Takes a frame of a message that is read; says whether all of it was here.
    fn gather(&mut self, head: Head) -> bool {
        let Some((protocol, reading)) = &mut self.reading else { return false };
        if reading.is_too_much(&head) {
            self.leave(Farewell::TOO_LARGE);
            return true;
        }
        let whole = head.length + usize::try_from(head.payload).unwrap_or(usize::MAX);
        if self.up.read.len() < whole {
            return false;
        }
        let message = reading.gather(&head, &self.up.payload(&head));
        reading.pending = message.map(|message| self.session.judge(*protocol, message));
        self.up.drop_frame(&head);
        true
    }

    /// Looks what becomes of a message that was read.
    fn poll_verdict(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((_, reading)) = &mut self.reading else { return false };
        let Some(pending) = &mut reading.pending else { return false };
        let Poll::Ready(verdict) = pending.as_mut().poll(cx) else { return false };
        reading.pending = None;
        match verdict {
            Verdict::Pass(message) => {
                let mask = self.session.mask();
                frame::write_message(&message, Some(mask), &mut self.up.out);
                self.session.passed(Side::Client, &Head::of_message(message.len(), Some(mask)));
            }
            Verdict::Tell(message) => reading.told = Some(message),
            Verdict::Leave(farewell) => self.leave(farewell),
        }
        true
    }

    /// Decides about a frame, or has the session decide.
    fn meet(&mut self, side: Side, head: Head) {
        let lane = if side == Side::Client { &mut self.up } else { &mut self.down };
        match head.kind {
            Kind::Continuation if lane.follows_dropped(&head) => lane.drop_frame(&head),
            Kind::Pong if side == Side::Client && lane.payload(&head) == PING => lane.drop_frame(&head),
            Kind::Close | Kind::Ping | Kind::Pong => lane.pass(&head),
            Kind::Data | Kind::Continuation => {
                let decision = self.session.decide(side, head.payload);
                self.act(side, head, decision);
            }
        }
    }

    fn act(&mut self, side: Side, head: Head, decision: Decision) {
        let lane = if side == Side::Client { &mut self.up } else { &mut self.down };
        match decision {
            Decision::Pass => {
                lane.pass(&head);
                self.session.passed(side, &head);
            }
            // Its client could not tell which answer is missing.
            Decision::Drop if self.reading.is_some() => self.leave(Farewell::THROTTLED),
            Decision::Drop => {
                lane.drop_frame(&head);
                self.owes_notice = true;
            }
            Decision::Leave(farewell) => self.leave(farewell),
            Decision::Wait(pending) => self.pending[side as usize] = Some((head, pending)),
        }
    }

    /// Tells the client that a frame was dropped, as soon as no message of the backend's is under way. Of several that
    /// are dropped before that, it is told once: so a client that sends and does not read makes nothing grow.
    fn put_in_notice(&mut self) {
        if self.owes_notice && !self.is_leaving && self.down.is_between_messages() && self.down.has_room() {
            frame::write(Opcode::Text, THROTTLED, None, &mut self.down.out);
            self.owes_notice = false;
        }
        if let Some((_, reading)) = &mut self.reading
            && !self.is_leaving
            && self.down.is_between_messages()
            && self.down.has_room()
            && let Some(told) = reading.told.take()
        {
            frame::write_message(&told, None, &mut self.down.out);
        }
    }

    /// Ends the connection: tells both sides, as far as they can still be told.
    fn leave(&mut self, farewell: Farewell) {
        if self.is_leaving {
            return;
        }
        self.is_leaving = true;
        self.pending = [None, None];
        self.reading = None;
        self.session.note_left(farewell);
        if self.down.is_between_frames() && !self.down.has_closed {
            frame::write_close(farewell.code, farewell.reason, None, &mut self.down.out);
        }
        if self.up.is_between_frames() && !self.up.has_closed && !self.down.has_ended {
            let mask = self.session.mask();
            frame::write_close(Farewell::GOING_AWAY.code, farewell.reason, Some(mask), &mut self.up.out);
        }
        self.begin_to_close();
    }

    fn begin_to_close(&mut self) {
        let closing_ms = millis(CLOSING_TIME);
        self.closes_at_ms.get_or_insert(self.session.now_ms().saturating_add(closing_ms));
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let to_backend = write_from(&mut self.up, &mut self.backend, cx);
        let has_moved = match to_backend {
            Ok(has_moved) => has_moved,
            // The client may still be told.
            Err(_) if !self.client.is_shut => {
                self.up.out.clear();
                self.backend.is_shut = true;
                self.down.has_ended = true;
                true
            }
            Err(error) => return Err(error),
        };
        if has_moved || self.up.out.is_empty() {
            self.backend_took_at_ms = self.session.now_ms();
        }
        Ok(has_moved | write_from(&mut self.down, &mut self.client, cx)?)
    }

    /// Sees to the end of the connection; says whether it is there.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> bool {
        if self.up.has_closed || self.down.has_closed || self.up.has_ended || self.down.has_ended {
            self.begin_to_close();
        }
        let is_flushed =
            self.up.out.is_empty() && self.down.out.is_empty() && !self.client.owes_flush && !self.backend.owes_flush;
        if !self.is_leaving && self.down.has_ended && !self.down.has_closed && !self.up.has_ended {
            self.leave(Farewell::BACKEND_GONE);
            cx.waker().wake_by_ref();
            return false;
        }
        if !self.is_leaving && self.up.has_ended && !self.up.has_closed {
            self.leave(Farewell::GOING_AWAY);
            cx.waker().wake_by_ref();
            return false;
        }
        let is_over = self.is_leaving || (self.up.has_closed && self.down.has_closed);
        if !is_flushed || !is_over {
            return false;
        }
        // Both are told: what is still to come is the ends of the connections, which nobody has to wait for.
        let is_client_shut = self.client.is_shut || Pin::new(&mut self.client.stream).poll_shutdown(cx).is_ready();
        let is_backend_shut = self.backend.is_shut || Pin::new(&mut self.backend.stream).poll_shutdown(cx).is_ready();
        self.client.is_shut = is_client_shut;
        self.backend.is_shut = is_backend_shut;
        is_client_shut && is_backend_shut && (self.up.has_ended || self.up.has_closed)
    }

    /// Looks, now and then, whether the session still holds, and whether the client is there.
    fn look(&mut self, cx: &mut Context<'_>) {
        let now_ms = self.session.now_ms();
        if self.is_leaving {
            return;
        }
        if let Some(farewell) = self.session.must_leave_now() {
            self.leave(farewell);
            return;
        }
        if now_ms.saturating_sub(self.looked_at_ms) >= LOOK_MS {
            self.looked_at_ms = now_ms;
            self.session.look_again(cx);
        }
        let idle_ms = self.session.idle_ms();
        let silent_ms = now_ms.saturating_sub(self.heard_at_ms);
        if silent_ms >= idle_ms {
            self.leave(Farewell::IDLE);
        } else if silent_ms >= idle_ms / 2
            && self.pinged_at_ms <= self.heard_at_ms
            && self.down.is_between_frames()
            && !self.down.has_closed
        {
            // Later than what was last heard, also where both are in one tick.
            self.pinged_at_ms = now_ms.max(self.heard_at_ms + 1);
            frame::write(Opcode::Ping, PING, None, &mut self.down.out);
        }
        if now_ms.saturating_sub(self.backend_took_at_ms) >= self.session.stall_ms() {
            self.leave(Farewell::BACKEND_GONE);
        }
    }

    /// Says whether the time to end is over; has the task woken to look again.
    fn is_late(&mut self, cx: &Context<'_>) -> bool {
        let now_ms = self.session.now_ms();
        if self.closes_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return true;
        }
        let until_look_ms = LOOK_MS.min(self.session.idle_ms() / 4);
        self.alarm.set_at(Some(now_ms.saturating_add(until_look_ms)));
        if self.alarm.is_due(cx) {
            cx.waker().wake_by_ref();
        }
        false
    }
}

/// Reads once. Says whether anything came, the end included.
fn read_into<T: AsyncRead + Unpin>(
    stream: &mut T,
    lane: &mut Lane,
    bytes_max: usize,
    cx: &mut Context<'_>,
) -> io::Result<bool> {
    if lane.has_ended || lane.read.len() >= bytes_max {
        return Ok(false);
    }
    lane.read.reserve(READ_BYTES);
    match pin!(stream.read_buf(&mut lane.read)).poll(cx) {
        Poll::Ready(Ok(count)) => {
            lane.has_ended = count == 0;
            Ok(true)
        }
        Poll::Ready(Err(_)) => {
            // A reset is an end too.
            lane.has_ended = true;
            Ok(true)
        }
        Poll::Pending => Ok(false),
    }
}

/// Writes what waits. Says whether anything was written.
fn write_from<T: AsyncWrite + Unpin>(lane: &mut Lane, end: &mut End<T>, cx: &mut Context<'_>) -> io::Result<bool> {
    if end.is_shut {
        lane.out.clear();
        return Ok(false);
    }
    let mut has_moved = false;
    while !lane.out.is_empty() {
        match Pin::new(&mut end.stream).poll_write(cx, &lane.out) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => {
                lane.out.advance(count);
                end.owes_flush = true;
                has_moved = true;
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(has_moved),
        }
    }
    if end.owes_flush {
        let flushed: Poll<io::Result<()>> = Pin::new(&mut end.stream).poll_flush(cx);
        if let Poll::Ready(flushed) = flushed {
            flushed?;
            end.owes_flush = false;
        }
    }
    Ok(has_moved)
}

/// Runs a relay to its end.
pub(super) async fn run<C, B>(mut relay: Relay<C, B>, mut guard: impl FnMut(&Context<'_>) -> Poll<()>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    std::future::poll_fn(|cx| {
        if relay.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(guard(cx));
        Poll::Ready(())
    })
    .await;
}
