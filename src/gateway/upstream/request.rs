//! The head of a request to a backend: what of the client's is sent on, and what the gateway adds.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, request};

use crate::call_id::CallId;
use crate::client::{Client, SentTo};
use crate::http1::hop::{is_of_this_hop, named_by_connection};
use crate::proof::Shown;
use crate::route::endpoint::Endpoint;
use crate::trace::TRACEPARENT;

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
    pub(crate) request_id: &'a CallId,
    /// The context of the gateway's span, in place of the client's, where the call is traced.
    pub(crate) traceparent: Option<&'a HeaderValue>,
    pub(crate) body: BodyLength,
    /// Whether the connection is to become a WebSocket.
    pub(crate) is_upgrade: bool,
    /// Whether the gateway reads the answer, which must not be compressed then.
    pub(crate) is_to_be_read: bool,
    /// The connection that the request came by, and where its fields go, where they may be written as they were before.
    pub(crate) repeats: Option<(&'a Client, SentTo)>,
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

/// What header fields are written to.
pub(crate) trait Fields {
    /// Begins a field.
    fn begin(&mut self, name: &str);

    /// Writes some of its value.
    fn part(&mut self, bytes: &[u8]);

    /// Ends it.
    fn end(&mut self);

    /// Writes a whole field.
    fn field(&mut self, name: &str, value: &[u8]) {
        self.begin(name);
        self.part(value);
        self.end();
    }
}

/// As HTTP/1.1 has them.
impl Fields for Vec<u8> {
    fn begin(&mut self, name: &str) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
    }

    fn part(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.extend_from_slice(b"\r\n");
    }
}

impl Outgoing<'_> {
    /// Writes the head for one endpoint, as HTTP/1.1 has it.
    pub(crate) fn write(&self, endpoint: &Endpoint, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.method.as_str().as_bytes());
        out.push(b' ');
        let target_at = out.len();
        self.write_target(endpoint, out);
        let target_end = out.len();
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.field("host", endpoint.authority.as_bytes());
        // Looked at by what is computed over it, and by nothing else.
        let target = match &self.shown {
            Some(_) => String::from_utf8_lossy(&out[target_at..target_end]).into_owned(),
            None => String::new(),
        };
        match self.repeats.filter(|_| self.is_ordinary()) {
            Some((client, to)) => {
                client.write_sent(to, out, |out| self.write_sent(out));
                self.write_own(&target, endpoint, out);
            }
            None => self.write_fields(&target, endpoint, out),
        }
        if self.body == BodyLength::Chunked {
            out.field("transfer-encoding", b"chunked");
        }
        if self.is_upgrade {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Returns what is asked for at an endpoint: path and query.
    pub(crate) fn target(&self, endpoint: &Endpoint) -> String {
        let mut target = Vec::new();
        self.write_target(endpoint, &mut target);
        String::from_utf8_lossy(&target).into_owned()
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

    /// Says whether nothing but the client's fields and where they go decides what of them is sent on.
    fn is_ordinary(&self) -> bool {
        let names_host = self.request.uri.authority().is_some();
        self.shown.is_none() && self.traceparent.is_none() && !self.is_to_be_read && !self.is_upgrade && !names_host
    }

    /// Writes the fields that every version of HTTP has.
    pub(crate) fn write_fields(&self, target: &str, endpoint: &Endpoint, out: &mut impl Fields) {
        self.write_sent(out);
        self.write_own(target, endpoint, out);
    }

    /// Writes what of the client's fields is sent on, and where they came from.
    fn write_sent(&self, out: &mut impl Fields) {
        self.write_headers(out);
        self.write_forwarded(out);
    }

    /// Writes what a backend is told by fields, but for what frames the request and what proves the gateway: for those that
    /// get the call in another form.
    pub(crate) fn write_told(&self, out: &mut impl Fields) {
        self.write_sent(out);
        self.write_of_call(out);
    }

    /// Writes what names the call, and who makes it.
    fn write_of_call(&self, out: &mut impl Fields) {
        out.field("x-request-id", self.request_id.as_bytes());
        if let Some(context) = self.traceparent {
            out.field("traceparent", context.as_bytes());
        }
        if let Some((name, token)) = self.assertion {
            out.field(name.as_str(), token.as_bytes());
        }
    }

    /// Writes the fields that are those of this call alone.
    fn write_own(&self, target: &str, endpoint: &Endpoint, out: &mut impl Fields) {
        self.write_of_call(out);
        if let BodyLength::Known(length) = self.body {
            out.field("content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        if self.is_to_be_read {
            out.field("accept-encoding", b"identity");
        }
        if let Some(shown) = &self.shown {
            shown.write(self.request.method.as_str(), target, endpoint, out);
        }
    }

    fn write_headers(&self, out: &mut impl Fields) {
        let headers = &self.request.headers;
        let named = named_by_connection(headers);
        let mut cookies: Option<Vec<u8>> = None;
        for (name, value) in headers {
            if self.keeps_back(name) || read_alike(name).is_some_and(|other| self.keeps_back(&other)) {
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
            out.field(name.as_str(), value.as_bytes());
        }
        if let Some(cookies) = cookies {
            out.field("cookie", &cookies);
        }
    }

    /// Says whether a field of the client's is not sent on, whatever its `Connection` says.
    fn keeps_back(&self, name: &HeaderName) -> bool {
        is_of_this_hop(name)
            || is_written_here(name)
            || self.without.contains(name)
            || (self.is_to_be_read && *name == ACCEPT_ENCODING)
            || self.shown.is_some_and(|shown| shown.replaces(name))
            || (self.traceparent.is_some() && *name == TRACEPARENT)
    }

    fn write_forwarded(&self, out: &mut impl Fields) {
        out.begin("x-forwarded-for");
        for earlier in self.request.headers.get_all(X_FORWARDED_FOR) {
            out.part(earlier.as_bytes());
            out.part(b", ");
        }
        out.part(self.client_ip.as_bytes());
        out.end();
        // What a trusted proxy says of the client's own connection is better than what is known here.
        let told = |name: HeaderName| if self.is_trusted_proxy { self.request.headers.get(name) } else { None };
        let own_scheme: &[u8] = if self.is_https { b"https" } else { b"http" };
        let scheme = told(X_FORWARDED_PROTO).map_or(own_scheme, HeaderValue::as_bytes);
        out.field("x-forwarded-proto", scheme);
        // Where the target names the host, `Host` does not count (RFC 9112 §3.2.2): so the call was routed, too.
        let of_target = || self.request.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = told(X_FORWARDED_HOST).map(HeaderValue::as_bytes).or_else(of_target);
        if let Some(host) = host.or_else(|| self.request.headers.get(HOST).map(HeaderValue::as_bytes)) {
            out.field("x-forwarded-host", host);
        }
    }
}

/// Returns the name with `-` alone that backends with the Common Gateway Interface, and what came after it, cannot tell from
/// `name`: they read `-` and `_` as the same (RFC 3875 §4.1.18). `None` where that is `name` itself.
pub(crate) fn read_alike(name: &HeaderName) -> Option<HeaderName> {
    let name = name.as_str();
    let is_other = name.as_bytes().contains(&b'_');
    is_other.then(|| HeaderName::try_from(name.replace('_', "-")).ok()).flatten()
}

/// Says whether such backends cannot tell two names apart.
pub(crate) fn are_read_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let dashed = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    let (one, other) = (one.as_str().as_bytes(), other.as_str().as_bytes());
    one.len() == other.len() && one.iter().map(dashed).eq(other.iter().map(dashed))
}

/// Removes a field, and those that such backends cannot tell from it.
pub(crate) fn remove_read_alike(headers: &mut HeaderMap, name: &HeaderName) {
    let alike: Vec<HeaderName> = headers.keys().filter(|other| are_read_alike(other, name)).cloned().collect();
    for name in alike {
        headers.remove(name);
    }
}

/// Says whether the gateway writes a request's header itself, or must not pass it on.
pub(crate) fn is_written_here(name: &HeaderName) -> bool {
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
    use super::*;

    #[test]
    fn names_are_read_alike_whichever_of_them_has_the_underscores() {
        let name = |text: &str| HeaderName::try_from(text).unwrap();
        let all = ["x-user-id", "x_user_id", "x-user_id"];
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (name(one), name(other)))) {
            assert!(are_read_alike(&one, &other), "{one} {other}");
        }
        for other in ["x-user", "x-user-ids", "x.user-id", "xuserid"] {
            assert!(!are_read_alike(&name(all[0]), &name(other)), "{other}");
        }
        let mut headers: HeaderMap = all.iter().map(|one| (name(one), HeaderValue::from_static("1"))).collect();
        headers.insert("x-user", HeaderValue::from_static("2"));
        remove_read_alike(&mut headers, &name("x_user-id"));
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-user"]);
    }
}
