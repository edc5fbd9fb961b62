//! How much happened in simulated schedules: where too little did, nothing is said.

use std::collections::BTreeMap;

use super::plan::{self, Event};

/// How often things happened in schedules.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) schedules: u64,
    pub(super) writes: u64,
    pub(super) reads: u64,
    pub(super) leaders: u64,
    pub(super) events: BTreeMap<Event, u64>,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.writes += other.writes;
        self.reads += other.reads;
        self.leaders += other.leaders;
        for (event, times) in &other.events {
            *self.events.entry(*event).or_default() += times;
        }
    }

    /// Fails where too little happened to say anything.
    pub(super) fn assert_covers(&self, schedules: u64) {
        eprintln!("{self:?}");
        assert_eq!(self.schedules, schedules, "{self:?}");
        if schedules < 20 {
            return;
        }
        assert!(self.writes > 40 * schedules && self.reads > 10 * schedules && self.leaders > schedules, "{self:?}");
        let missing: Vec<&Event> = plan::EVENTS.iter().filter(|event| !self.events.contains_key(event)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}
