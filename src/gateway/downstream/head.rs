//! The head of a client's request (RFC 9112 §3, §5), read strictly: what a backend, or a proxy in front of the gateway,
//! could read in another way is refused (§11.2).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::http1::fields::{FIELDS_MAX, Names, Places, Room, content_length, lists};
use crate::http1::framing::{Chunk, Framing};

/// Bytes of a request's target, as the type that holds it has them at most.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;

/// Headers whose room is kept for the next request.
const FIELDS_KEPT: usize = 48;

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
    /// The room for its headers.
    headers: HeaderMap,
}

impl Memory {
    /// Takes the room of a request's headers back.
    pub(crate) fn recycle(&mut self, parts: Parts) {
        // A head with many headers does not have every connection that waits keep their room.
        if parts.headers.capacity() <= FIELDS_KEPT {
            self.headers = parts.headers;
            self.headers.clear();
        }
    }
}

/// The first line of a request.
struct Line {
    method: Method,
    target: Range<usize>,
    version: Version,
}

/// Takes the head of a request from what was read; `None` where it is not there yet.
///
/// # Errors
/// Where it is none.
pub(crate) fn parse(read: &mut BytesMut, memory: &mut Memory, fields_max: usize) -> Result<Option<Head>, Unreadable> {
    let found = if fields_max <= FIELDS_MAX {
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        find(read, &mut room[..fields_max])?
    } else {
        find(read, &mut vec![MaybeUninit::uninit(); fields_max])?
    };
    let Some((length, line, places)) = found else { return Ok(None) };
    let head = read.split_to(length).freeze();
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = Uri::from_maybe_shared(head.slice(line.target))
        .map_err(|_| Unreadable::Malformed("the target is not valid"))?;
    parts.method = line.method;
    parts.version = line.version;
    parts.headers = std::mem::take(&mut memory.headers);
    let mut said = Said::default();
    for field in places.read(&head, &mut memory.names) {
        let (name, value) = field.map_err(|malformed| Unreadable::Malformed(malformed.0))?;
        if said.note(&name, &value) {
            parts.headers.append(name, value);
        }
    }
    Ok(Some(said.head(parts)))
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
#[derive(Default)]
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

    /// RFC 9112 §3.2, §6.3, and refuses what leaves doubt.
    fn head(self, parts: Parts) -> Head {
        let is_http_11 = parts.version == Version::HTTP_11;
        let doubt = match (self.hosts, self.codings, self.length) {
            _ if self.doubt.is_some() => self.doubt,
            (hosts, ..) if hosts > 1 || (hosts == 0 && is_http_11) => Some("a request must have one Host header"),
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
        Head {
            keeps_alive: doubt.is_none() && !self.closes && (is_http_11 || self.keeps_alive),
            waits: self.waits && is_http_11 && framing != Framing::Ended,
            takes_trailers: self.takes_trailers,
            parts,
            framing,
            doubt,
        }
    }
}
