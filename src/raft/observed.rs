//! What Raft's writer and state machine count of themselves: how long syncs and commands take. Adding costs a few
//! atomic additions and no lock; the exposition form is not known here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_database::command::COMMANDS;

/// The upper bounds of the buckets, in microseconds; one more bucket holds what is above.
const BOUNDS_US: [u64; 20] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationFigures {
    /// The upper bound of each bucket in seconds, and how many durations are in it; the last is without bound.
    pub buckets: Vec<(f64, u64)>,
    /// How many durations there were.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_s: f64,
}

impl Durations {
    /// Adds a duration.
    pub(crate) fn add(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Reads the histogram.
    pub(crate) fn figures(&self) -> DurationFigures {
        let bounds = BOUNDS_US.iter().map(|us| Duration::from_micros(*us).as_secs_f64()).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum_s = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        DurationFigures { buckets, count, sum_s }
    }
}

/// What the state machine observes of itself.
#[derive(Debug)]
pub(crate) struct Observed {
    /// How long each command takes to be applied, in the order of the list of commands.
    applies: Vec<Durations>,
}

impl Default for Observed {
    fn default() -> Self {
        Self { applies: COMMANDS.iter().map(|_| Durations::default()).collect() }
    }
}

impl Observed {
    /// Notes how long a command took.
    pub(crate) fn applied(&self, command: u16, took: Duration) {
        if let Ok(position) = COMMANDS.binary_search_by_key(&command, |(number, _)| *number) {
            self.applies[position].add(took);
        }
    }

    /// Returns how long the commands took that were applied since the start.
    pub(crate) fn applies(&self) -> Vec<(&'static str, DurationFigures)> {
        let named = COMMANDS.iter().zip(&self.applies);
        named
            .map(|((_, name), durations)| (*name, durations.figures()))
            .filter(|(_, figures)| figures.count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_holds_it() {
        let observed = Observed::default();
        observed.applied(6, Duration::from_micros(10));
        observed.applied(6, Duration::from_micros(11));
        observed.applied(6, Duration::from_secs(5));
        observed.applied(u16::MAX, Duration::from_secs(5));
        let applies = observed.applies();
        let [(name, figures)] = applies.as_slice() else { panic!("{applies:?}") };
        assert_eq!((*name, figures.count), ("UpdateNode", 3));
        assert!((figures.sum_s - 5.000_021).abs() < 1e-9, "{figures:?}");
        let filled: Vec<f64> =
            figures.buckets.iter().filter(|(_, count)| *count == 1).map(|(bound, _)| *bound).collect();
        assert_eq!(filled, [0.00001, 0.000025, 5.0]);
    }
}
