//! The ledger: what this node may spend of every counter, kept in step with the log.
//!
//! It makes the node's reports and takes in what the log says; it neither stores nor sends them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use portcullis_database::counters::reserve::RESERVE_LEASE;
use portcullis_database::counters::{Counter, Holding, Owed, Report, Statement};
use portcullis_database::{State, codec};
use portcullis_model::counter::CounterSubject;
use portcullis_model::port::{Allowance, PortFuture, Quotas, Standing, Taken};
use portcullis_model::{ApiId, CounterKey, NodeId, QuotaUnit, Timestamp};

use crate::allowance::{GRANT_WAIT, NodeAllowance};
use crate::book::Said;
use crate::queue::{Next, Queues};
use crate::seen::{Seen, Standpoint};

/// How long nobody may have been short of anything before reports are made less often, in milliseconds.
const CALM_AFTER_MS: u64 = 200;
/// Parts of the map, so that workers rarely meet.
const SHARDS: usize = 64;
/// Allowances kept. Beyond them new counters cannot be taken from, unless some whose window is over can be forgotten.
pub const ALLOWANCES_MAX: usize = 1_000_000;
/// Items of one report, so that taking it in holds up nobody.
const ITEMS_MAX: usize = 1024;
/// Bytes of one report's items. With what one more counter can add, its log entry stays below 1 MiB.
const REPORT_BYTES_MAX: usize = 900 << 10;

/// The ledger of one node.
pub struct Ledger {
    standpoint: Arc<Standpoint>,
    queues: Arc<Queues>,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<CounterKey, Arc<NodeAllowance>>>>,
    count: AtomicUsize,
    capacity: usize,
    refused: AtomicU64,
    /// Whether a report is due even if no counter has anything to say.
    must_report: AtomicBool,
    /// When somebody was last short of something, or may soon be: in milliseconds.
    tense_at: AtomicU64,
    is_closed: AtomicBool,
    full: Arc<Full>,
}

impl Ledger {
    /// Makes the ledger of node `me`, with nothing to spend until [`Ledger::begin`] and the log give it something.
    #[must_use]
    pub fn new(me: NodeId) -> Arc<Self> {
        Self::with_capacity(me, ALLOWANCES_MAX)
    }

    /// The same with room for `capacity` allowances.
    #[must_use]
    pub fn with_capacity(me: NodeId, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            standpoint: Arc::new(Standpoint::new(me)),
            queues: Arc::default(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
            capacity,
            refused: AtomicU64::new(0),
            must_report: AtomicBool::new(true),
            tense_at: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            full: Arc::new(Full),
        })
    }

    /// Returns the node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.standpoint.me
    }

    /// Says which start of the node this is; grants and reserves of other starts are not touched.
    pub fn begin(&self, incarnation: u64) {
        self.standpoint.set_incarnation(incarnation);
        self.must_report.store(true, Ordering::SeqCst);
    }

    /// Says that it is durably noted that this start may use reserves of windows that begin up to `to`.
    pub fn raise_ceiling(&self, to: Timestamp) {
        self.standpoint.raise_ceiling(to);
    }

    /// Returns the ceiling.
    #[must_use]
    pub fn ceiling(&self) -> Timestamp {
        self.standpoint.ceiling()
    }

    /// Says that a report made at `at` was applied: the cluster has been heard of.
    pub fn note_contact(&self, at: Timestamp) {
        self.standpoint.note_contact(at);
    }

    /// Moves the node's time to `now` if it is not past it, and returns it.
    pub fn advance(&self, now: Timestamp) -> Timestamp {
        self.standpoint.advance(now)
    }

    /// Returns how many allowances there are, and how often one was refused because there was no room.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.count.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Says whether so much is left of all that this node spends, and has been for a while, that its next report has time.
    pub fn is_calm(&self) -> bool {
        let now = self.standpoint.advance(Timestamp(0)).0;
        now.saturating_sub(self.tense_at.load(Ordering::SeqCst)) >= CALM_AFTER_MS
    }

    /// Waits until the next report no longer has time.
    pub async fn calm_ended(&self) {
        self.queues.tense.notified().await;
    }

    fn end_calm(&self) {
        self.tense_at.store(self.standpoint.advance(Timestamp(0)).0, Ordering::SeqCst);
        self.queues.tense.notify_one();
    }

    /// Waits until a request waits for a grant.
    pub async fn hurried(&self) {
        self.queues.hurry.notified().await;
    }

    /// Takes in a new state. Cheap where no counter and no policy changed.
    pub fn learn(&self, state: &State) {
        let before = self.standpoint.seen.load_full();
        let seen = Arc::new(Seen::of(state, self.standpoint.me));
        self.standpoint.seen.store(Arc::clone(&seen));
        if self.standpoint.is_asked_to_shrink(&seen) {
            self.report_soon();
        }
        for change in before.counters.counters.diff(&seen.counters.counters) {
            match change {
                DiffItem::Add(key, counter) | DiffItem::Update { new: (key, counter), .. } => {
                    self.learn_counter(key, counter, &seen);
                }
                DiffItem::Remove(..) => {}
            }
        }
        if !before.has_the_limits_of(&seen) {
            self.report_soon();
            self.learn_policies(&before, &seen);
        }
        if seen.is_drained && !before.is_drained {
            self.end_calm();
            self.look_at_all();
        }
    }

    /// Has a report made even if no counter has anything to say.
    fn report_soon(&self) {
        self.must_report.store(true, Ordering::SeqCst);
        self.end_calm();
    }

    fn learn_policies(&self, before: &Seen, seen: &Seen) {
        let (before, now) = (&before.deployed, &seen.deployed);
        let mut names: HashSet<&str> =
            changed_keys(&before.policies, &now.policies).map(|key| key.2.as_str()).collect();
        names.extend(changed_keys(&before.policy_rules, &now.policy_rules).map(|key| key.2.as_str()));
        let apis: HashSet<ApiId> = changed_keys(&before.apis, &now.apis).map(|key| key.1).collect();
        let is_meant = |key: &CounterKey| match key.subject {
            CounterSubject::ApiMaximum { api, .. } => apis.contains(&api),
            _ => names.contains(key.policy.as_str()),
        };
        for allowance in self.all(is_meant) {
            allowance.learn_policy(seen);
        }
    }

    fn learn_counter(&self, key: &CounterKey, counter: &Counter, seen: &Seen) {
        let shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = shard.get(key).map(Arc::clone);
        drop(shard);
        if let Some(allowance) = allowance {
            allowance.learn(counter, seen);
            return;
        }
        let holding = counter.holdings.get(self.standpoint.me);
        let incarnation = self.standpoint.incarnation();
        let holds = |one: &Holding| one.incarnation == incarnation && !one.has_answered && one.unspent() > 0;
        let is_asked = counter.dry.is_some() && holding.is_some_and(holds);
        if is_asked {
            self.queues.push_untouched(key.clone());
        }
    }

    fn shard(&self, key: &CounterKey) -> &Mutex<HashMap<CounterKey, Arc<NodeAllowance>>> {
        let hash = self.hasher.hash_one(key);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[at]
    }

    fn all(&self, is_meant: impl Fn(&CounterKey) -> bool) -> Vec<Arc<NodeAllowance>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.iter().filter(|(key, _)| is_meant(key)).map(|(_, allowance)| Arc::clone(allowance)));
        }
        found
    }

    fn obtain(&self, key: &CounterKey) -> Option<Arc<NodeAllowance>> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = shard.get(key) {
            return Some(Arc::clone(allowance));
        }
        if self.count.load(Ordering::Relaxed) >= self.capacity {
            let now = self.standpoint.advance(Timestamp(0));
            let before = shard.len();
            // Nobody else may hold one that is forgotten: two allowances of one counter would spend the reserve twice.
            shard.retain(|_, allowance| Arc::strong_count(allowance) > 1 || !allowance.is_dead(now));
            self.count.fetch_sub(before - shard.len(), Ordering::Relaxed);
            if before == shard.len() {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let allowance = NodeAllowance::new(key.clone(), Arc::clone(&self.standpoint), Arc::clone(&self.queues));
        match shard.entry(key.clone()) {
            Entry::Occupied(found) => Some(Arc::clone(found.get())),
            Entry::Vacant(place) => Some(Arc::clone(place.insert(allowance))),
        }
    }

    /// Makes the report of number `sequence`, if there is something to say. What it says counts as said: it must be
    /// brought to the log, however long that takes.
    #[must_use]
    pub fn compose(&self, now: Timestamp, sequence: u64, opening: Opening) -> Option<Statement> {
        let mut items = Vec::new();
        // The order matters: windows that begin after the report's time are opened with what was seen before it.
        let seen = self.standpoint.seen.load_full();
        let adopted = self.standpoint.adopt(&seen, sequence);
        let now = self.standpoint.advance(now);
        let (mut bytes, mut is_calm) = (0, true);
        while items.len() < ITEMS_MAX && bytes < REPORT_BYTES_MAX {
            let Some(next) = self.queues.next(now) else { break };
            let before = items.len();
            is_calm &= self.compose_next(&next, now, sequence, &mut items);
            bytes += items[before..].iter().map(|said| codec::encoded_len(&said.item)).sum::<usize>();
        }
        if !is_calm {
            self.end_calm();
        }
        let is_silent_long = now.since(self.standpoint.contact()) > RESERVE_LEASE / 4;
        let is_due = self.must_report.swap(false, Ordering::SeqCst) || adopted.is_some() || is_silent_long;
        if items.is_empty() && !is_due {
            return None;
        }
        Some(self.report(sequence, now, opening, (adopted, seen.applied_index), items))
    }

    fn report(
        &self,
        sequence: u64,
        time: Timestamp,
        opening: Opening,
        (adopted, applied_index): (Option<(u64, Timestamp)>, u64),
        said: Vec<Said>,
    ) -> Statement {
        let numbered = (0..).zip(&said).filter(|(_, said)| said.owed > 0);
        let owed = numbered.map(|(item, said)| Owed { item, amount: said.owed }).collect();
        let report = Report {
            node: self.standpoint.me,
            incarnation: self.standpoint.incarnation(),
            sequence,
            time,
            applied_index,
            reserve_from: opening.reserve_from,
            is_store_new: opening.is_store_new,
            adopted,
            items: said.into_iter().map(|said| said.item).collect(),
        };
        Statement { report, owed }
    }

    /// Has one allowance say what it has to; returns whether its next report has time.
    fn compose_next(&self, next: &Next, now: Timestamp, sequence: u64, items: &mut Vec<Said>) -> bool {
        let allowance = match next {
            Next::Changed(allowance) | Next::Urgent(allowance) | Next::Look(allowance) => Weak::upgrade(allowance),
            Next::Untouched(key) => self.obtain(key).inspect(|allowance| allowance.catch_up()),
        };
        let Some(allowance) = allowance else { return true };
        if let Next::Changed(_) | Next::Urgent(_) = next {
            allowance.note_unqueued(matches!(next, Next::Urgent(_)));
        }
        let is_look = matches!(next, Next::Look(_));
        if self.is_closed.load(Ordering::SeqCst) {
            allowance.close(items);
            false
        } else {
            allowance.compose(now, sequence, is_look, items)
        }
    }

    /// Makes the node's last reports' content: everything held is given up, and later takes find nothing.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.end_calm();
        self.look_at_all();
    }

    /// Has the next reports tell of every allowance.
    fn look_at_all(&self) {
        for allowance in self.all(|_| true) {
            self.queues.push(Arc::downgrade(&allowance), false);
        }
    }
}

/// What a start of the node says about earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// Earlier starts have used no reserve of windows that begin at this time or later.
    pub reserve_from: Timestamp,
    /// Whether the message store is new, so that this is not known.
    pub is_store_new: bool,
}

/// Returns the keys of the rows in which two tables differ.
fn changed_keys<'a, K: Ord, V: PartialEq>(
    before: &'a OrdMap<K, V>,
    after: &'a OrdMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    before.diff(after).map(|change| match change {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key,
    })
}

impl Quotas for Ledger {
    fn allowance(&self, key: &CounterKey) -> Option<Arc<dyn Allowance>> {
        self.standpoint.seen.load().terms(key)?;
        match self.obtain(key) {
            Some(allowance) => Some(allowance),
            None => Some(Arc::clone(&self.full) as Arc<dyn Allowance>),
        }
    }
}

/// The allowance of a counter for which there is no room: nothing can be taken.
struct Full;

impl Allowance for Full {
    fn try_take(&self, _cost: u64, _now: Timestamp) -> Taken {
        Taken::Dry
    }

    fn take_beyond(&self, _cost: u64, _now: Timestamp) -> Option<Taken> {
        None
    }

    fn give_back(&self, _cost: u64, _window: u64) {}

    fn debit(&self, _cost: u64, _now: Timestamp) {}

    fn unit(&self) -> QuotaUnit {
        QuotaUnit::Requests
    }

    fn changed(&self) -> PortFuture<'_, ()> {
        Box::pin(tokio::time::sleep(GRANT_WAIT))
    }

    fn standing(&self, now: Timestamp) -> Standing {
        Standing { limit: 0, window_s: 1, remaining: 0, resets_at: Timestamp(now.0.saturating_add(1000)) }
    }
}
