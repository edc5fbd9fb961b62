//! Points in time as text. The clock is not read here.

use portcullis_model::Timestamp;

/// Returns a point in time in the form of RFC 3339 (`2026-01-02T03:04:05.678Z`); the last that can be written where it
/// is beyond the year 9999.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Returns the point in time that a text of RFC 3339 names, if it is one since 1970.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(rfc3339(Timestamp(1_767_323_045_678)), "2026-01-02T03:04:05.678Z");
        assert!(rfc3339(Timestamp(u64::MAX)).starts_with("9999-"));
        assert_eq!(from_rfc3339("2026-01-02T04:04:05.678+01:00"), Some(Timestamp(1_767_323_045_678)));
        assert_eq!((from_rfc3339("tomorrow"), from_rfc3339("1969-01-01T00:00:00Z")), (None, None));
    }
}
