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

/// Says whether a path is UTF-8 once it is decoded. A `%` without two digits behind stands for itself.
#[must_use]
pub fn is_utf8(path: &str) -> bool {
    if !path.contains('%') {
        return true;
    }
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let (bytes, mut decoded, mut at) = (path.as_bytes(), Vec::with_capacity(path.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4) | low);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    std::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn a_path_is_looked_at_as_it_is_decoded() {
        for (path, expected) in [
            ("/a", true),
            ("/%C3%A4", true),
            ("/100%", true),
            ("/%zz%4", true),
            ("/%ff", false),
            ("/%C3/%A4", false),
            ("/%c3", false),
        ] {
            assert_eq!(is_utf8(path), expected, "{path}");
        }
    }
}
