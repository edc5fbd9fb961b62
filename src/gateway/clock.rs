//! The time of a request: one reading of the clock gives both the time of day and a point to measure from.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_model::Timestamp;

use crate::alarm::{TICK, millis};

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

    /// Returns a point in time that was measured now, and how long after an `earlier` one it is.
    pub(crate) fn later(&self, earlier: Now, instant: Instant) -> (Now, Duration) {
        let after = instant.saturating_duration_since(earlier.instant);
        if after >= TICK {
            return (self.at(instant), after);
        }
        // The system's clock was followed once since, at most: the time of day is as far on as the time.
        let timestamp = Timestamp(earlier.timestamp.0.saturating_add(millis(after)));
        (Now { instant, timestamp }, after)
    }

    fn at(&self, instant: Instant) -> Now {
        let (base, base_ms) = self.base.get();
        let since_ms = millis(instant.saturating_duration_since(base));
        Now { instant, timestamp: Timestamp(base_ms.saturating_add(since_ms)) }
    }
}

fn system_ms() -> u64 {
    // A clock before 1970 is a broken clock; tokens and windows then count from the epoch.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
