//! Amounts of money, exact to a millionth of the currency's unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Parts of a unit that are told apart.
const PARTS: u128 = 1_000_000;
/// Digits after the point.
const DIGITS: usize = 6;
/// Digits before the point of what is written.
const WHOLE_DIGITS_MAX: usize = 12;

/// An amount that is not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Amount(u128);

impl Amount {
    /// Reads `12`, `12.5` or `0.000001`; `None` where it is something else, or finer or larger than amounts are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let is_empty_end = text.ends_with('.');
        if whole.is_empty() || whole.len() > WHOLE_DIGITS_MAX || rest.len() > DIGITS || is_empty_end {
            return None;
        }
        if !is_digits(whole) || !is_digits(rest) {
            return None;
        }
        let parts: u128 = format!("{rest:0<DIGITS$}").parse().ok()?;
        Some(Self(whole.parse::<u128>().ok()? * PARTS + parts))
    }

    /// Returns so many times the amount.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// Returns the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Amount {
    /// Writes it with two digits after the point, or with as many as it takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = format!("{:0DIGITS$}", self.0 % PARTS);
        let kept = rest.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / PARTS, rest.get(..kept).unwrap_or(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let amount = |text: &str| Amount::parse(text).unwrap();
        for (written, shown) in
            [("0", "0.00"), ("12", "12.00"), ("12.5", "12.50"), ("0.000001", "0.000001"), ("0.10", "0.10")]
        {
            assert_eq!(amount(written).to_string(), shown);
        }
        assert_eq!(amount("0.1").times(3).to_string(), "0.30");
        assert_eq!(amount("0.000001").times(u64::MAX).to_string(), "18446744073709.551615");
        assert_eq!(amount("1.25").plus(amount("2.75")), amount("4"));
        for wrong in ["", ".5", "1.", "-1", "+1", "1e3", "1,5", "1.0000001", "1234567890123", " 1", "1.2.3"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong:?}");
        }
    }
}
