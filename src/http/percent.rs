//! Percent-encoding (RFC 3986, section 2.1).

/// Encodes everything but what is unreserved (section 2.3): for a value in a query, or in a header field (RFC 8187).
#[must_use]
pub fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
