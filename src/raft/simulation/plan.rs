//! What happens to a simulated cluster: drawn from the seed.

use std::time::Duration;

use super::runtime::chance;

/// A fault, or something an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The process ends; its files stay as they are.
    Kill,
    /// The power goes: what was not synced is lost.
    PowerCut,
    /// The power goes everywhere.
    PowerCutOfAll,
    /// One node and the others lose what they send each other.
    CutOff,
    /// Two nodes lose what they send each other.
    CutPair,
    /// What one node sends to another is lost.
    CutOneWay,
    /// What one node and the others send each other arrives when it is over.
    Stall,
    /// Syncs of one node's log take long.
    SlowDisk,
    /// A node takes a snapshot.
    Snapshot,
    /// Another node leads.
    HandOver,
    /// A node votes no longer, or again.
    ChangeRole,
    /// A node is removed, and a new one admitted.
    Replace,
}

/// All of them; the first ones come more often.
pub(super) const EVENTS: [Event; 12] = [
    Event::Kill,
    Event::PowerCut,
    Event::CutOff,
    Event::Stall,
    Event::CutPair,
    Event::CutOneWay,
    Event::PowerCutOfAll,
    Event::SlowDisk,
    Event::HandOver,
    Event::ChangeRole,
    Event::Replace,
    Event::Snapshot,
];

/// Returns a number below `bound`.
pub(super) fn below(bound: usize) -> usize {
    usize::try_from(chance() % bound.max(1) as u64).unwrap_or(0)
}

/// Returns a time between two numbers of milliseconds.
pub(super) fn between_ms(least: u64, most: u64) -> Duration {
    Duration::from_millis(least + chance() % (most - least).max(1))
}

/// Returns what happens next.
pub(super) fn next() -> Event {
    EVENTS[below(EVENTS.len())]
}

/// Returns how long it lasts.
pub(super) fn lasts() -> Duration {
    // Mostly less than an election takes, sometimes until connections are given up.
    match below(4) {
        0 => between_ms(20, 200),
        1 | 2 => between_ms(200, 1200),
        _ => between_ms(1200, 3500),
    }
}
