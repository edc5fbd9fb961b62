//! What callers are told of their quotas, in header fields. It takes nothing from them.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::port::Standing;
use portcullis_model::{QuotaUnit, Timestamp};

use crate::quota::Limits;
use crate::upstream::request::Fields as _;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
// The limit of which least is left; the reset is in seconds from now.
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What callers are told in.
pub(crate) trait Tell {
    /// Has a field say `value`, whatever it said before.
    fn text(&mut self, name: &HeaderName, value: &HeaderValue);

    /// The same with what is written to it, some `bytes`.
    fn list(&mut self, name: &HeaderName, bytes: usize, write: impl FnOnce(&mut Vec<u8>));
}

impl Tell for HeaderMap {
    fn text(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.insert(name, value.clone());
    }

    fn list(&mut self, name: &HeaderName, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::with_capacity(bytes);
        write(&mut text);
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
            self.insert(name, value);
        }
    }
}

/// Lines of a head that say nothing of it yet.
impl Tell for Vec<u8> {
    fn text(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.field(name.as_str(), value.as_bytes());
    }

    fn list(&mut self, name: &HeaderName, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.reserve(name.as_str().len() + bytes + OTHERS_BYTES);
        self.begin(name.as_str());
        write(self);
        self.end();
    }
}

/// Bytes that where a caller stands takes for one limit, as a rule.
const STANDING_BYTES: usize = 48;

/// Bytes that the other fields take which the gateway adds to an answer, as a rule.
const OTHERS_BYTES: usize = 160;

/// What callers were last told: what the quotas are seldom changes, and of what is left of them most digits stay.
#[derive(Default)]
pub(crate) struct Told {
    /// The quota and the length of the window of each limit.
    quotas: Vec<(u64, u64)>,
    /// The field that says so; `None` where it is to be made anew.
    text: Option<HeaderValue>,
    /// All of it as lines of a head; empty where they are to be made anew.
    lines: Vec<u8>,
    /// What these lines say is left, and for how long, of one limit after the other.
    numbers: Vec<Number>,
}

/// A number in a text.
struct Number {
    value: u64,
    digits: Range<usize>,
}

impl Limits {
    /// Adds where the caller stands (draft-ietf-httpapi-ratelimit-headers); nothing where nothing is limited.
    pub(crate) fn describe(&self, has_x_ratelimit: bool, now: Timestamp, out: &mut impl Tell) {
        if self.all.is_empty() {
            return;
        }
        let told = &mut *self.told.borrow_mut();
        // The places that are noted of numbers are those in another text from here on.
        told.lines.clear();
        self.look(told, now);
        self.tell(told, out);
        if has_x_ratelimit {
            let standings = told.quotas.iter().zip(told.numbers.chunks(2));
            if let Some(((limit, _), [remaining, resets_in_s])) =
                standings.min_by_key(|(_, standing)| standing[0].value)
            {
                out.text(&X_RATELIMIT_LIMIT, &(*limit).into());
                out.text(&X_RATELIMIT_REMAINING, &remaining.value.into());
                out.text(&X_RATELIMIT_RESET, &resets_in_s.value.into());
            }
        }
    }

    /// The same as lines of a head. They are those of the call before but for the digits that differ.
    pub(crate) fn describe_in_lines(&self, has_x_ratelimit: bool, now: Timestamp, out: &mut Vec<u8>) {
        if has_x_ratelimit || self.all.is_empty() {
            return self.describe(has_x_ratelimit, now, out);
        }
        let told = &mut *self.told.borrow_mut();
        if !self.look(told, now) {
            let mut lines = std::mem::take(&mut told.lines);
            lines.clear();
            self.tell(told, &mut lines);
            told.lines = lines;
        }
        out.extend_from_slice(&told.lines);
    }

    /// Notes where the caller stands; says whether the lines say so, or do now.
    fn look(&self, told: &mut Told, now: Timestamp) -> bool {
        let mut are_same = true;
        for (number, limit) in self.all.iter().enumerate() {
            let Standing { limit, window_s, remaining, resets_at } = limit.allowance.standing(now);
            told.note(number, (limit, window_s));
            are_same &= told.has(number * 2, remaining);
            are_same &= told.has(number * 2 + 1, resets_at.0.saturating_sub(now.0).div_ceil(1000));
        }
        are_same && !told.lines.is_empty()
    }

    /// Tells what is noted, and notes where in the text the numbers are.
    fn tell(&self, Told { quotas, text, numbers, .. }: &mut Told, out: &mut impl Tell) {
        out.list(&RATELIMIT, self.all.len() * STANDING_BYTES, |standings| {
            for (number, (limit, standing)) in self.all.iter().zip(numbers.chunks_mut(2)).enumerate() {
                separate(standings, number, &limit.name);
                for (name, Number { value, digits }) in [";r=", ";t="].iter().zip(standing) {
                    *digits = write(standings, name, *value);
                }
            }
        });
        if text.is_none() {
            *text = self.policies(quotas);
        }
        if let Some(text) = text {
            out.text(&RATELIMIT_POLICY, text);
        }
    }

    /// Returns the field that says what the quotas are.
    fn policies(&self, quotas: &[(u64, u64)]) -> Option<HeaderValue> {
        let mut text = Vec::new();
        for (number, (limit, (quota, window_s))) in self.all.iter().zip(quotas).enumerate() {
            separate(&mut text, number, &limit.name);
            write(&mut text, ";q=", *quota);
            if limit.unit == QuotaUnit::Bytes {
                text.extend_from_slice(b";qu=\"content-bytes\"");
            }
            write(&mut text, ";w=", *window_s);
        }
        HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
    }
}

impl Told {
    /// Notes the quota of a limit, and that callers were told another.
    fn note(&mut self, limit: usize, quota: (u64, u64)) {
        if self.quotas.get(limit) != Some(&quota) {
            self.quotas.truncate(limit);
            self.quotas.push(quota);
            self.text = None;
            self.lines.clear();
        }
    }

    /// Notes a number of the lines; says whether they have it, or do now.
    fn has(&mut self, place: usize, value: u64) -> bool {
        let Some(number) = self.numbers.get_mut(place) else {
            self.numbers.push(Number { value, digits: 0..0 });
            return false;
        };
        let was = std::mem::replace(&mut number.value, value);
        was == value || self.lines.get_mut(number.digits.clone()).is_some_and(|digits| renew(digits, was, value))
    }
}

/// Writes a number over the digits of another, of which those in front stay as a rule. Says whether it has as many; they are no
/// number any more where it has not.
fn renew(digits: &mut [u8], mut was: u64, mut value: u64) -> bool {
    for (number, digit) in digits.iter_mut().rev().enumerate() {
        if was == value {
            return true;
        }
        if value == 0 && number > 0 {
            return false;
        }
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        (was, value) = (was / 10, value / 10);
    }
    was == value
}

/// Begins a member of a list.
fn separate(text: &mut Vec<u8>, number: usize, name: &str) {
    if number > 0 {
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(name.as_bytes());
}

/// Writes a parameter; returns where its digits are.
fn write(text: &mut Vec<u8>, name: &str, value: u64) -> Range<usize> {
    text.extend_from_slice(name.as_bytes());
    let begin = text.len();
    text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    begin..text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::renew;

    proptest! {
        #[test]
        fn a_number_is_written_over_another_where_it_has_as_many_digits(was in 0..2000_u64, value in 0..2000_u64) {
            let mut digits = was.to_string().into_bytes();
            let has_as_many = was.to_string().len() == value.to_string().len();
            prop_assert_eq!(renew(&mut digits, was, value), has_as_many);
            if has_as_many {
                prop_assert_eq!(digits, value.to_string().into_bytes());
            }
        }
    }
}
