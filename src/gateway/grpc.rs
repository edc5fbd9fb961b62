//! What the gateway knows of gRPC: how its calls look, how long their callers wait, and how a refusal is told to them
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). The messages inside pass as they are.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Says whether a request is a call of gRPC.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    // Not gRPC-Web, whose callers read statuses of HTTP.
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Says whether a client takes trailers.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"))
}

/// Returns how long the caller waits (`grpc-timeout`): up to eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Returns the fields that tell a caller why its call was refused: status and text, without a body.
pub(crate) fn refusal(status: StatusCode, is_deadline: bool, message: &str) -> [(HeaderName, HeaderValue); 3] {
    let number = match status.as_u16() {
        _ if is_deadline => 4,
        400 => 3,
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        408 => 4,
        413 | 429 => 8,
        502..=504 => 14,
        _ => 13,
    };
    let message = HeaderValue::from_str(&encoded(message)).unwrap_or(HeaderValue::from_static(""));
    [
        (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (STATUS, HeaderValue::from(number)),
        (MESSAGE, message),
    ]
}

/// Encodes a text as gRPC has it: printable letters but the percent sign stay.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            byte => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn timeouts_are_read_in_each_unit() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7_200))),
            ("100m", Some(Duration::from_millis(100))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("m", None),
            ("100000000S", None),
            ("-1S", None),
            ("5X", None),
        ] {
            assert_eq!(timeout(&of(TIMEOUT, text)), expected, "{text}");
        }
    }

    #[test]
    fn calls_are_told_from_others_by_their_type() {
        for (kind, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_call(&of(CONTENT_TYPE, kind)), expected, "{kind}");
        }
    }

    #[test]
    fn texts_are_encoded_as_grpc_has_it() {
        let [.., (_, message)] = refusal(StatusCode::TOO_MANY_REQUESTS, false, "100 % über\n");
        assert_eq!(message, "100 %25 %C3%BCber%0A");
    }
}
