//! The head of a client's request (RFC 9112 §3, §5), read strictly: what a backend, or a proxy in front of the gateway,
//! could read in another way is refused (§11.2).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::http1::fields::{FIELDS_MAX, Names, Places, Room, content_length, lists};
use crate::http1::framing::{Chunk, Framing};
use crate::http1::scan;
use crate::off_path;

/// Bytes of a request's target, as the type that holds it has them at most.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;

/// Bytes of fields that are kept for the next request, and how often in a row in vain until they are not any more.
const FIELD_BYTES_KEPT: usize = 2 << 10;
const IN_VAIN_MAX: u8 = 4;

/// Bytes of a first line that is kept for the next request.
const LINE_BYTES_KEPT: usize = 512;

/// Headers whose room is kept for the next request.
const FIELDS_KEPT: usize = 48;

/// Why a request is refused whose target names something else than a host.
const NO_HOST: &str = "the target does not name a host";
/// Why one is whose `Host` is something else, or not one.
const BAD_HOST: &str = "the Host header is not the name of a host";
const NOT_ONE_HOST: &str = "a request must have one Host header";
const OTHER_HOST: &str = "the Host header names another host than :authority";
const PADDED: &str = "the value of a header begins or ends with a space";

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) parts: Parts,
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// Whether the client wants to use the connection again.
    pub(crate) keeps_alive: bool,
    /// Whether it waits to be told to send the body (RFC 9110 §10.1.1).
    pub(crate) waits: bool,
    /// Whether it takes trailers (RFC 9110 §10.1.4).
    pub(crate) takes_trailers: bool,
    /// How its fields are known.
    pub(crate) fields: Fields,
    /// Why the request is refused though it can be read: it is not clear where it ends, or for whom it is.
    pub(crate) doubt: Option<&'static str>,
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not HTTP/1.
    Malformed(&'static str),
    /// It is another version of HTTP.
    OtherVersion,
    /// Its target is too long.
    TargetTooLong,
    /// Its head has too many bytes, or too many headers.
    TooLarge,
}

/// What is kept of one request for the next on the same connection.
#[derive(Default)]
pub(crate) struct Memory {
    /// The names of the headers of the last request.
    names: Names,
    /// Its head, whose room the next one takes; with its headers where `kept` is there.
    head: Option<Box<Head>>,
    /// Its fields as they came, where the next request may have the same.
    kept: Option<Kept>,
    /// How often in a row they were kept in vain.
    in_vain: u8,
}

/// The fields of a request as they came, and what they said. A client says the same with each request, as a rule, and what is
/// the same need not be read again.
struct Kept {
    /// All lines behind the first.
    text: Bytes,
    said: Said,
    /// The first line of the last request with these fields, unless it is long.
    line: Vec<u8>,
    /// Whether `Memory::head` is that of this line and these fields, and holds nothing of the connection's memory.
    is_whole: bool,
}

/// How the fields of a request are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    /// They may differ from those of all other requests.
    New,
    /// They are kept: the next request may have the same.
    Kept,
    /// They are those of the request before.
    Repeated,
    /// So is the first line: all of the head is that of the request before.
    Same,
}

impl Memory {
    /// Takes the room of a request's head back.
    pub(crate) fn recycle(&mut self, mut head: Box<Head>) {
        // A head with many headers does not have every connection that waits keep their room.
        if head.parts.headers.capacity() > FIELDS_KEPT {
            self.kept = None;
            return;
        }
        if !self.kept.as_ref().is_some_and(|kept| kept.is_whole) {
            // It holds what was read of the connection.
            head.parts.uri = Uri::default();
        }
        if self.kept.is_none() {
            head.parts.headers.clear();
        }
        self.head = Some(head);
    }

    /// Takes the head of the last request off what was read, where the same comes again.
    fn same(&mut self, read: &mut BytesMut) -> Option<Box<Head>> {
        let kept = self.kept.as_ref().filter(|kept| kept.is_whole)?;
        if !read.strip_prefix(&*kept.line)?.starts_with(&kept.text) {
            return None;
        }
        let mut head = self.head.take()?;
        read.advance(kept.line.len() + kept.text.len());
        kept.said.write(&mut head, Fields::Same);
        Some(head)
    }

    /// Forgets the fields of the last request, but for their room.
    fn forget(&mut self) {
        if self.kept.take().is_some()
            && let Some(head) = &mut self.head
        {
            head.parts.headers.clear();
            head.parts.uri = Uri::default();
        }
    }

    /// Returns the room for a head.
    fn head(&mut self) -> Box<Head> {
        self.head.take().unwrap_or_else(|| {
            let (parts, ()) = Request::new(()).into_parts();
            Box::new(Head {
                parts,
                framing: Framing::Ended,
                keeps_alive: false,
                waits: false,
                takes_trailers: false,
                fields: Fields::New,
                doubt: None,
            })
        })
    }
}

impl Kept {
    /// Notes the first line of a request with these fields; says whether it is that of the request before.
    fn note(&mut self, line: &[u8]) -> bool {
        let is_same = self.line == line;
        if !is_same {
            self.line.clear();
            if line.len() <= LINE_BYTES_KEPT {
                self.line.extend_from_slice(line);
            }
        }
        self.is_whole = is_same;
        is_same
    }
}

/// The first line of a request.
struct Line {
    method: Method,
    target: Range<usize>,
    version: Version,
}

impl Line {
    /// Writes this line, which is in `text`.
    fn write(self, text: &Bytes, parts: &mut Parts) -> Result<(), Unreadable> {
        parts.uri = Uri::from_maybe_shared(text.slice(self.target))
            .map_err(|_| Unreadable::Malformed("the target is not valid"))?;
        parts.method = self.method;
        parts.version = self.version;
        Ok(())
    }
}

/// Takes the head of a request from what was read; `None` where it is not there yet.
///
/// # Errors
/// Where it is none.
pub(crate) fn parse(
    read: &mut BytesMut,
    memory: &mut Memory,
    fields_max: usize,
) -> Result<Option<Box<Head>>, Unreadable> {
    if let Some(head) = memory.same(read) {
        return Ok(Some(head));
    }
    if let Some((line, at)) = first_line(read) {
        if let Some(kept) = &mut memory.kept
            && read[at..].starts_with(&kept.text)
        {
            memory.in_vain = 0;
            let (said, length) = (kept.said, at + kept.text.len());
            let text = if kept.note(&read[..at]) {
                // In memory of its own, with which it can wait for the next one.
                let text = Bytes::copy_from_slice(&read[..at]);
                read.advance(length);
                text
            } else {
                read.split_to(length).freeze()
            };
            let mut head = memory.head();
            line.write(&text, &mut head.parts).inspect_err(|_| memory.kept = None)?;
            said.write(&mut head, Fields::Repeated);
            return Ok(Some(head));
        }
        if let Some((places, length)) = Places::scan(&read[at..], 0, fields_max) {
            memory.forget();
            let text = read.split_to(at + length).freeze();
            return ordinary(line, &text, at, &places, memory).map(Some);
        }
    }
    memory.forget();
    off_path::call(|| parse_any(read, memory, fields_max))
}

/// The same of any request.
fn parse_any(read: &mut BytesMut, memory: &mut Memory, fields_max: usize) -> Result<Option<Box<Head>>, Unreadable> {
    let found = if fields_max <= FIELDS_MAX {
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        find(read, &mut room[..fields_max])?
    } else {
        find(read, &mut vec![MaybeUninit::uninit(); fields_max])?
    };
    let Some((length, line, places)) = found else { return Ok(None) };
    let text = read.split_to(length).freeze();
    let (said, mut head) = read_fields(&places, &text, memory)?;
    line.write(&text, &mut head.parts)?;
    said.write(&mut head, Fields::New);
    Ok(Some(head))
}

/// Reads an ordinary request, whose fields begin `at`, and keeps them for the next one where that is of use.
fn ordinary(
    line: Line,
    text: &Bytes,
    at: usize,
    places: &Places,
    memory: &mut Memory,
) -> Result<Box<Head>, Unreadable> {
    let (first, mut fields) = (&text[..at], text.slice(at..));
    let is_kept = memory.in_vain < IN_VAIN_MAX && fields.len() <= FIELD_BYTES_KEPT;
    if is_kept {
        // In memory of their own, so that they do not hold that of the connection.
        fields = Bytes::copy_from_slice(&fields);
        memory.in_vain += 1;
    }
    let (said, mut head) = read_fields(places, &fields, memory)?;
    line.write(text, &mut head.parts)?;
    if !is_kept || said.doubt.is_some() {
        said.write(&mut head, Fields::New);
        return Ok(head);
    }
    let mut kept = Kept { text: fields, said, line: Vec::new(), is_whole: false };
    kept.note(first);
    memory.kept = Some(kept);
    said.write(&mut head, Fields::Kept);
    Ok(head)
}

/// Reads the fields of a head, as parts of `text`.
fn read_fields(places: &Places, text: &Bytes, memory: &mut Memory) -> Result<(Said, Box<Head>), Unreadable> {
    let (mut said, mut head) = (Said::default(), memory.head());
    for field in places.read(text, &mut memory.names) {
        let (name, value) = field.map_err(|malformed| Unreadable::Malformed(malformed.0))?;
        if said.note(&name, &value) {
            head.parts.headers.append(name, value);
        }
    }
    Ok((said, head))
}

/// Finds the first line of an ordinary request; returns also where the next begins.
fn first_line(read: &[u8]) -> Option<(Line, usize)> {
    let verb = scan::token(read).filter(|length| read[*length] == b' ')?;
    let rest = &read[verb + 1..];
    let length = rest.iter().position(|byte| !byte.is_ascii_graphic())?;
    let (target, line_end) = (verb + 1..verb + 1 + length, b" HTTP/1.1\r\n");
    if length == 0 || length > TARGET_BYTES_MAX || !rest[length..].starts_with(line_end) {
        return None;
    }
    let method = Method::from_bytes(&read[..verb]).ok()?;
    let end = target.end + line_end.len();
    Some((Line { method, target, version: Version::HTTP_11 }, end))
}

/// Finds line and fields in what was read.
fn find<'b>(read: &'b [u8], room: &mut Room<'b>) -> Result<Option<(usize, Line, Places)>, Unreadable> {
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(read, room) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) if names_a_version(read) => return Err(Unreadable::OtherVersion),
        Err(error) => return Err(Unreadable::from(error)),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Unreadable::Malformed("the first line is not that of a request"));
    };
    if target.len() > TARGET_BYTES_MAX {
        return Err(Unreadable::TargetTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Unreadable::Malformed("the method is not valid"))?;
    let start = target.as_ptr() as usize - read.as_ptr() as usize;
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let line = Line { method, target: start..start + target.len(), version };
    let places = Places::of(read, request.headers);
    if !places.end_lines(&read[..length]) {
        return Err(Unreadable::Malformed("each line must end with CR LF"));
    }
    Ok(Some((length, line, places)))
}

impl From<httparse::Error> for Unreadable {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooLarge,
            httparse::Error::HeaderName => Self::Malformed("the name of a header is not valid"),
            httparse::Error::HeaderValue => Self::Malformed("the value of a header is not valid"),
            httparse::Error::NewLine => Self::Malformed("each line must end with CR LF"),
            httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
                Self::Malformed("the first line is not that of a request")
            }
        }
    }
}

/// Says whether the first line names a version of HTTP, whichever.
fn names_a_version(read: &[u8]) -> bool {
    let line = read.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    words.next().is_some_and(|last| last.starts_with(b"HTTP/")) && words.next().is_none()
}

/// What the fields say about the message itself.
#[derive(Clone, Copy, Default)]
struct Said {
    hosts: u32,
    codings: u32,
    is_chunked: bool,
    length: Option<u64>,
    closes: bool,
    keeps_alive: bool,
    waits: bool,
    takes_trailers: bool,
    doubt: Option<&'static str>,
}

impl Said {
    /// Notes what a field says; says whether it is to be kept.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> bool {
        if *name == HOST {
            self.hosts += 1;
            if !is_host(value.as_bytes()) {
                self.doubt = Some(BAD_HOST);
            }
        } else if *name == CONNECTION {
            self.closes |= lists(value, b"close");
            self.keeps_alive |= lists(value, b"keep-alive");
        } else if *name == CONTENT_LENGTH {
            return self.note_length(value);
        } else if *name == TRANSFER_ENCODING {
            self.codings += 1;
            self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
        } else if *name == EXPECT {
            self.waits |= value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        } else if *name == TE {
            self.takes_trailers |= lists(value, b"trailers");
        }
        true
    }

    fn note_length(&mut self, value: &HeaderValue) -> bool {
        match (content_length(value), self.length) {
            (Ok(length), None) => self.length = Some(length),
            // Said twice is said once.
            (Ok(length), Some(known)) if length == known => return false,
            (Ok(_), Some(_)) => self.doubt = Some("a request must not have two Content-Lengths"),
            (Err(malformed), _) => self.doubt = Some(malformed.0),
        }
        true
    }

    /// Writes what is said in a head whose first line is there (RFC 9112 §3.2, §6.3), and refuses what leaves doubt.
    fn write(self, head: &mut Head, fields: Fields) {
        let is_http_11 = head.parts.version == Version::HTTP_11;
        let doubt = match (self.hosts, self.codings, self.length) {
            _ if self.doubt.is_some() => self.doubt,
            _ if !names_host(&head.parts.uri) => Some(NO_HOST),
            (hosts, ..) if hosts > 1 || (hosts == 0 && is_http_11) => Some(NOT_ONE_HOST),
            (_, 0, _) => None,
            (_, codings, _) if codings > 1 || !self.is_chunked => {
                Some("no Transfer-Encoding but chunked is understood")
            }
            _ if !is_http_11 => Some("HTTP/1.0 has no Transfer-Encoding"),
            (_, _, Some(_)) => Some("a request must not have both Content-Length and Transfer-Encoding"),
            (_, _, None) => None,
        };
        let framing = match self.length {
            _ if doubt.is_some() => Framing::Ended,
            _ if self.is_chunked => Framing::Chunked(Chunk::Size),
            Some(length) if length > 0 => Framing::Length(length),
            _ => Framing::Ended,
        };
        head.keeps_alive = doubt.is_none() && !self.closes && (is_http_11 || self.keeps_alive);
        head.waits = self.waits && is_http_11 && framing != Framing::Ended;
        head.takes_trailers = self.takes_trailers;
        (head.framing, head.fields, head.doubt) = (framing, fields, doubt);
    }
}

/// Returns what is wrong with a head that came over HTTP/2: what it says of the host, or a value that begins or ends with a space
/// (RFC 9113 §8.2.1, §8.3.1), which somebody behind might read otherwise.
pub(crate) fn doubt_of_http2(target: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    if !names_host(target) {
        return Some(NO_HOST);
    }
    let is_padded = |value: &HeaderValue| {
        let ends = [value.as_bytes().first(), value.as_bytes().last()];
        ends.iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
    };
    if headers.values().any(is_padded) {
        return Some(PADDED);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let first = hosts.next()?;
    if !is_host(first.as_bytes()) {
        return Some(BAD_HOST);
    }
    if hosts.any(|host| host != first) {
        return Some(NOT_ONE_HOST);
    }
    let is_other = |authority: &Authority| !authority.as_str().as_bytes().eq_ignore_ascii_case(first.as_bytes());
    target.authority().is_some_and(is_other).then_some(OTHER_HOST)
}

/// Says whether a target that names a host names one, and no user.
fn names_host(target: &Uri) -> bool {
    target.authority().is_none_or(|authority| is_host(authority.as_str().as_bytes()))
}

/// Says whether a value is a host, with a port or without, or empty, which is allowed too (RFC 9110 §7.2, RFC 3986 §3.2.2): what
/// else is there – a user, a path, a space – somebody behind might take for another host than was asked.
fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value.iter().rposition(|byte| *byte == b':') {
        Some(at) if !value.ends_with(b"]") => (&value[..at], &value[at + 1..]),
        _ => (value, &b""[..]),
    };
    let is_name = match name.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        Some(address) => address.iter().all(|byte| byte.is_ascii_alphanumeric() || b":.%_~-".contains(byte)),
        None => name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte)),
    };
    is_name && port.iter().all(u8::is_ascii_digit)
}
