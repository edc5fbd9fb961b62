//! The time of a request: one reading of the clock gives both the time of day and a point to measure from.

use std::cell::Cell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use portcullis_model::Timestamp;

/// A worker's clock. It follows the system's clock from tick to tick and runs evenly between.
pub(crate) struct Clock {
    base: Cell<(Instant, u64)>,
}

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// To measure from.
    pub(crate) instant: Instant,
    /// The time of day.
    pub(crate) timestamp: Timestamp,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { base: Cell::new((Instant::now(), system_ms())) }
    }

    /// Follows the system's clock.
    pub(crate) fn tick(&self) {
        self.base.set((Instant::now(), system_ms()));
    }

    /// Returns the time of day of the last tick.
    pub(crate) fn ticked(&self) -> Timestamp {
        Timestamp(self.base.get().1)
    }

    pub(crate) fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// Returns a point in time that was measured since the last tick, or shortly before.
    pub(crate) fn at(&self, instant: Instant) -> Now {
        let (base, base_ms) = self.base.get();
        let since_ms = u64::try_from(instant.saturating_duration_since(base).as_millis()).unwrap_or(u64::MAX);
        Now { instant, timestamp: Timestamp(base_ms.saturating_add(since_ms)) }
    }
}

fn system_ms() -> u64 {
    // A clock before 1970 is a broken clock; tokens and windows then count from the epoch.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
