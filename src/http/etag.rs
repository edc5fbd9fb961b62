//! Entity tags (RFC 9110, 8.8.3): strong, from the content.

use bytes::Bytes;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::mutant::{self, Mutant};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

/// Returns the tag of a content: the first 16 bytes of its SHA-256.
#[must_use]
pub fn of(content: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(content);
    let mut tag = Vec::with_capacity(34);
    tag.push(b'"');
    tag.extend(
        digest[..16]
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| b"0123456789abcdef"[usize::from(digit)]),
    );
    tag.push(b'"');
    HeaderValue::from_maybe_shared(Bytes::from(tag)).expect("hexadecimal in quotes is a valid header")
}

/// Checks `If-Match` against the tag of the object as it is.
///
/// # Errors
/// 412 where the caller saw another version.
pub fn check_if_match(headers: &HeaderMap, current: &HeaderValue) -> Result<(), ApiError> {
    if mutant::is(Mutant::IgnoreIfMatch) || !headers.contains_key(IF_MATCH) || names(headers, &IF_MATCH, current) {
        return Ok(());
    }
    Err(ApiError::precondition_failed("The object was changed since you read it; read it again, then change it."))
}

/// Says whether the caller has this version already (`If-None-Match`): answer 304 then.
#[must_use]
pub fn is_known(headers: &HeaderMap, current: &HeaderValue) -> bool {
    names(headers, &IF_NONE_MATCH, current)
}

fn names(headers: &HeaderMap, header: &HeaderName, current: &HeaderValue) -> bool {
    let Ok(current) = current.to_str() else { return false };
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_by_somebody_else_is_noticed() {
        let mut headers = HeaderMap::new();
        assert!(check_if_match(&headers, &of(b"new")).is_ok());
        headers.insert(IF_MATCH, of(b"old"));
        assert_eq!(check_if_match(&headers, &of(b"new")).unwrap_err().status(), 412);
        assert!(check_if_match(&headers, &of(b"old")).is_ok());
    }
}
