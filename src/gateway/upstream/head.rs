//! Heads of messages to and from backends: what is sent on and what stays on this hop (RFC 9110 §7.6.1).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request};

use super::UpstreamError;
use super::framing::{Chunk, Framing};
use crate::route::endpoint::Endpoint;

/// Headers of an answer.
const HEADERS_MAX: usize = 100;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A request as it is sent on.
pub(crate) struct Outgoing<'a> {
    pub(crate) request: &'a request::Parts,
    /// The part of the path after the context, as it came.
    pub(crate) rest: &'a str,
    /// The header that held the token.
    pub(crate) without: Option<&'a HeaderName>,
    /// The client's address.
    pub(crate) client_ip: &'a str,
    pub(crate) is_https: bool,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) body: BodyLength,
}

/// How the length of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// Not at all: there is no body.
    None,
    /// In a header.
    Known(u64),
    /// In chunks.
    Chunked,
}

impl Outgoing<'_> {
    /// Writes the head for one endpoint.
    pub(crate) fn write(&self, endpoint: &Endpoint, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.method.as_str().as_bytes());
        out.push(b' ');
        self.write_target(endpoint, out);
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(endpoint.authority.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.write_headers(out);
        self.write_forwarded(out);
        match self.body {
            BodyLength::None => {}
            BodyLength::Known(length) => {
                out.extend_from_slice(b"content-length: ");
                write_number(length, out);
                out.extend_from_slice(b"\r\n");
            }
            BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_target(&self, endpoint: &Endpoint, out: &mut Vec<u8>) {
        let is_root = endpoint.base_path.is_empty() && self.rest.is_empty();
        out.extend_from_slice(endpoint.base_path.as_bytes());
        out.extend_from_slice(if is_root { b"/" } else { self.rest.as_bytes() });
        let queries = endpoint.base_query.as_deref().into_iter().chain(self.request.uri.query());
        for (number, query) in queries.enumerate() {
            out.push(if number == 0 { b'?' } else { b'&' });
            out.extend_from_slice(query.as_bytes());
        }
    }

    fn write_headers(&self, out: &mut Vec<u8>) {
        let headers = &self.request.headers;
        let named = named_by_connection(headers);
        let mut cookies: Option<Vec<u8>> = None;
        for (name, value) in headers {
            if is_of_this_hop(name) || is_written_here(name) || self.without == Some(name) {
                continue;
            }
            if !named.is_empty() && named.iter().any(|named| named == name.as_str()) {
                continue;
            }
            if *name == COOKIE {
                // HTTP/2 may split cookies; HTTP/1.1 knows one line (RFC 9113 §8.2.3).
                match &mut cookies {
                    Some(line) => {
                        line.extend_from_slice(b"; ");
                        line.extend_from_slice(value.as_bytes());
                    }
                    None => cookies = Some(value.as_bytes().to_vec()),
                }
                continue;
            }
            write_header(name.as_str(), value.as_bytes(), out);
        }
        if let Some(cookies) = cookies {
            write_header("cookie", &cookies, out);
        }
    }

    fn write_forwarded(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"x-forwarded-for: ");
        for earlier in self.request.headers.get_all(X_FORWARDED_FOR) {
            out.extend_from_slice(earlier.as_bytes());
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(self.client_ip.as_bytes());
        out.extend_from_slice(b"\r\nx-forwarded-proto: ");
        out.extend_from_slice(if self.is_https { b"https" } else { b"http" });
        out.extend_from_slice(b"\r\n");
        let host = self.request.headers.get(HOST).map(HeaderValue::as_bytes);
        let host = host.or_else(|| self.request.uri.authority().map(|authority| authority.as_str().as_bytes()));
        if let Some(host) = host {
            write_header("x-forwarded-host", host, out);
        }
        write_header("x-request-id", self.request_id.as_bytes(), out);
    }
}

fn write_header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in decimal.
pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        // The remainder is one digit.
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Says whether a header is about the connection it came on, and so never passed on.
fn is_of_this_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == TE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// Says whether the gateway writes a request's header itself, or must not pass it on.
fn is_written_here(name: &HeaderName) -> bool {
    *name == HOST
        || *name == CONTENT_LENGTH
        || *name == EXPECT
        || *name == TRAILER
        || *name == PROXY_AUTHORIZATION
        || *name == X_FORWARDED_FOR
        || *name == X_FORWARDED_PROTO
        || *name == X_FORWARDED_HOST
        || *name == X_REQUEST_ID
}

/// Returns the names of headers that `Connection` binds to this hop.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(CONNECTION).iter().filter(|value| names_a_header(value)).flat_map(named_in).collect()
}

/// Says whether a value of `Connection` is not one of the common ones, which name no header.
fn names_a_header(value: &HeaderValue) -> bool {
    !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") && !value.as_bytes().eq_ignore_ascii_case(b"close")
}

fn named_in(value: &HeaderValue) -> impl Iterator<Item = String> {
    let names: Vec<String> =
        value.to_str().unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    // The length frames the message; who sends it cannot bind it to the hop.
    names.into_iter().filter(|name| !name.is_empty() && name != "content-length")
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the connection can be used again.
    pub(crate) keeps_alive: bool,
}

/// Takes the head of an answer from what was read; `None` where it is not there yet. The headers of this hop are taken
/// out.
///
/// # Errors
/// Where the answer is not HTTP/1, or its length is not clear.
pub(crate) fn parse(
    read: &mut BytesMut,
    verb: &Method,
    spare_headers: HeaderMap,
) -> Result<Option<Incoming>, UpstreamError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut positions = [(0_usize, 0_usize, 0_usize, 0_usize); HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let start = read.as_ptr() as usize;
    let malformed = |_| UpstreamError::Protocol("the head is malformed");
    let length =
        match parser.parse_response_with_uninit_headers(&mut response, read, &mut headers).map_err(malformed)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|_| UpstreamError::Protocol("the status is not valid"))?;
    let is_http_11 = response.version == Some(1);
    let count = response.headers.len();
    for (position, header) in positions.iter_mut().zip(response.headers.iter()) {
        let name = header.name.as_ptr() as usize - start;
        let value = header.value.as_ptr() as usize - start;
        *position = (name, name + header.name.len(), value, value + header.value.len());
    }
    // The values are parts of one shared buffer: none is copied.
    let head = read.split_to(length).freeze();
    let mut lengths = Lengths::default();
    let mut connection = None;
    let mut named: Vec<String> = Vec::new();
    let mut map = spare_headers;
    map.reserve(count);
    for &(name, name_end, value, value_end) in &positions[..count] {
        let name = HeaderName::from_bytes(&head[name..name_end])
            .map_err(|_| UpstreamError::Protocol("a name is not valid"))?;
        let value = header_value(head.slice(value..value_end))?;
        if name == CONNECTION {
            connection = Some(connection_says(connection, &value));
            named.extend(names_a_header(&value).then(|| value.clone()).iter().flat_map(named_in));
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
    if lengths.has_transfer_encoding && !is_http_11 {
        return Err(UpstreamError::Protocol("HTTP/1.0 has no Transfer-Encoding"));
    }
    let framing = lengths.framing(status, verb)?;
    let keeps_alive = framing != Framing::UntilClose && connection.unwrap_or(is_http_11);
    Ok(Some(Incoming { status, headers: map, framing, keeps_alive }))
}

fn header_value(bytes: Bytes) -> Result<HeaderValue, UpstreamError> {
    HeaderValue::from_maybe_shared(bytes).map_err(|_| UpstreamError::Protocol("a header is not valid"))
}

/// Says whether `Connection` keeps the connection; a `close` stays, whatever follows.
fn connection_says(before: Option<bool>, value: &HeaderValue) -> bool {
    let mut keeps = before.unwrap_or(true);
    for token in value.as_bytes().split(|byte| *byte == b',') {
        keeps &= !token.trim_ascii().eq_ignore_ascii_case(b"close");
    }
    keeps
}

/// What the headers say about the length of a body.
#[derive(Default)]
struct Lengths {
    content_length: Option<u64>,
    has_transfer_encoding: bool,
    is_chunked: bool,
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
        const BAD: UpstreamError = UpstreamError::Protocol("Content-Length is not valid");
        let digits = value.as_bytes();
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(BAD);
        }
        let length = digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'));
        match self.content_length {
            Some(known) if known != length => Err(BAD),
            Some(_) => Ok(false),
            None => {
                self.content_length = Some(length);
                Ok(true)
            }
        }
    }

    /// RFC 9112 §6.3, and refuses what leaves doubt.
    fn framing(&self, status: StatusCode, verb: &Method) -> Result<Framing, UpstreamError> {
        if *verb == Method::HEAD || status.is_informational() || matches!(status.as_u16(), 204 | 304) {
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
    use http::{HeaderMap, Method};

    use super::{Chunk, Framing, parse, write_number};

    fn head(text: &str) -> Result<Option<super::Incoming>, super::UpstreamError> {
        parse(&mut BytesMut::from(text), &Method::GET, HeaderMap::new())
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
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
