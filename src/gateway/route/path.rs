//! Checks a request's path before it is routed, so that gateway and backend cannot read it differently (RFC 3986).
//!
//! A path is refused rather than repaired: what the backend gets is what the client sent.

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    /// It does not begin with a slash.
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// A segment is `.` or `..`, as such, encoded, or with parameters (`..;a`), which some backends take off first.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Two slashes follow each other.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// A `%` without two hexadecimal digits.
    #[error("the path holds a broken percent-encoding")]
    BrokenEncoding,
    /// A slash, backslash or control character, as such or encoded.
    #[error("the path holds a character that is not allowed there")]
    Character,
}

/// What a byte of a path is: any of these, together.
const REFUSED: u8 = 1;
const PERCENT: u8 = 2;
const SLASH: u8 = 4;
const DOT: u8 = 8;

/// What each byte is, by its number.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' => PERCENT,
            b'\\' | 0..=0x20 | 0x7f.. => REFUSED,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Checks `path` and returns it decoded. Decoded and raw path have the same segments.
///
/// # Errors
/// Where a backend might take the path for another than the one that was checked here.
pub(crate) fn check(path: &str) -> Result<Cow<'_, [u8]>, BadPath> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(BadPath::NotAbsolute);
    }
    let (mut seen, mut behind_slash, mut before) = (0, 0, 0);
    for &byte in bytes {
        let kind = KINDS[usize::from(byte)];
        seen |= kind;
        // The bits of slash and dot, where the byte before is a slash.
        behind_slash |= kind & (before & SLASH).wrapping_neg();
        before = kind;
    }
    if seen & REFUSED != 0 {
        return Err(BadPath::Character);
    }
    let has_percent = seen & PERCENT != 0;
    let decoded = if has_percent { Cow::Owned(decode(bytes)?) } else { Cow::Borrowed(bytes) };
    if has_percent || behind_slash & (SLASH | DOT) != 0 {
        check_segments(&decoded)?;
    }
    Ok(decoded)
}

/// Returns `text` percent-decoded.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BadPath::BrokenEncoding) };
        let value = u8::try_from(high * 16 + low).map_err(|_| BadPath::BrokenEncoding)?;
        if matches!(value, b'/' | b'\\' | 0..0x20 | 0x7f) {
            return Err(BadPath::Character);
        }
        decoded.push(value);
    }
    Ok(decoded)
}

fn check_segments(path: &[u8]) -> Result<(), BadPath> {
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match segment {
            _ if matches!(name, b"." | b"..") => return Err(BadPath::DotSegment),
            b"" if segments.peek().is_some() => return Err(BadPath::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// Returns where the first `count` segments of `path` end, or `None` where it has fewer.
pub(crate) fn end_of_segments(path: &[u8], count: usize) -> Option<usize> {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    // The slash that ends segment `count` is the one after it: the path begins with a slash too.
    let end = slashes.nth(count);
    match end {
        Some(at) => Some(at),
        None if path.iter().filter(|byte| **byte == b'/').count() == count => Some(path.len()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{BadPath, check, end_of_segments};

    #[test]
    fn plain_and_encoded_paths_pass_decoded() {
        assert_eq!(&*check("/pizza/1.0.0/menu/").unwrap(), b"/pizza/1.0.0/menu/");
        assert_eq!(&*check("/%6denu/.hidden/a..b").unwrap(), b"/menu/.hidden/a..b");
        assert_eq!(&*check("/").unwrap(), b"/");
        assert_eq!(&*check("/a;v=1/;id=5/..b;c").unwrap(), b"/a;v=1/;id=5/..b;c");
    }

    #[test]
    fn paths_that_a_backend_may_read_otherwise_are_refused() {
        let cases = [
            ("/a/../b", BadPath::DotSegment),
            ("/a/%2e%2E/b", BadPath::DotSegment),
            ("/a/.%2e", BadPath::DotSegment),
            ("/a/./b", BadPath::DotSegment),
            ("/a/..;/b", BadPath::DotSegment),
            ("/a/%2e.;x=y/b", BadPath::DotSegment),
            ("/a//b", BadPath::EmptySegment),
            ("//a", BadPath::EmptySegment),
            ("/a%2fb", BadPath::Character),
            ("/a%5Cb", BadPath::Character),
            ("/a\\b", BadPath::Character),
            ("/a%00", BadPath::Character),
            ("/a%0d%0ab", BadPath::Character),
            ("/a%4", BadPath::BrokenEncoding),
            ("/a%zz", BadPath::BrokenEncoding),
            ("*", BadPath::NotAbsolute),
            ("", BadPath::NotAbsolute),
        ];
        for (path, expected) in cases {
            assert_eq!(check(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn segments_are_counted_from_the_front() {
        assert_eq!(end_of_segments(b"/a/b/c", 2), Some(4));
        assert_eq!(end_of_segments(b"/a/b", 2), Some(4));
        assert_eq!(end_of_segments(b"/a/b/", 2), Some(4));
        assert_eq!(end_of_segments(b"/a", 2), None);
        assert_eq!(end_of_segments(b"/a", 0), Some(0));
    }
}
