//! The head of a request to a backend: what of the client's is sent on, and what the gateway adds.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION, TRAILER};
use http::{HeaderName, HeaderValue, request};

use super::hop::{is_of_this_hop, named_by_connection};
use crate::proof::Shown;
use crate::route::endpoint::Endpoint;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request as it is sent on.
pub(crate) struct Outgoing<'a> {
    pub(crate) request: &'a request::Parts,
    /// The part of the path after the context, as it came.
    pub(crate) rest: &'a str,
    /// The query, as it came but for what is not the backend's business.
    pub(crate) query: Option<&'a str>,
    /// The headers that hold credentials.
    pub(crate) without: &'a [HeaderName],
    /// What the backend is told of the caller, and in which header.
    pub(crate) assertion: Option<(&'a HeaderName, &'a str)>,
    /// By what the gateway proves itself to the backend.
    pub(crate) shown: Option<Shown<'a>>,
    /// The client's address.
    pub(crate) client_ip: &'a str,
    pub(crate) is_https: bool,
    /// Whether what the client says about where the call comes from counts.
    pub(crate) is_trusted_proxy: bool,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) body: BodyLength,
    /// Whether the connection is to become a WebSocket.
    pub(crate) is_upgrade: bool,
    /// Whether the gateway reads the answer, which must not be compressed then.
    pub(crate) is_to_be_read: bool,
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
        let target_at = out.len();
        self.write_target(endpoint, out);
        let target_end = out.len();
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
        if self.is_to_be_read {
            out.extend_from_slice(b"accept-encoding: identity\r\n");
        }
        if self.is_upgrade {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
        }
        if let Some(shown) = &self.shown {
            let target = String::from_utf8_lossy(&out[target_at..target_end]).into_owned();
            shown.write(self.request.method.as_str(), &target, endpoint, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_target(&self, endpoint: &Endpoint, out: &mut Vec<u8>) {
        let is_root = endpoint.base_path.is_empty() && self.rest.is_empty();
        out.extend_from_slice(endpoint.base_path.as_bytes());
        out.extend_from_slice(if is_root { b"/" } else { self.rest.as_bytes() });
        let queries = endpoint.base_query.as_deref().into_iter().chain(self.query);
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
            if is_of_this_hop(name) || is_written_here(name) || self.without.contains(name) {
                continue;
            }
            if self.is_to_be_read && *name == ACCEPT_ENCODING {
                continue;
            }
            if self.shown.is_some_and(|shown| shown.replaces(name)) {
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
        out.extend_from_slice(b"\r\n");
        // What a trusted proxy says of the client's own connection is better than what is known here.
        let told = |name: HeaderName| self.request.headers.get(name).filter(|_| self.is_trusted_proxy);
        let own_scheme: &[u8] = if self.is_https { b"https" } else { b"http" };
        let scheme = told(X_FORWARDED_PROTO).map_or(own_scheme, HeaderValue::as_bytes);
        write_header("x-forwarded-proto", scheme, out);
        let host = told(X_FORWARDED_HOST).or_else(|| self.request.headers.get(HOST)).map(HeaderValue::as_bytes);
        let host = host.or_else(|| self.request.uri.authority().map(|authority| authority.as_str().as_bytes()));
        if let Some(host) = host {
            write_header("x-forwarded-host", host, out);
        }
        write_header("x-request-id", self.request_id.as_bytes(), out);
        if let Some((name, token)) = self.assertion {
            write_header(name.as_str(), token.as_bytes(), out);
        }
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

#[cfg(test)]
mod tests {
    use super::write_number;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
