//! Calls that lead to no API, as far as they are noted: who scans a gateway for what may be there is seen by them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Bytes of the verb that are kept.
pub const STRAY_VERB_BYTES_MAX: usize = 32;
/// Bytes of the path that are kept.
pub const STRAY_PATH_BYTES_MAX: usize = 512;
/// Bytes of all header fields that are kept.
pub const STRAY_HEADERS_BYTES_MAX: usize = 2_048;
/// Calls that are kept at most, whatever is asked for.
pub const STRAYS_MAX: u32 = 10_000;

/// A call that led to no API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayCall {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub from: IpAddr,
    /// The id of the request (`X-Request-Id`).
    pub request_id: String,
    /// The verb.
    pub verb: String,
    /// The path, without the query.
    pub path: String,
    /// The header fields, as `[Host=…, User-Agent=…]`, without the values of those that may prove something.
    pub headers: String,
}

/// Returns the beginning of a text, of at most so many bytes.
#[must_use]
pub fn beginning(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn a_text_is_cut_between_its_characters() {
        assert_eq!(
            (beginning("abc", 2), beginning("aü", 2), beginning("", 5), beginning("abc", 9)),
            ("ab", "a", "", "abc")
        );
    }
}
