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

    /// Returns a point in time that was measured now, and that is this much `after` an earlier one.
    pub(crate) fn later(&self, earlier: Now, instant: Instant, after: Duration) -> Now {
        if after >= TICK {
            return self.at(instant);
        }
        // The system's clock was followed at most once since: a look at what was said before does.
        let after_ms = u64::from(after.subsec_millis());
        Now { instant, timestamp: Timestamp(earlier.timestamp.0.saturating_add(after_ms)) }
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
