//! Bodies packed and unpacked: answers by gzip for clients that take it, calls for backends and policies that look into
//! them (RFC 9110 §8.4). What is unpacked is bounded, whatever it claims to be.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// How hard is tried: higher levels cost much more time than they save bytes.
const LEVEL: u32 = 4;
/// What media types beside texts are worth it.
const PACKED_KINDS: [&str; 5] = ["json", "xml", "javascript", "wasm", "x-www-form-urlencoded"];

/// Packs a body piece by piece.
pub(crate) struct Packer(GzEncoder<Vec<u8>>);

impl Packer {
    pub(crate) fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::new(LEVEL)))
    }

    /// Packs a piece, so that the client can unpack it before the next one comes.
    pub(crate) fn pack(&mut self, piece: &[u8]) -> Bytes {
        // Writing to a list of bytes cannot fail.
        let written = self.0.write_all(piece).and_then(|()| self.0.flush());
        debug_assert!(written.is_ok());
        std::mem::take(self.0.get_mut()).into()
    }

    /// Returns what ends a packed body.
    pub(crate) fn finish(&mut self) -> Bytes {
        let ended = self.0.try_finish();
        debug_assert!(ended.is_ok());
        std::mem::take(self.0.get_mut()).into()
    }
}

/// Packs a whole body.
pub(crate) fn pack(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::new(LEVEL));
    // Writing to a list of bytes cannot fail.
    let written = encoder.write_all(body);
    debug_assert!(written.is_ok());
    encoder.finish().unwrap_or_default().into()
}

/// A packed body that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotUnpack {
    #[error("the body is packed by {0}; gzip and deflate are unpacked here")]
    Coding(String),
    #[error("the body is not what its Content-Encoding says: {0}")]
    Broken(io::Error),
    #[error("the body would have more than {0} bytes")]
    TooLarge(usize),
}

/// Says by what a body is packed, if by anything.
pub(crate) fn coding(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let text = texts.collect::<Vec<_>>().join(", ").trim().to_ascii_lowercase();
    (!text.is_empty() && text != "identity").then_some(text)
}

/// Unpacks a body, up to so many bytes.
///
/// # Errors
/// Where the coding is not known, the body is broken, or it would become larger.
pub(crate) fn unpack(coding: &str, body: &[u8], bytes_max: usize) -> Result<Bytes, CannotUnpack> {
    let mut unpacked = Vec::new();
    // One more tells whether there is more.
    let limit = bytes_max as u64 + 1;
    let read = match coding {
        "gzip" | "x-gzip" => MultiGzDecoder::new(body).take(limit).read_to_end(&mut unpacked),
        "deflate" => ZlibDecoder::new(body).take(limit).read_to_end(&mut unpacked),
        other => return Err(CannotUnpack::Coding(other.chars().take(64).collect())),
    };
    read.map_err(CannotUnpack::Broken)?;
    if unpacked.len() > bytes_max { Err(CannotUnpack::TooLarge(bytes_max)) } else { Ok(unpacked.into()) }
}

/// Says whether a client takes gzip (RFC 9110 §12.5.3).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for item in texts.flat_map(|text| text.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        let is_taken = weight.is_ok_and(|weight| weight > 0.0);
        match name.as_str() {
            "gzip" | "x-gzip" => return is_taken,
            "*" => any = is_taken,
            _ => {}
        }
    }
    any
}

/// Says whether an answer is worth packing, and may be.
pub(crate) fn is_worth_it(status: StatusCode, headers: &HeaderMap, bytes_min: u64) -> bool {
    let has_body = !matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT | StatusCode::RESET_CONTENT
    );
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let length: Option<u64> = text(CONTENT_LENGTH).parse().ok();
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_packable = kind.starts_with("text/") || kind.split(['/', '+']).any(|part| PACKED_KINDS.contains(&part));
    has_body
        && is_packable
        // Its client waits for each event by itself.
        && kind != "text/event-stream"
        && length.is_none_or(|length| length >= bytes_min)
        && coding(headers).is_none()
        && !text(CACHE_CONTROL).to_ascii_lowercase().contains("no-transform")
}

/// Says of an answer that it is packed.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    // It is not the same byte for byte any more (RFC 9110 §8.8.1).
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(weak) = tag.and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

/// Says of an answer that it differs by what its caller takes.
pub(crate) fn mark_varying(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn pieces_unpack_to_what_was_packed() {
        let mut packer = Packer::new();
        let mut packed = Vec::new();
        for piece in ["one ", "two ", "three"] {
            let some = packer.pack(piece.as_bytes());
            assert!(!some.is_empty(), "each piece comes out at once");
            packed.extend_from_slice(&some);
        }
        packed.extend_from_slice(&packer.finish());
        assert_eq!(unpack("gzip", &packed, 100).unwrap(), "one two three");
        assert_eq!(unpack("gzip", &pack(b"whole"), 5).unwrap(), "whole");
    }

    #[test]
    fn what_grows_beyond_the_bound_or_is_broken_is_refused() {
        let bomb = pack(&vec![0; 10 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack("gzip", &bomb, 1 << 20), Err(CannotUnpack::TooLarge(_))));
        assert!(matches!(unpack("gzip", b"plain", 100), Err(CannotUnpack::Broken(_))));
        assert!(matches!(unpack("br", b"", 100), Err(CannotUnpack::Coding(_))));
        assert!(matches!(unpack("gzip, gzip", &bomb, 100), Err(CannotUnpack::Coding(_))));
    }

    #[test]
    fn clients_say_what_they_take() {
        for (text, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&of(ACCEPT_ENCODING, text)), expected, "{text}");
        }
    }

    #[test]
    fn only_what_is_worth_it_is_packed() {
        let mut headers = of(CONTENT_TYPE, "application/problem+json; charset=utf-8");
        assert!(is_worth_it(StatusCode::OK, &headers, 10));
        assert!(!is_worth_it(StatusCode::PARTIAL_CONTENT, &headers, 10));
        headers.insert(CONTENT_LENGTH, 9.into());
        assert!(!is_worth_it(StatusCode::OK, &headers, 10) && is_worth_it(StatusCode::OK, &headers, 9));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("No-Transform"));
        assert!(!is_worth_it(StatusCode::OK, &headers, 0));
        for kind in ["image/png", "text/event-stream", "application/octet-stream"] {
            assert!(!is_worth_it(StatusCode::OK, &of(CONTENT_TYPE, kind), 0), "{kind}");
        }
    }
}
