//! What callers are told of their quotas, in header fields. It takes nothing from them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::port::Standing;
use portcullis_model::{QuotaUnit, Timestamp};

use crate::quota::{Limit, Limits};
use crate::upstream::request::decimal;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
// The limit of which least is left; the reset is in seconds from now.
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Bytes that where a caller stands takes for one limit, as a rule.
const STANDING_BYTES: usize = 48;

/// What callers were last told the quotas are: it seldom changes.
#[derive(Default)]
pub(crate) struct Told {
    /// The quota and the length of the window of each limit.
    quotas: Vec<(u64, u64)>,
    /// The field that says so; `None` where it is to be made anew.
    text: Option<HeaderValue>,
}

impl Limits {
    /// Adds where the caller stands (draft-ietf-httpapi-ratelimit-headers); nothing where nothing is limited.
    pub(crate) fn describe(&self, has_x_ratelimit: bool, now: Timestamp, headers: &mut HeaderMap) {
        if self.all.is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        let mut standings = Vec::with_capacity(self.all.len() * STANDING_BYTES);
        let mut tightest: Option<(u64, u64, u64)> = None;
        for (number, Limit { name, allowance, .. }) in self.all.iter().map(|limit| &**limit).enumerate() {
            let Standing { limit, window_s, remaining, resets_at } = allowance.standing(now);
            told.note(number, (limit, window_s));
            let resets_in_s = resets_at.0.saturating_sub(now.0).div_ceil(1000);
            separate(&mut standings, name);
            write(&mut standings, ";r=", remaining);
            write(&mut standings, ";t=", resets_in_s);
            if tightest.is_none_or(|(_, least, _)| remaining < least) {
                tightest = Some((limit, remaining, resets_in_s));
            }
        }
        let Told { quotas, text } = &mut *told;
        if text.is_none() {
            *text = self.policies(quotas);
        }
        if let Some(text) = text {
            headers.insert(RATELIMIT_POLICY, text.clone());
        }
        if let Ok(standings) = HeaderValue::from_maybe_shared(Bytes::from(standings)) {
            headers.insert(RATELIMIT, standings);
        }
        if let Some((limit, remaining, resets_in_s)) = tightest.filter(|_| has_x_ratelimit) {
            headers.insert(X_RATELIMIT_LIMIT, limit.into());
            headers.insert(X_RATELIMIT_REMAINING, remaining.into());
            headers.insert(X_RATELIMIT_RESET, resets_in_s.into());
        }
    }

    /// Returns the field that says what the quotas are.
    fn policies(&self, quotas: &[(u64, u64)]) -> Option<HeaderValue> {
        let mut text = Vec::new();
        for (limit, (quota, window_s)) in self.all.iter().zip(quotas) {
            separate(&mut text, &limit.name);
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
        }
    }
}

/// Begins the next member of a list.
fn separate(text: &mut Vec<u8>, name: &str) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(name.as_bytes());
}

/// Writes a parameter.
fn write(text: &mut Vec<u8>, name: &str, value: u64) {
    let (digits, at) = decimal(value);
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(&digits[at..]);
}
