//! Streams of AWS in their own binary form (`application/vnd.amazon.eventstream`): messages of a prelude, headers, a payload and
//! checksums, which are not looked at. Payloads are JSON, or JSON in base64 (`{"bytes": "…"}`).
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

/// Bytes before the headers: the length of all, that of the headers, and a checksum of both.
const PRELUDE_BYTES: usize = 12;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;
/// Bytes of a message (as the format has it).
const MESSAGE_BYTES_MAX: usize = 24 << 20;
/// Bytes of a payload that is looked at: what tells tokens is small.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Follows such a stream.
#[derive(Debug, Default)]
pub(crate) struct EventFrames {
    prelude: Vec<u8>,
    /// Bytes of the message that are still to come, headers first.
    headers_left: usize,
    payload_left: usize,
    checksum_left: usize,
    payload: Vec<u8>,
    /// What came is no such stream; the rest of it is not looked at.
    is_other: bool,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
}

impl EventFrames {
    /// Begins, where the head of an answer says that one comes.
    pub(crate) fn begin(headers: &HeaderMap) -> Option<Self> {
        let said = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        said.eq_ignore_ascii_case("application/vnd.amazon.eventstream").then(Self::default)
    }

    /// Reads the next piece, and hands on each payload that ends in it.
    pub(crate) fn read(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8])) {
        while !piece.is_empty() && !self.is_other {
            if self.prelude.len() < PRELUDE_BYTES {
                let (taken, rest) = piece.split_at(piece.len().min(PRELUDE_BYTES - self.prelude.len()));
                self.prelude.extend_from_slice(taken);
                piece = rest;
                if self.prelude.len() == PRELUDE_BYTES {
                    self.enter();
                }
                continue;
            }
            let is_payload = self.headers_left == 0 && self.payload_left > 0;
            let left = [&mut self.headers_left, &mut self.payload_left, &mut self.checksum_left];
            let Some(left) = left.into_iter().find(|left| **left > 0) else { return };
            let (taken, rest) = piece.split_at(piece.len().min(*left));
            *left -= taken.len();
            piece = rest;
            if is_payload && self.payload.len() + taken.len() <= PAYLOAD_BYTES_MAX {
                self.payload.extend_from_slice(taken);
            }
            if self.checksum_left == 0 {
                self.leave(&mut each);
            }
        }
    }

    /// Begins a message.
    fn enter(&mut self) {
        let number = |at: usize| {
            let bytes = self.prelude[at..at + 4].iter();
            bytes.fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
        };
        let (all, headers) = (number(0), number(4));
        let payload = all.checked_sub(PRELUDE_BYTES + CHECKSUM_BYTES).and_then(|rest| rest.checked_sub(headers));
        match payload.filter(|_| all <= MESSAGE_BYTES_MAX) {
            Some(payload) => {
                (self.headers_left, self.payload_left, self.checksum_left) = (headers, payload, CHECKSUM_BYTES);
            }
            None => self.is_other = true,
        }
    }

    /// Ends a message.
    fn leave(&mut self, each: &mut impl FnMut(&[u8])) {
        let inside =
            serde_json::from_slice(&self.payload).ok().and_then(|Wrapped { bytes }| STANDARD.decode(&*bytes).ok());
        each(inside.as_deref().unwrap_or(&self.payload));
        self.prelude.clear();
        self.payload.clear();
    }
}

/// Writes a message, for tests.
#[cfg(test)]
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    let headers = b"\x0b:event-type\x07\x00\x08metadata";
    let length = |length: usize| u32::try_from(length).expect("it is short").to_be_bytes();
    let all = length(PRELUDE_BYTES + headers.len() + payload.len() + CHECKSUM_BYTES);
    let parts: [&[u8]; 6] = [&all, &length(headers.len()), b"\"{[,", headers, payload, b"}\"]1"];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(stream: &[u8], step: usize) -> Vec<String> {
        let (mut frames, mut found) = (EventFrames::default(), Vec::new());
        for piece in stream.chunks(step) {
            frames.read(piece, |payload| found.push(String::from_utf8_lossy(payload).into_owned()));
        }
        found
    }

    #[test]
    fn payloads_are_found_however_the_stream_is_cut() {
        let large = vec![b'x'; PAYLOAD_BYTES_MAX + 1];
        let wrapped = format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(r#"{"a":1}"#));
        let stream = [message(b"{}"), message(b""), message(wrapped.as_bytes()), message(&large), message(b"end")];
        for step in [1, 3, 16, 1_000, 1 << 20] {
            let found = payloads(&stream.concat(), step);
            assert_eq!(
                (found.len(), &*found[0], &*found[1], &*found[2], &*found[4]),
                (5, "{}", "", r#"{"a":1}"#, "end")
            );
            assert!(found[3].len() <= PAYLOAD_BYTES_MAX, "what is too large is not held");
        }
        assert!(payloads(b"{\"usage\": {\"totalTokens\": 1}}", 4).is_empty(), "no such stream");
        assert!(payloads(&[0; 100], 7).is_empty());
    }
}
