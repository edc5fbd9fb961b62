//! How far a client is behind the slowest pace at which it may send a body or take an answer. Only the time counts in
//! which it is waited for, so a slow backend never looks like a slow client; and what was sent fast yesterday is no
//! credit: bytes make up for time that was lost before them, not after.

use std::time::Duration;

use crate::alarm::millis;

/// The slowest pace that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowestPace {
    bytes_per_s: u64,
    /// How far one may be behind.
    behind_max_ms: u64,
}

impl SlowestPace {
    /// Returns the pace; `None` where any is accepted, which 0 bytes per second say.
    pub(crate) fn new(bytes_per_s: u64, behind_max: Duration) -> Option<Self> {
        let behind_max_ms = millis(behind_max);
        (bytes_per_s > 0).then_some(Self { bytes_per_s, behind_max_ms })
    }

    /// Returns how long so many bytes may take.
    fn ms_for(self, bytes: usize) -> u64 {
        (bytes as u64).saturating_mul(1_000) / self.bytes_per_s
    }
}

/// How far one client is behind. Times are the worker's milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    behind_ms: u64,
    waited_since_ms: Option<u64>,
}

impl Pace {
    /// Says whether the client is neither waited for nor behind: the usual case.
    pub(crate) fn is_even(self) -> bool {
        self == Self::default()
    }

    /// Returns since when the client is waited for.
    pub(crate) fn waited_since_ms(self) -> Option<u64> {
        self.waited_since_ms
    }

    /// Notes that the client is waited for.
    pub(crate) fn waits(&mut self, now_ms: u64) {
        self.waited_since_ms.get_or_insert(now_ms);
    }

    /// Notes that the client sent or took something and is not waited for any more.
    pub(crate) fn moves(&mut self, bytes: usize, now_ms: u64, slowest: Option<SlowestPace>) {
        let waited_ms = self.waited_since_ms.take().map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        if let Some(slowest) = slowest {
            self.behind_ms = (self.behind_ms + waited_ms).saturating_sub(slowest.ms_for(bytes));
        }
    }

    /// Returns when the client is too far behind if nothing comes until then; `None` where it is not waited for.
    pub(crate) fn too_late_at_ms(self, slowest: SlowestPace) -> Option<u64> {
        let left_ms = slowest.behind_max_ms.saturating_sub(self.behind_ms);
        self.waited_since_ms.map(|since_ms| since_ms.saturating_add(left_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, SlowestPace};

    fn slowest() -> SlowestPace {
        SlowestPace::new(100, Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn whoever_keeps_the_pace_may_go_on_for_ever_and_who_does_not_is_found() {
        for (bytes, is_found) in [(100, false), (99, true)] {
            let mut pace = Pace::default();
            let found = (0..2_000_u64).any(|second| {
                pace.waits(second * 1_000);
                let is_late = pace.too_late_at_ms(slowest()).unwrap() <= second * 1_000 + 999;
                pace.moves(bytes, (second + 1) * 1_000, Some(slowest()));
                is_late
            });
            assert_eq!(found, is_found, "{bytes} bytes a second");
        }
    }

    #[test]
    fn what_was_fast_before_is_no_credit_and_time_at_the_other_end_does_not_count() {
        let mut pace = Pace::default();
        pace.waits(0);
        pace.moves(1 << 30, 10, Some(slowest()));
        assert!(pace.is_even());
        pace.waits(900_000);
        assert_eq!(pace.too_late_at_ms(slowest()), Some(910_000));
        pace.waits(905_000);
        assert_eq!(pace.too_late_at_ms(slowest()), Some(910_000), "it is waited for since then all the same");
        pace.moves(100, 905_000, Some(slowest()));
        pace.waits(905_000);
        assert_eq!(pace.too_late_at_ms(slowest()), Some(911_000), "a second's bytes make up for a second");
    }

    #[test]
    fn no_pace_is_too_slow_where_none_is_set() {
        assert_eq!(SlowestPace::new(0, Duration::from_secs(1)), None);
        let mut pace = Pace::default();
        pace.waits(0);
        pace.moves(1, 1_000_000, None);
        assert!(pace.is_even());
    }
}
