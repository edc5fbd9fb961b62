//! What this node has applied of the state, as far as quotas depend on it, and what it may do by that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use portcullis_database::counters::reserve::{RESERVE_LEASE, share_of};
use portcullis_database::counters::{Counters, Terms};
use portcullis_database::state::Deployed;
use portcullis_database::{State, level};
use portcullis_model::{CounterKey, NodeId, Timestamp};

/// A consistent copy of what quotas depend on; cheap to make from a state.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) counters: Counters,
    /// Policies, and the APIs whose backends have a maximum.
    pub(crate) deployed: Deployed,
    pub(crate) applied_index: u64,
    pub(crate) feature_level: u32,
    pub(crate) is_member: bool,
    /// The node is to get no traffic: it holds nothing that no request waits for.
    pub(crate) is_drained: bool,
}

impl Seen {
    pub(crate) fn of(state: &State, me: NodeId) -> Self {
        Self {
            counters: state.counters.clone(),
            deployed: state.deployed.clone(),
            applied_index: state.applied_index,
            feature_level: state.feature_level(),
            is_member: state.system.nodes.get(&me).is_some_and(|node| node.removed_at.is_none()),
            is_drained: state.system.drained_nodes.contains_key(&me),
        }
    }

    /// Returns the terms of a counter's limit, or `None` where there is none, or where it is of a kind that not every
    /// node knows.
    pub(crate) fn terms(&self, key: &CounterKey) -> Option<Terms> {
        if self.feature_level <= level::FIRST && !key.subject.is_of_first_level() {
            return None;
        }
        Terms::of(&self.deployed, &key.limit_key())
    }

    /// Says whether nothing that limits has changed between two states.
    pub(crate) fn has_the_limits_of(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.deployed, &other.deployed);
        mine.policies.ptr_eq(&theirs.policies)
            && mine.policy_rules.ptr_eq(&theirs.policy_rules)
            && mine.apis.ptr_eq(&theirs.apis)
    }
}

/// A smaller share of the reserve that this node has adopted and not yet seen in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    pub(crate) parts: u64,
    pub(crate) from: Timestamp,
    /// The report that says so.
    pub(crate) sequence: u64,
}

/// What all allowances of a node share: its clock, what it has applied, and its right to the reserve.
pub(crate) struct Standpoint {
    pub(crate) me: NodeId,
    /// This start of the node; 0 until it is known.
    incarnation: AtomicU64,
    clock: AtomicU64,
    /// No reserve of windows that begin later is used: noted durably before, so that the next start knows.
    ceiling: AtomicU64,
    /// The time of the last report that was applied.
    contact: AtomicU64,
    pub(crate) seen: ArcSwap<Seen>,
    adopted: Mutex<Option<Adopted>>,
}

impl Standpoint {
    pub(crate) fn new(me: NodeId) -> Self {
        Self {
            me,
            incarnation: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            ceiling: AtomicU64::new(0),
            contact: AtomicU64::new(0),
            seen: ArcSwap::default(),
            adopted: Mutex::new(None),
        }
    }

    /// Moves the node's time to `now` if it is not past it already, and returns it.
    pub(crate) fn advance(&self, now: Timestamp) -> Timestamp {
        let time = self.clock.load(Ordering::SeqCst);
        if time >= now.0 {
            return Timestamp(time);
        }
        Timestamp(self.clock.fetch_max(now.0, Ordering::SeqCst).max(now.0))
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::SeqCst)
    }

    pub(crate) fn set_incarnation(&self, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::SeqCst);
    }

    pub(crate) fn ceiling(&self) -> Timestamp {
        Timestamp(self.ceiling.load(Ordering::SeqCst))
    }

    pub(crate) fn raise_ceiling(&self, to: Timestamp) {
        self.ceiling.fetch_max(to.0, Ordering::SeqCst);
    }

    pub(crate) fn note_contact(&self, at: Timestamp) {
        self.contact.fetch_max(at.0, Ordering::SeqCst);
    }

    pub(crate) fn contact(&self) -> Timestamp {
        Timestamp(self.contact.load(Ordering::SeqCst))
    }

    /// Returns this node's reserve in a window that begins at `start`; the caller has advanced the clock to it.
    pub(crate) fn reserve(&self, seen: &Seen, terms: &Terms, start: Timestamp) -> u64 {
        let now = Timestamp(self.clock.load(Ordering::SeqCst));
        let is_in_touch = self.contact().after(RESERVE_LEASE) >= now;
        if !seen.is_member || !is_in_touch || start > self.ceiling() {
            return 0;
        }
        let table = seen.counters.reserve_table();
        let Some(holder) = table.holders.get(&self.me) else { return 0 };
        let (parts, incarnation) = holder.share_at(start);
        if incarnation != self.incarnation() {
            return 0;
        }
        let adopted = *self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_in_force = |adopted: &Adopted| adopted.from <= start && !self.is_heard(seen, adopted);
        let parts = adopted.filter(is_in_force).map_or(parts, |adopted| adopted.parts.min(parts));
        share_of(terms.reserve_total(), parts)
    }

    /// Adopts a smaller share where the log asks for one. Windows that begin after the node's present time have it;
    /// all that are open now began before, because opening one advances the clock first. Returns what the report of
    /// number `sequence` has to say about it.
    pub(crate) fn adopt(&self, seen: &Seen, sequence: u64) -> Option<(u64, Timestamp)> {
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_under_way = adopted.is_some_and(|adopted| !self.is_heard(seen, &adopted));
        if is_under_way || !self.is_asked_to_shrink(seen) {
            return None;
        }
        let table = seen.counters.reserve_table();
        let from = Timestamp(self.clock.load(Ordering::SeqCst) + 1);
        *adopted = Some(Adopted { parts: table.target, from, sequence });
        Some((table.target, from))
    }

    /// Says whether `seen` holds the report that said so.
    fn is_heard(&self, seen: &Seen, adopted: &Adopted) -> bool {
        let source = seen.counters.sources.get(&self.me);
        source.is_some_and(|one| one.incarnation == self.incarnation() && one.sequence >= adopted.sequence)
    }

    /// Says whether the log asks this node for something that only a report can answer: a smaller share.
    pub(crate) fn is_asked_to_shrink(&self, seen: &Seen) -> bool {
        let table = seen.counters.reserve_table();
        let last = table.holders.get(&self.me).and_then(|holder| holder.last().copied());
        last.is_some_and(|last| last.parts > table.target && last.incarnation == self.incarnation())
    }
}
