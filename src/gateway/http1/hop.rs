//! Headers that are about one connection and never passed on (RFC 9110 §7.6.1).

use http::header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Says whether a header is about the connection it came on, and so never passed on.
pub(crate) fn is_of_this_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == TE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// Returns the names of headers that `Connection` binds to this hop.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(CONNECTION).iter().filter(|value| names_a_header(value)).flat_map(named_in).collect()
}

/// Says whether a value of `Connection` is not one of the common ones, which name no header.
pub(crate) fn names_a_header(value: &HeaderValue) -> bool {
    !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") && !value.as_bytes().eq_ignore_ascii_case(b"close")
}

/// Returns the names of headers in a value of `Connection`.
pub(crate) fn named_in(value: &HeaderValue) -> impl Iterator<Item = String> {
    let names: Vec<String> =
        value.to_str().unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    // The length frames the message; who sends it cannot bind it to the hop.
    names.into_iter().filter(|name| !name.is_empty() && name != "content-length")
}
