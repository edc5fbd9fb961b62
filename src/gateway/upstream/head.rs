//! The head of a backend's answer, read without copying, and what it says about its length (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::UpstreamError;
use super::lines::{Changes, KeptLines, Lines, Sifted};
use crate::http1::fields::{FIELDS_MAX, Names, Places, content_length, lists};
use crate::http1::framing::{Chunk, Framing, is_without_body};
use crate::http1::hop::{is_of_this_hop, named_in, names_a_header};
use crate::http1::scan;
use crate::off_path;

/// Headers that the gateway adds to an answer, for which there is room at once.
const ADDED_HEADERS: usize = 4;

/// Bytes of a head that is kept for the next answer.
const HEAD_BYTES_KEPT: usize = 512;

/// What is kept of one answer for the next on the same connection.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The names of its headers.
    names: Names,
    /// Its lines, where they were passed on as they were.
    lines: KeptLines,
    /// All of it, where they were.
    head: Option<KeptHead>,
}

/// A head that was passed on as it was, and what was found in it. Between two ticks of its clock a backend says the same of the same
/// thing, as a rule, and what is the same need not be read again.
#[derive(Debug)]
struct KeptHead {
    text: Box<[u8]>,
    status: StatusCode,
    sifted: Sifted,
    changes: Changes,
}

impl Memory {
    /// Returns what was found in a head that `read` begins with, and its length, where that is the last one.
    fn known(&mut self, read: &[u8]) -> Option<(StatusCode, Sifted, usize)> {
        let head = self.head.as_mut().filter(|head| read.starts_with(&head.text))?;
        head.changes = Changes::default();
        Some((head.status, head.sifted, head.text.len()))
    }

    /// Keeps a head, where that is of use.
    fn keep(&mut self, text: &[u8], status: StatusCode, sifted: Sifted) {
        let is_kept = self.head.as_mut().is_none_or(|head| head.changes.is_another());
        if is_kept && text.len() <= HEAD_BYTES_KEPT {
            let changes = self.head.as_ref().map(|head| head.changes).unwrap_or_default();
            self.head = Some(KeptHead { text: text.into(), status, sifted, changes });
        }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The headers that are passed on as they are, where `headers` has none.
    pub(crate) lines: Option<Lines>,
    pub(crate) framing: Framing,
    /// Whether the connection can be used again.
    pub(crate) keeps_alive: bool,
}

/// Takes the head of an answer from what was read; `None` where it is not there yet. The headers of this hop are taken
/// out. `memory` is that of the answers before on the same connection. Where `takes_lines`, no map of them is
/// made if the answer is an ordinary one.
///
/// # Errors
/// Where the answer is not HTTP/1, or its length is not clear.
pub(crate) fn parse(
    read: &mut BytesMut,
    memory: &mut Memory,
    verb: &Method,
    takes_lines: bool,
) -> Result<Option<Incoming>, UpstreamError> {
    if takes_lines && let Some(head) = parse_ordinary(read, memory, verb)? {
        return Ok(Some(head));
    }
    off_path::call(|| parse_any(read, memory, verb))
}

/// The same of any answer, with a map of the headers.
fn parse_any(read: &mut BytesMut, memory: &mut Memory, verb: &Method) -> Result<Option<Incoming>, UpstreamError> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let malformed = |_| UpstreamError::Protocol("the head is malformed");
    let length = match parser.parse_response_with_uninit_headers(&mut response, read, &mut room).map_err(malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|_| UpstreamError::Protocol("the status is not valid"))?;
    let is_http_11 = response.version == Some(1);
    let places = Places::of(&read[..length], response.headers);
    // The values are parts of one shared buffer: none is copied.
    let head = read.split_to(length).freeze();
    let mut lengths = Lengths::default();
    let mut connection = None;
    let mut named: Vec<String> = Vec::new();
    let mut map = HeaderMap::with_capacity(places.count() + ADDED_HEADERS);
    for field in places.read(&head, &mut memory.names) {
        let (name, value) = field?;
        if name == CONNECTION {
            connection = Some(connection.unwrap_or(true) && !lists(&value, b"close"));
            if names_a_header(&value) {
                named.extend(named_in(&value));
            }
        }
        if is_of_this_hop(&name) {
            lengths.note_transfer_encoding(&name, &value);
        } else if name != CONTENT_LENGTH || lengths.note_content_length(&value)? {
            map.append(name, value);
        }
    }
    for name in named {
        map.remove(name.as_str());
    }
    let (framing, keeps_alive) = lengths.end(status, verb, is_http_11, connection)?;
    Ok(Some(Incoming { status, headers: map, lines: None, framing, keeps_alive }))
}

/// The same without a map of the headers, where the answer is an ordinary one with a body; `None` where it is not.
fn parse_ordinary(read: &mut BytesMut, memory: &mut Memory, verb: &Method) -> Result<Option<Incoming>, UpstreamError> {
    let Some((status, sifted, end)) = memory.known(read).or_else(|| sift(read, memory)) else { return Ok(None) };
    // An answer without a body may tell how long one would be.
    if is_without_body(*verb == Method::HEAD, status) {
        return Ok(None);
    }
    let (framing, keeps_alive) = sifted.lengths.end(status, verb, true, sifted.connection)?;
    let lines = Some(sifted.lines(read.split_to(end).freeze()));
    Ok(Some(Incoming { status, headers: HeaderMap::new(), lines, framing, keeps_alive }))
}

/// Looks through the head of an ordinary answer; returns also where it ends.
fn sift(read: &[u8], memory: &mut Memory) -> Option<(StatusCode, Sifted, usize)> {
    let (status, at) = status(read)?;
    let (sifted, end) = Sifted::of(read, at, &mut memory.lines)?;
    memory.keep(&read[..end], status, sifted);
    Some((status, sifted, end))
}

/// Reads the first line of an ordinary answer (RFC 9112 §4); returns also where the next begins.
fn status(head: &[u8]) -> Option<(StatusCode, usize)> {
    let rest = head.strip_prefix(b"HTTP/1.1 ")?;
    let (code, rest) = rest.split_at_checked(3)?;
    let status = StatusCode::from_bytes(code).ok()?;
    let reason = scan::text(rest)?;
    let is_line = rest[reason..].starts_with(b"\r\n") && (reason == 0 || rest[0] == b' ');
    is_line.then_some((status, head.len() - rest.len() + reason + 2))
}

/// What the headers say about the length of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    pub(super) content_length: Option<u64>,
    pub(super) has_transfer_encoding: bool,
    pub(super) is_chunked: bool,
}

impl Lengths {
    fn note_transfer_encoding(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == TRANSFER_ENCODING {
            // Chunked alone, once: what else there is would have to be decoded.
            self.is_chunked =
                !self.has_transfer_encoding && value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            self.has_transfer_encoding = true;
        }
    }

    /// Says whether it is the first such header.
    fn note_content_length(&mut self, value: &HeaderValue) -> Result<bool, UpstreamError> {
        let length = content_length(value)?;
        match self.content_length {
            Some(known) if known != length => Err(UpstreamError::Protocol("Content-Length is not valid")),
            Some(_) => Ok(false),
            None => {
                self.content_length = Some(length);
                Ok(true)
            }
        }
    }

    /// Returns where the body ends, and whether the connection can be used again after it. `connection` is what the answer
    /// says of that.
    fn end(
        &self,
        status: StatusCode,
        verb: &Method,
        is_http_11: bool,
        connection: Option<bool>,
    ) -> Result<(Framing, bool), UpstreamError> {
        let framing = self.framing(status, verb, is_http_11)?;
        Ok((framing, framing != Framing::UntilClose && connection.unwrap_or(is_http_11)))
    }

    /// RFC 9112 §6.3, and refuses what leaves doubt.
    fn framing(&self, status: StatusCode, verb: &Method, is_http_11: bool) -> Result<Framing, UpstreamError> {
        if self.has_transfer_encoding && !is_http_11 {
            return Err(UpstreamError::Protocol("HTTP/1.0 has no Transfer-Encoding"));
        }
        if is_without_body(*verb == Method::HEAD, status) {
            return Ok(Framing::Ended);
        }
        match (self.has_transfer_encoding, self.content_length) {
            (true, Some(_)) => Err(UpstreamError::Protocol("both Transfer-Encoding and Content-Length")),
            (true, None) if self.is_chunked => Ok(Framing::Chunked(Chunk::Size)),
            (true, None) => Err(UpstreamError::Protocol("a Transfer-Encoding other than chunked")),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::UntilClose),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::Method;

    use super::{Chunk, Framing, Memory, parse};

    fn head(text: &str) -> Result<Option<super::Incoming>, super::UpstreamError> {
        parse(&mut BytesMut::from(text), &mut Memory::default(), &Method::GET, false)
    }

    #[test]
    fn the_length_of_an_answer_is_clear_or_the_answer_is_refused() {
        let framing =
            |headers: &str| head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")).map(|head| head.unwrap().framing);
        assert_eq!(framing("content-length: 5").unwrap(), Framing::Length(5));
        assert_eq!(framing("content-length: 5\r\nContent-Length: 5").unwrap(), Framing::Length(5));
        assert_eq!(framing("Transfer-Encoding: Chunked").unwrap(), Framing::Chunked(Chunk::Size));
        assert_eq!(framing("server: x").unwrap(), Framing::UntilClose);
        for headers in [
            "content-length: 5\r\ncontent-length: 6",
            "content-length: +5",
            "content-length: 5, 5",
            "content-length: 5\r\ntransfer-encoding: chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        ] {
            assert!(framing(headers).is_err(), "{headers}");
        }
    }

    #[test]
    fn headers_of_the_hop_are_taken_out_and_decide_whether_the_connection_stays() {
        let parsed = head(
            "HTTP/1.1 200 OK\r\nConnection: Close\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\nX-A: b\r\n\r\n",
        );
        let parsed = parsed.unwrap().unwrap();
        assert!(!parsed.keeps_alive);
        assert_eq!(parsed.headers.len(), 2);
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap().keeps_alive);
        assert!(!head("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap().keeps_alive);
        assert!(
            head("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
                .unwrap()
                .unwrap()
                .keeps_alive
        );
        assert!(head("HTTP/1.1 200 OK\r\nContent-").unwrap().is_none());
        assert!(head("SSH-2.0-OpenSSH\r\n").is_err());
    }

    #[test]
    fn an_answer_has_its_own_names_whatever_the_last_one_had() {
        let mut memory = Memory::default();
        for (headers, expected) in [
            ("Server: a\r\nX-One: b\r\nContent-Length: 0", ["server", "x-one", "content-length"]),
            ("SERVER: a\r\nx-one: b\r\nContent-Length: 0", ["server", "x-one", "content-length"]),
            ("Server: a\r\nX-Two: b\r\nContent-Length: 0", ["server", "x-two", "content-length"]),
            ("Content-Length: 0\r\nX-Two: b\r\nDate: c", ["content-length", "x-two", "date"]),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
            let parsed = parse(&mut BytesMut::from(text.as_str()), &mut memory, &Method::GET, false).unwrap().unwrap();
            let found: Vec<_> = parsed.headers.keys().map(http::HeaderName::as_str).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_answer_is_read_as_if_it_were_the_first_whatever_the_last_one_was() {
        let shown = |text: &str, memory: &mut Memory, verb: &Method| {
            let mut read = BytesMut::from(text);
            let head = parse(&mut read, memory, verb, true).map_err(|error| error.to_string())?;
            Ok::<_, String>(head.map(|head| {
                let mut lines = Vec::new();
                head.lines.iter().for_each(|some| some.write(&mut lines));
                let fields: Vec<_> = head.headers.keys().map(ToString::to_string).collect();
                (head.status, head.framing, head.keeps_alive, String::from_utf8(lines).unwrap(), fields, read)
            }))
        };
        let (five, six) = ("content-length: 5\r\n\r\nhello", "content-length: 6\r\n\r\nhello!");
        let all = [
            format!("HTTP/1.1 200 OK\r\nserver: a\r\n{five}"),
            format!("HTTP/1.1 404 Not Found\r\nserver: a\r\n{five}"),
            format!("HTTP/1.1 200 OK\r\nserver: a\r\nconnection: close\r\n{six}"),
            format!("HTTP/1.1 200 OK\r\nserver: a\r\ndate: b\r\n{six}"),
            format!("HTTP/1.1 200 OK\r\nserver: a\r\nx-more: c\r\n{five}"),
            "HTTP/1.1 200 OK\r\nserver: a\r\ncontent-le".to_owned(),
            format!("HTTP/1.1 200 OK\r\n{five}").replace("5\r\n", "5x\r\n"),
        ];
        let mut memory = Memory::default();
        for step in [1, 2, 3, 5, 0] {
            for number in 0..60 {
                let text = &all[number * step % all.len()];
                let verb = if number % 11 == 10 { Method::HEAD } else { Method::GET };
                let expected = shown(text, &mut Memory::default(), &verb);
                assert_eq!(shown(text, &mut memory, &verb), expected, "{verb} {text}");
            }
        }
        assert!(memory.known(all[0].as_bytes()).is_some(), "the last one came sixty times");
    }
}
