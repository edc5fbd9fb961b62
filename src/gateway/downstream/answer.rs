//! The sending half of a call: head and body of its answer, as the backend delivers and the client takes them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body::Body as _;

use super::date::Date;
use super::left::KEPT_BYTES;
use super::wire::Wire;
use crate::body::ReplyBody;
use crate::client::{self, Client};
use crate::http1::COPIED_BYTES_MAX;
use crate::http1::framing::{is_without_body, write_chunk_size};
use crate::upstream::lines::Lines;
use crate::upstream::request::Fields as _;
use crate::worker::Worker;

/// What of a request decides how its answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) is_head: bool,
    pub(crate) is_http_11: bool,
    pub(crate) takes_trailers: bool,
    pub(crate) keeps_alive: bool,
}

impl Manner {
    /// For a request that cannot be read.
    pub(crate) const UNREADABLE: Self =
        Self { is_head: false, is_http_11: true, takes_trailers: false, keeps_alive: false };

    pub(crate) fn of(verb: &Method, version: Version, takes_trailers: bool, keeps_alive: bool) -> Self {
        Self { is_head: *verb == Method::HEAD, is_http_11: version == Version::HTTP_11, takes_trailers, keeps_alive }
    }
}

/// How the end of an answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// There is no body.
    NoBody,
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What of an answer is still to be sent.
pub(crate) struct Answer {
    manner: Manner,
    ending: Ending,
    write: Vec<u8>,
    written: usize,
    /// A large piece that comes after what is in `write`.
    large: Bytes,
    /// `None` once all of it is at hand.
    body: Option<ReplyBody>,
    /// Why the body broke off. What came before is sent all the same: a client that gets nothing at all takes it that its
    /// request was not looked at.
    broken: Option<io::Error>,
    /// Whether the client may have something of it.
    has_begun: bool,
    owes_flush: bool,
}

impl Answer {
    /// Begins an answer. `write` is room that was used before.
    pub(crate) fn begin(mut write: Vec<u8>, manner: Manner, response: Response<ReplyBody>, worker: &Worker) -> Self {
        let (head, mut body) = response.into_parts();
        let ending = ending(manner, head.status, &body);
        let lines = body.take_lines();
        write_head(&mut write, manner, ending, &head, lines.as_ref(), &worker.date);
        if let Some(lines) = lines {
            worker.lines_room.keep(lines.added);
        }
        // Dropped unread where there is no body to send.
        let body = (ending != Ending::NoBody && !body.is_end_stream()).then_some(body);
        let (large, broken, has_begun) = (Bytes::new(), None, false);
        let mut answer = Self { manner, ending, write, written: 0, large, body, broken, has_begun, owes_flush: true };
        if answer.body.is_none() && ending == Ending::Chunked {
            answer.write.extend_from_slice(b"0\r\n\r\n");
        }
        answer
    }

    /// Says whether the connection can be used again once the answer is sent.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.manner.keeps_alive && self.ending != Ending::Close
    }

    /// Says whether all of it is at hand and nothing of it was sent yet, so that it may be left to others.
    pub(crate) fn is_at_hand(&mut self, cx: &mut Context<'_>) -> bool {
        if let Err(error) = self.fill(cx) {
            self.broken = Some(error);
        }
        self.body.is_none() && self.broken.is_none() && self.large.is_empty()
    }

    /// Takes what is to be sent of one that is at hand.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.write)
    }

    /// Sends what can be sent now; ready when all is sent.
    ///
    /// # Errors
    /// Where the client takes no more, or the body breaks off.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wire: &Wire,
        client: &Client,
        now_ms: u64,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.broken.is_none()
                && let Err(error) = self.fill(cx)
            {
                // Where the end of the connection is that of the answer, what came of it would pass for all of it.
                if self.ending == Ending::Close && !self.has_begun {
                    return Poll::Ready(Err(error));
                }
                self.broken = Some(error);
            }
            if self.written < self.write.len() || !self.large.is_empty() {
                let polled = wire.poll_write(cx, &self.write[self.written..], &self.large);
                client.was_written(client::taken(&polled), now_ms);
                self.was_written(ready!(polled)?)?;
                continue;
            }
            if self.owes_flush {
                let flushed = wire.poll_flush(cx);
                client.was_written(flushed.is_ready().then_some(0), now_ms);
                ready!(flushed)?;
                self.owes_flush = false;
            }
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Err(error));
            }
            return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
    }

    /// Returns the room for what is written, for the next answer.
    pub(crate) fn into_room(mut self) -> Vec<u8> {
        self.write.clear();
        self.write.shrink_to(KEPT_BYTES);
        self.write
    }

    fn was_written(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_write = count.min(self.write.len() - self.written);
        self.written += of_write;
        self.has_begun = true;
        self.large.advance(count - of_write);
        self.owes_flush = true;
        if self.written == self.write.len() {
            self.write.clear();
            self.written = 0;
            if self.large.is_empty() && count > of_write && self.ending == Ending::Chunked {
                self.write.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    /// Takes of the body what is at hand, as long as there is room.
    fn fill(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.large.is_empty() && self.write.len() < COPIED_BYTES_MAX {
            let Some(body) = &mut self.body else { return Ok(()) };
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let is_last = body.is_end_stream();
                    match frame.into_data() {
                        Ok(piece) => self.queue(piece)?,
                        Err(frame) => return self.end(frame.into_trailers().ok().as_ref()),
                    }
                    if is_last {
                        return self.end(None);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(None) => return self.end(None),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Queues a piece of the body behind what is to be written.
    fn queue(&mut self, piece: Bytes) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        match &mut self.ending {
            Ending::Length(left) => {
                let less = left.checked_sub(piece.len() as u64);
                *left = less.ok_or_else(|| io::Error::other("a body is longer than was said"))?;
            }
            Ending::Chunked => write_chunk_size(&mut self.write, piece.len()),
            Ending::Close => {}
            Ending::NoBody => return Ok(()),
        }
        if piece.len() > COPIED_BYTES_MAX {
            self.large = piece;
            return Ok(());
        }
        self.write.extend_from_slice(&piece);
        if self.ending == Ending::Chunked {
            self.write.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Ends the body. What is counted with it is counted before the client has the last byte.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> io::Result<()> {
        self.body = None;
        match self.ending {
            Ending::Length(1..) => return Err(io::Error::other("a body is shorter than was said")),
            Ending::Chunked if self.large.is_empty() => self.write_end(trailers),
            // A large last piece goes out before its end is written.
            Ending::Chunked => {
                let piece = std::mem::take(&mut self.large);
                self.write.extend_from_slice(&piece);
                self.write.extend_from_slice(b"\r\n");
                self.write_end(trailers);
            }
            Ending::Length(0) | Ending::Close | Ending::NoBody => {}
        }
        Ok(())
    }

    fn write_end(&mut self, trailers: Option<&HeaderMap>) {
        self.write.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.filter(|_| self.manner.takes_trailers).into_iter().flatten() {
            // Those that frame the message have no place there (RFC 9110 §6.5.1).
            if !is_written_here(name) {
                self.write.field(name.as_str(), value.as_bytes());
            }
        }
        self.write.extend_from_slice(b"\r\n");
    }
}

/// RFC 9112 §6.3.
fn ending(manner: Manner, status: StatusCode, body: &ReplyBody) -> Ending {
    if is_without_body(manner.is_head, status) {
        return Ending::NoBody;
    }
    match body.size_hint().exact() {
        Some(length) => Ending::Length(length),
        None if manner.is_http_11 => Ending::Chunked,
        None => Ending::Close,
    }
}

fn write_head(
    out: &mut Vec<u8>,
    manner: Manner,
    ending: Ending,
    Parts { status, headers, .. }: &Parts,
    lines: Option<&Lines>,
    date: &Date,
) {
    let status = *status;
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let mut has_date = lines.is_some_and(|lines| lines.has_date);
    if let Some(lines) = lines {
        lines.write(out);
    }
    for (name, value) in headers {
        // An answer without a body may tell how long one would be (RFC 9110 §8.6).
        let tells_length = *name == CONTENT_LENGTH && ending == Ending::NoBody && status != StatusCode::NO_CONTENT;
        if is_written_here(name) && !tells_length && !(switches && *name == CONNECTION) {
            continue;
        }
        has_date |= *name == DATE;
        out.field(name.as_str(), value.as_bytes());
    }
    if !has_date {
        date.write(out);
    }
    match ending {
        Ending::Length(length) => {
            out.field("content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        Ending::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Ending::NoBody | Ending::Close => {}
    }
    match (manner.keeps_alive && ending != Ending::Close, manner.is_http_11) {
        // What becomes of the connection is said already.
        _ if switches => {}
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, true) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Says whether a field is written by what is known of the message, and not as it came.
fn is_written_here(name: &http::HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == CONNECTION
}
