//! What clients of a simulated cluster did and saw, and whether that may be. Everything happens on one thread: the order in
//! which events are noted is their order in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_model::NodeId;

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was acknowledged, or seen: it must be there from now on.
    There,
    /// It surely did not happen.
    Never,
    /// Nobody knows.
    Unknown,
}

/// What all clients of a schedule share.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    trace: Vec<String>,
    fates: BTreeMap<u64, Fate>,
    last: u64,
    broken: Option<String>,
    leaders: BTreeSet<(u64, NodeId)>,
    writes: u64,
    reads: u64,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event.
    pub(super) fn note(&self, event: String) {
        self.lock().trace.push(event);
    }

    /// Notes that a promise was broken; the first counts.
    pub(super) fn broke(&self, why: String) {
        self.lock().broken.get_or_insert(why);
    }

    /// Returns the promise that was broken, if one was.
    pub(super) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// Begins a write, and returns its number.
    pub(super) fn begin_write(&self) -> u64 {
        let mut inner = self.lock();
        inner.last += 1;
        let number = inner.last;
        inner.fates.insert(number, Fate::Unknown);
        number
    }

    /// Ends a write.
    pub(super) fn end_write(&self, number: u64, fate: Fate, node: NodeId) {
        let mut inner = self.lock();
        inner.writes += u64::from(fate == Fate::There);
        inner.trace.push(format!("write {number} by {node}: {fate:?}"));
        let known = inner.fates.insert(number, fate);
        // Seen by a reader before its writer heard of it.
        if known == Some(Fate::There) {
            if fate == Fate::Never {
                inner.broken.get_or_insert(format!("write {number} was refused, and was seen before"));
            }
            inner.fates.insert(number, Fate::There);
        }
    }

    /// Returns what a read that begins now must see.
    pub(super) fn there(&self) -> BTreeSet<u64> {
        self.lock().fates.iter().filter(|(_, fate)| **fate == Fate::There).map(|(number, _)| *number).collect()
    }

    /// Ends a read: `must` was there when it began, `seen` is what it saw.
    pub(super) fn end_read(&self, must: &BTreeSet<u64>, seen: &BTreeSet<u64>, node: NodeId) {
        let mut inner = self.lock();
        inner.reads += 1;
        inner.trace.push(format!("read by {node}: {}", seen.len()));
        if let Some(missed) = must.difference(seen).next() {
            inner.broken.get_or_insert(format!("a linearizable read on node {node} misses write {missed}"));
        }
        for number in seen {
            match inner.fates.insert(*number, Fate::There) {
                Some(Fate::Never) => {
                    inner.broken.get_or_insert(format!("write {number} was refused, and is there on node {node}"));
                }
                None => {
                    inner.broken.get_or_insert(format!("node {node} holds write {number}, which nobody made"));
                }
                Some(Fate::There | Fate::Unknown) => {}
            }
        }
    }

    /// Notes who leads. In one term a node with a greater id may take over: leaders are told apart by both.
    pub(super) fn leads(&self, term: u64, node: NodeId) {
        let mut inner = self.lock();
        if inner.leaders.insert((term, node)) {
            inner.trace.push(format!("term {term}: {node} leads"));
        }
    }

    /// Returns acknowledged writes, reads, and leaders.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let inner = self.lock();
        (inner.writes, inner.reads, inner.leaders.len() as u64)
    }

    /// Returns all events.
    pub(super) fn trace(&self) -> Vec<String> {
        self.lock().trace.clone()
    }
}

#[test]
fn each_broken_promise_of_a_simulated_history_is_found() {
    let node = NodeId(1);
    let set = |numbers: &[u64]| numbers.iter().copied().collect::<BTreeSet<u64>>();
    let found = |history: &History, word: &str| {
        let why = history.broken().expect(word);
        assert!(why.contains(word), "{why}");
    };
    let lost = History::default();
    let number = lost.begin_write();
    lost.end_write(number, Fate::There, node);
    lost.end_read(&lost.there(), &set(&[]), node);
    found(&lost, "misses");
    let risen = History::default();
    let number = risen.begin_write();
    risen.end_write(number, Fate::Never, node);
    risen.end_read(&risen.there(), &set(&[number]), node);
    found(&risen, "refused");
    let unknown = History::default();
    let number = unknown.begin_write();
    unknown.end_write(number, Fate::Unknown, node);
    unknown.end_read(&unknown.there(), &set(&[number]), node);
    assert_eq!(unknown.broken(), None);
    unknown.end_read(&unknown.there(), &set(&[]), node);
    found(&unknown, "misses");
    let invented = History::default();
    invented.end_read(&set(&[]), &set(&[9]), node);
    found(&invented, "nobody made");
}
