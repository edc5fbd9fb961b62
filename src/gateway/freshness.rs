//! Until when the gateway may serve by the state that it has. One number, read once by each call to a protected
//! operation; who sets it, and by what right, is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// Every moment.
const ALWAYS: u64 = u64::MAX;

/// Until when the state is new enough to be served by.
#[derive(Debug)]
pub struct Freshness {
    until_ms: AtomicU64,
}

impl Freshness {
    /// The state is always new enough.
    #[must_use]
    pub fn always() -> Arc<Self> {
        Arc::new(Self { until_ms: AtomicU64::new(ALWAYS) })
    }

    /// The state is not new enough until somebody says so.
    #[must_use]
    pub fn not_yet() -> Arc<Self> {
        Arc::new(Self { until_ms: AtomicU64::new(0) })
    }

    /// Returns the milliseconds since the machine started, those in which it slept included: a machine that was
    /// suspended must not take its state for new when it wakes.
    #[must_use]
    pub fn now_ms() -> u64 {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        seconds.saturating_mul(1000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
    }

    /// The state is new enough up to `until_ms`, a moment of [`Freshness::now_ms`], or later where that was known.
    pub fn extend_to(&self, until_ms: u64) {
        self.until_ms.fetch_max(until_ms, Ordering::Release);
    }

    /// The state is always new enough from now on.
    pub fn set_always(&self) {
        self.until_ms.store(ALWAYS, Ordering::Release);
    }

    /// Says whether the state is new enough now. One load where it always is; one more look at the clock elsewhere.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let until_ms = self.until_ms.load(Ordering::Acquire);
        until_ms == ALWAYS || Self::now_ms() < until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_new_enough_up_to_the_moment_that_was_said_and_never_shorter() {
        let freshness = Freshness::not_yet();
        assert!(!freshness.is_fresh());
        freshness.extend_to(Freshness::now_ms() + 60_000);
        freshness.extend_to(1);
        assert!(freshness.is_fresh(), "what was known stays");
        let past = Freshness::not_yet();
        past.extend_to(Freshness::now_ms());
        assert!(!past.is_fresh(), "the moment itself is too late");
        past.set_always();
        assert!(past.is_fresh() && Freshness::always().is_fresh());
    }
}
