//! One client's connection that speaks HTTP/1.1: its bytes, and how far the body of the request under way has come. Who
//! carries the connection and who reads the body share it, in one thread and as a rule in one task.

use std::cell::{RefCell, RefMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::head::{self, Head, Memory, Unreadable};
use super::left::LeftAnswer;
use crate::http1::framing::{Framing, Piece};
use crate::http1::{self, COPIED_BYTES_MAX};
use crate::settings::ClientLimits;

/// Bytes read at once at first: the heads of most requests fit.
const READ_BYTES: usize = 4 << 10;
/// What a client that waits is told before its body is read (RFC 9110 §15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How a client begins that speaks HTTP/2 and knows that it may (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes of a client's connection.
pub(crate) type Stream = http1::stream::Stream<TlsStream<TcpStream>>;

/// The body of a request broke off, or is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is incomplete or not valid")]
pub(crate) struct BodyBroken;

/// What comes next on a connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// A request.
    Request(Box<Head>),
    /// HTTP/2.
    Http2,
    /// Nothing: the client is gone.
    End,
}

/// A client's connection.
pub(crate) struct Wire(RefCell<Bytestream>);

struct Bytestream {
    /// `None` once the connection is closed, or is carried as something else.
    stream: Option<Stream>,
    /// What was read and not yet used.
    read: BytesMut,
    read_size: usize,
    /// How much of `read` has been looked at and is no whole head.
    looked_at: usize,
    /// What is left of the body.
    framing: Framing,
    /// What is left of what the client is told before its body is read.
    interim: &'static [u8],
    owes_flush: bool,
    has_failed: bool,
    /// An answer that was left to be sent.
    left: LeftAnswer,
    /// Who reads the body and waits, where that is another task: it learns that the connection is gone.
    reader: Option<Waker>,
    /// Who is woken when the body has been read by another task.
    carrier: Option<Waker>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Bytestream {
            stream: Some(stream),
            read: BytesMut::new(),
            read_size: READ_BYTES,
            looked_at: 0,
            framing: Framing::Ended,
            interim: b"",
            owes_flush: false,
            has_failed: false,
            left: LeftAnswer::default(),
            reader: None,
            carrier: None,
        })))
    }

    /// Reads the head of the next request. `may_be_http2` where the connection could turn out to be HTTP/2.
    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
        memory: &mut Memory,
        limits: &ClientLimits,
        may_be_http2: bool,
    ) -> Poll<Result<Next, Unreadable>> {
        let bytes = &mut *self.0.borrow_mut();
        loop {
            if bytes.has_new_line() && !(may_be_http2 && bytes.may_become_http2()) {
                if let Some(head) = head::parse(&mut bytes.read, memory, limits.headers_max)? {
                    bytes.looked_at = 0;
                    bytes.framing = head.framing;
                    bytes.interim = if head.waits { CONTINUE } else { b"" };
                    return Poll::Ready(Ok(Next::Request(head)));
                }
                bytes.looked_at = bytes.read.len();
            }
            if may_be_http2 && bytes.read.starts_with(HTTP2_PREFACE) {
                return Poll::Ready(Ok(Next::Http2));
            }
            if bytes.read.len() > limits.head_bytes_max {
                let has_line = bytes.read.trim_ascii_start().contains(&b'\n');
                return Poll::Ready(Err(if has_line { Unreadable::TooLarge } else { Unreadable::TargetTooLong }));
            }
            match ready!(bytes.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Ok(Next::End)),
                Ok(_) => {}
            }
        }
    }

    /// Says whether nothing of a next request is here.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.0.borrow().read.is_empty()
    }

    /// Says whether all of the body has been read.
    pub(crate) fn is_body_read(&self) -> bool {
        self.0.borrow().is_body_read()
    }

    /// Says whether it can be known where the body ends: it is well-formed so far, and the client has been told to send
    /// it where it waits for that.
    pub(crate) fn is_body_clear(&self) -> bool {
        let bytes = self.0.borrow();
        !bytes.has_failed && bytes.interim.is_empty()
    }

    /// Says whether all of the body is here, and it is not too large to be copied.
    pub(crate) fn is_body_whole(&self) -> bool {
        self.0.borrow().whole_length().is_some()
    }

    /// Takes the body where all of it is here; nothing of it otherwise.
    pub(crate) fn take_whole_body(&self) -> Bytes {
        let bytes = &mut *self.0.borrow_mut();
        let Some(length) = bytes.whole_length() else { return Bytes::new() };
        // A client that sends before it is told to need not be told any more.
        if bytes.interim.len() == CONTINUE.len() {
            bytes.interim = b"";
        }
        bytes.framing = Framing::Ended;
        bytes.read.split_to(length).freeze()
    }

    /// Reads the next frame of the body.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        self.0.borrow_mut().poll_frame(cx)
    }

    /// Returns what is known of the length of what is left of the body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.0.borrow().framing.size_hint()
    }

    /// Watches a connection while a call is under way: ready when the client is gone. While a body is read, its reader
    /// finds that out. What the client sends meanwhile is kept for the next request, up to `bytes_max`.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<()> {
        let bytes = &mut *self.0.borrow_mut();
        if !bytes.is_body_read() {
            bytes.watch_for_end(cx);
            return Poll::Pending;
        }
        while bytes.read.len() <= bytes_max {
            // The room that is left will do: the call still holds its head, which is in the same memory.
            match ready!(bytes.poll_read_into(1, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Throws away what is left of the body, up to `bytes_max`; ready with whether it has ended. `is_alone` where nobody
    /// else reads it any more; while somebody does, it is waited for.
    pub(crate) fn poll_throw_away(&self, cx: &mut Context<'_>, is_alone: bool, bytes_max: &mut usize) -> Poll<bool> {
        let bytes = &mut *self.0.borrow_mut();
        while !bytes.is_body_read() {
            if !is_alone {
                bytes.watch_for_end(cx);
                return Poll::Pending;
            }
            match ready!(bytes.poll_frame(cx)) {
                Some(Ok(frame)) => match bytes_max.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(left) => *bytes_max = left,
                    None => return Poll::Ready(false),
                },
                Some(Err(_)) => return Poll::Ready(false),
                None => {}
            }
        }
        Poll::Ready(true)
    }

    /// Says that nothing more is sent, then reads until the client is gone, up to `bytes_max`: closing a connection with
    /// unread bytes would have the system throw away what the client has not read yet.
    pub(crate) fn poll_linger(&self, cx: &mut Context<'_>, bytes_max: &mut usize) -> Poll<()> {
        let bytes = &mut *self.0.borrow_mut();
        let Some(stream) = &mut bytes.stream else { return Poll::Ready(()) };
        if ready!(Pin::new(stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            bytes.read.clear();
            match ready!(bytes.poll_read(cx)) {
                Ok(count @ 1..) if count <= *bytes_max => *bytes_max -= count,
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Writes some of `first` and, after it, of `second`.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.0.borrow_mut().stream else { return Poll::Ready(Err(closed())) };
        let stream = Pin::new(stream);
        match (first.is_empty(), second.is_empty()) {
            (_, true) => stream.poll_write(cx, first),
            (true, false) => stream.poll_write(cx, second),
            (false, false) => stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]),
        }
    }

    /// Returns the answer that was left to be sent.
    pub(crate) fn left(&self) -> RefMut<'_, LeftAnswer> {
        RefMut::map(self.0.borrow_mut(), |bytes| &mut bytes.left)
    }

    /// Sends what was left, now; says whether that is done with.
    pub(crate) fn send_left(&self) -> bool {
        if !self.left().waits() {
            return true;
        }
        matches!(self.poll_left(&mut Context::from_waker(Waker::noop()), |_| {}), Poll::Ready(Ok(())))
    }

    /// Sends what was left and not sent by others. `was_written` is told of each write.
    pub(crate) fn poll_left(
        &self,
        cx: &mut Context<'_>,
        was_written: impl FnMut(&Poll<io::Result<usize>>),
    ) -> Poll<io::Result<()>> {
        let Bytestream { left, stream, .. } = &mut *self.0.borrow_mut();
        left.poll(stream.as_mut(), cx, was_written)
    }

    /// Sends what TLS holds back.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.0.borrow_mut().stream else { return Poll::Ready(Err(closed())) };
        Pin::new(stream).poll_flush(cx)
    }

    /// Has a client not told any more to send its body: it is answered now. Returns what is left to be said where some of
    /// it has been said.
    pub(crate) fn take_begun_interim(&self) -> &'static [u8] {
        let interim = std::mem::take(&mut self.0.borrow_mut().interim);
        if interim.len() < CONTINUE.len() { interim } else { b"" }
    }

    /// Has whoever still reads the body learn that it does not come any more.
    pub(crate) fn break_body(&self) {
        let mut bytes = self.0.borrow_mut();
        bytes.has_failed |= !bytes.is_body_read();
        let reader = bytes.reader.take();
        drop(bytes);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Makes the connection small for the time it waits for its next request.
    pub(crate) fn rest(&self) {
        let mut bytes = self.0.borrow_mut();
        (bytes.carrier, bytes.reader) = (None, None);
        if bytes.read.is_empty() && bytes.read_size > READ_BYTES {
            bytes.read = BytesMut::new();
            bytes.read_size = READ_BYTES;
        }
    }

    /// Takes the connection, for another protocol or to close it, with what was read of it and not used.
    pub(crate) fn take(&self) -> Option<(Stream, BytesMut)> {
        self.break_body();
        let mut bytes = self.0.borrow_mut();
        let read = std::mem::take(&mut bytes.read);
        bytes.stream.take().map(|stream| (stream, read))
    }

    /// Notes that a reader of the body is gone.
    fn is_left(&self) {
        let carrier = self.0.borrow_mut().carrier.take();
        if let Some(carrier) = carrier {
            carrier.wake();
        }
    }
}

impl Bytestream {
    /// Says whether a line has ended in what has not been looked at.
    fn has_new_line(&self) -> bool {
        let new = &self.read[self.looked_at..];
        // The usual request is all here, and ends with one.
        new.ends_with(b"\n") || new.contains(&b'\n')
    }

    /// Says whether what was read is the beginning of a connection that speaks HTTP/2, or may become it.
    fn may_become_http2(&self) -> bool {
        let count = self.read.len().min(HTTP2_PREFACE.len());
        self.read[..count] == HTTP2_PREFACE[..count]
    }

    fn is_body_read(&self) -> bool {
        self.framing.is_ended()
    }

    /// Returns the length of the body where all of it is here, and it is not too large to be copied.
    fn whole_length(&self) -> Option<usize> {
        let Framing::Length(length) = self.framing else { return None };
        let is_whole = |length: &usize| !self.has_failed && *length <= self.read.len().min(COPIED_BYTES_MAX);
        usize::try_from(length).ok().filter(is_whole)
    }

    /// Has the task woken when a body that another task reads has ended.
    fn watch_for_end(&mut self, cx: &Context<'_>) {
        if !self.carrier.as_ref().is_some_and(|carrier| carrier.will_wake(cx.waker())) {
            self.carrier = Some(cx.waker().clone());
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_read_into(self.read_size / 2, cx)
    }

    /// Reads more; where there is room for fewer than `least` bytes, room is made first.
    fn poll_read_into(&mut self, least: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
        stream.poll_fill(cx, &mut self.read, &mut self.read_size, least)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        if self.has_failed {
            return Poll::Ready(Some(Err(BodyBroken)));
        }
        let Poll::Ready(frame) = self.poll_piece(cx) else {
            if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                self.reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        self.has_failed = matches!(frame, Some(Err(_)));
        if (self.has_failed || self.is_body_read())
            && let Some(carrier) = self.carrier.take_if(|carrier| !carrier.will_wake(cx.waker()))
        {
            carrier.wake();
        }
        Poll::Ready(frame)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        loop {
            match self.framing.next(&mut self.read) {
                Ok(Piece::Data(data)) => {
                    // A client that sends before it is told to need not be told any more.
                    if self.interim.len() == CONTINUE.len() {
                        self.interim = b"";
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Piece::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::NeedsMore) => {}
                Err(_) => return Poll::Ready(Some(Err(BodyBroken))),
            }
            if ready!(self.poll_invite(cx)).is_err() {
                return Poll::Ready(Some(Err(BodyBroken)));
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(BodyBroken))),
                Ok(_) => {}
            }
        }
    }

    /// Tells a client that waits to send its body.
    fn poll_invite(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
            let count = ready!(Pin::new(stream).poll_write(cx, self.interim))?;
            self.interim = &self.interim[count..];
            self.owes_flush = true;
        }
        if self.owes_flush {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.owes_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

pub(super) fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Who reads the body of a request.
pub(crate) struct Reader(Rc<Wire>);

impl Reader {
    pub(crate) fn new(wire: &Rc<Wire>) -> Self {
        Self(Rc::clone(wire))
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.is_left();
    }
}
