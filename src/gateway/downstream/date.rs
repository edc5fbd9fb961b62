//! The `Date` of answers (RFC 9110 §6.6.1), made once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use portcullis_model::Timestamp;

/// Characters of a date.
const DATE_CHARS: usize = 29;

/// The date of answers that have none of their own.
pub(crate) struct Date {
    second: Cell<u64>,
    text: Cell<[u8; DATE_CHARS]>,
}

impl Date {
    pub(crate) fn new(now: Timestamp) -> Self {
        let date = Self { second: Cell::new(u64::MAX), text: Cell::new([b' '; DATE_CHARS]) };
        date.tick(now);
        date
    }

    /// Follows the clock.
    pub(crate) fn tick(&self, now: Timestamp) {
        let second = now.0 / 1000;
        if self.second.replace(second) != second {
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            if let Ok(text) = text.as_bytes().try_into() {
                self.text.set(text);
            }
        }
    }

    /// Writes the field.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&self.text.get());
        out.extend_from_slice(b"\r\n");
    }
}
