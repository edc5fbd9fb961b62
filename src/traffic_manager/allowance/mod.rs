//! What this node may still spend of one counter: taken from without a lock, filled from the log.
//!
//! The amount and its window are one word (`word`), so taking is one compare-and-swap. Everything else is bookkeeping
//! under a lock that a request meets only when a window ends. What was spent is never counted: it is what the node was
//! allowed less what it still holds, so it cannot be lost or counted twice.

mod compose;
mod follow;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use portcullis_database::counters::counter::GRANT_MAX;
use portcullis_database::counters::{Item, WindowId};
use portcullis_model::port::{Allowance, PortFuture, Standing, Taken};
use portcullis_model::{CounterKey, QuotaUnit, Timestamp};
use tokio::sync::Notify;

use crate::book::{Book, Said};
use crate::queue::Queues;
use crate::seen::Standpoint;
use crate::waiter::Waiter;
use crate::word;

/// How long a request waits for a grant.
pub(crate) const GRANT_WAIT: Duration = Duration::from_millis(25);
/// Not yet, as a time.
const NEVER: u64 = u64::MAX;

/// One counter's allowance on this node.
pub(crate) struct NodeAllowance {
    pub(crate) key: CounterKey,
    me: Weak<Self>,
    standpoint: Arc<Standpoint>,
    queues: Arc<Queues>,
    /// Window and amount.
    word: AtomicU64,
    /// The full number of the word's window; set before the word.
    index: AtomicU64,
    /// When the word's window ends; set after the word.
    ends_at: AtomicU64,
    stops: AtomicBool,
    unit: AtomicU8,
    /// When more of the reserve may be used: that of sliding windows is released little by little.
    releases_at: AtomicU64,
    exhausted_from: AtomicU64,
    /// Until when it is exhausted: the window's end, or when enough of the window before counts no more.
    exhausted_until: AtomicU64,
    /// What the open window's limit is, how long the window, and what was in the pool when that was heard last.
    limit: AtomicU64,
    length_ms: AtomicU64,
    pool: AtomicU64,
    /// Let through beyond the limit, not yet reported.
    over: AtomicU64,
    /// Spent beyond what was held, because the cost was known late; not yet reported.
    owed: AtomicU64,
    /// Requests that wait now.
    waiting: AtomicU64,
    /// Requests that wait no longer and got nothing, since the last report.
    gone: AtomicU64,
    /// Refused because nothing is left, since the last report: demand that nobody waits for.
    refused: AtomicU64,
    /// The largest single cost among what is waited for.
    unmet_largest: AtomicU64,
    /// Whether it is on the list of those that changed, and on the list of those that are urgent.
    is_queued: AtomicBool,
    is_queued_urgently: AtomicBool,
    changed: Notify,
    book: Mutex<Book>,
}

impl NodeAllowance {
    pub(crate) fn new(key: CounterKey, standpoint: Arc<Standpoint>, queues: Arc<Queues>) -> Arc<Self> {
        let book = Book::new(WindowId { length_ms: 1, index: 0 }, 0, 0);
        Arc::new_cyclic(|me| Self {
            key,
            me: me.clone(),
            standpoint,
            queues,
            word: AtomicU64::new(0),
            index: AtomicU64::new(0),
            ends_at: AtomicU64::new(0),
            stops: AtomicBool::new(true),
            unit: AtomicU8::new(0),
            releases_at: AtomicU64::new(NEVER),
            exhausted_from: AtomicU64::new(NEVER),
            exhausted_until: AtomicU64::new(NEVER),
            limit: AtomicU64::new(0),
            length_ms: AtomicU64::new(1),
            pool: AtomicU64::new(0),
            over: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unmet_largest: AtomicU64::new(0),
            is_queued: AtomicBool::new(false),
            is_queued_urgently: AtomicBool::new(false),
            changed: Notify::new(),
            book: Mutex::new(book),
        })
    }

    /// Lets a request pass beyond the quota, and counts it.
    fn pass(&self, cost: u64, window: u64) -> Taken {
        self.over.fetch_add(cost, Ordering::SeqCst);
        self.enqueue(false);
        Taken::Over { window }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_queued(&self, is_urgent: bool) -> &AtomicBool {
        if is_urgent { &self.is_queued_urgently } else { &self.is_queued }
    }

    /// Puts the allowance on a list of those with something to report, unless it is there already.
    fn enqueue(&self, is_urgent: bool) {
        let is_queued = self.is_queued(is_urgent);
        let was_queued = is_queued.load(Ordering::SeqCst) || is_queued.swap(true, Ordering::SeqCst);
        if !was_queued {
            self.queues.push(self.me.clone(), is_urgent);
        }
        if is_urgent {
            self.queues.hurry();
        }
    }

    /// Says that it was taken from the list: what changes from now on puts it there again.
    pub(crate) fn note_unqueued(&self, is_urgent: bool) {
        self.is_queued(is_urgent).store(false, Ordering::SeqCst);
    }

    pub(crate) fn begin_wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // Again, after the take that found too little: a report made in between did not know of the wait.
        self.enqueue(true);
    }

    pub(crate) fn end_wait(&self, is_given_up: bool) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if is_given_up {
            // What was asked for it is withdrawn with the next report.
            self.gone.fetch_add(1, Ordering::SeqCst);
            self.enqueue(false);
        }
    }
}

impl Allowance for NodeAllowance {
    fn try_take(&self, cost: u64, now: Timestamp) -> Taken {
        let now = self.standpoint.advance(now);
        loop {
            let ends_at = self.ends_at.load(Ordering::SeqCst);
            if now.0 >= ends_at {
                self.roll(now);
                continue;
            }
            let word = self.word.load(Ordering::SeqCst);
            if word::held(word) < cost {
                let window = word::window(word, self.index.load(Ordering::SeqCst));
                if now.0 >= self.releases_at.load(Ordering::SeqCst) {
                    self.release(now);
                    continue;
                }
                let until = self.exhausted_until.load(Ordering::SeqCst);
                let is_exhausted = now.0 >= self.exhausted_from.load(Ordering::SeqCst) && now.0 < until;
                let stops = self.stops.load(Ordering::SeqCst);
                // While the cluster has some left, it is asked for: what passes then is within the quota.
                if !stops && (is_exhausted || self.limit.load(Ordering::SeqCst) == u64::MAX) {
                    return self.pass(cost, window);
                }
                if is_exhausted {
                    self.refused.fetch_add(cost, Ordering::SeqCst);
                    self.enqueue(false);
                    return Taken::Exhausted { until: Timestamp(until.min(ends_at)) };
                }
                self.unmet_largest.fetch_max(cost, Ordering::SeqCst);
                self.enqueue(true);
                return Taken::Dry;
            }
            if self.word.compare_exchange_weak(word, word - cost, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                let window = word::window(word, self.index.load(Ordering::SeqCst));
                self.enqueue(false);
                return Taken::Yes { window };
            }
        }
    }

    fn take_beyond(&self, cost: u64, now: Timestamp) -> Option<Taken> {
        if self.stops.load(Ordering::SeqCst) {
            return None;
        }
        Some(match self.try_take(cost, now) {
            Taken::Dry | Taken::Exhausted { .. } => {
                let word = self.word.load(Ordering::SeqCst);
                self.pass(cost, word::window(word, self.index.load(Ordering::SeqCst)))
            }
            taken => taken,
        })
    }

    fn give_back(&self, cost: u64, window: u64) {
        let is_undone = !self.stops.load(Ordering::SeqCst)
            && self.over.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |over| over.checked_sub(cost)).is_ok();
        if is_undone {
            return;
        }
        let mut word = self.word.load(Ordering::SeqCst);
        while word::is_of(word, window) {
            let more = word + cost.min(word::HELD_MAX - word::held(word));
            match self.word.compare_exchange_weak(word, more, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    self.enqueue(false);
                    self.changed.notify_waiters();
                    return;
                }
                Err(now) => word = now,
            }
        }
        let mut book = self.book();
        let spent = -i64::try_from(cost).unwrap_or(i64::MAX);
        let window = WindowId { index: window, ..book.window };
        // Where the window is not the last one its reserve is not known any more: the log is told of one so large that
        // nothing is granted against it.
        let reserve = book.before.filter(|(before, _)| *before == window).map_or(GRANT_MAX, |(_, reserve)| reserve);
        let said = self.said(&book);
        let item = Item { window, spent, reserve, ..said.item };
        book.push_late(Said { item, owed: 0 });
        drop(book);
        self.enqueue(false);
    }

    fn debit(&self, cost: u64, now: Timestamp) {
        let now = self.standpoint.advance(now);
        if now.0 >= self.ends_at.load(Ordering::SeqCst) {
            self.roll(now);
        }
        let mut taken = 0;
        self.change_word(|held| {
            taken = held.min(cost);
            held - taken
        });
        let rest = cost - taken;
        if rest > 0 {
            let beyond = if self.stops.load(Ordering::SeqCst) { &self.owed } else { &self.over };
            beyond.fetch_add(rest, Ordering::SeqCst);
        }
        if cost > 0 {
            self.enqueue(false);
        }
    }

    fn unit(&self) -> QuotaUnit {
        unit_of(self.unit.load(Ordering::SeqCst))
    }

    fn changed(&self) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let held = word::held(self.word.load(Ordering::SeqCst));
            if held > 0 && held >= self.unmet_largest.load(Ordering::SeqCst) {
                return;
            }
            let waiter = Waiter::begin(self);
            // The time being over is as good an answer as a change.
            tokio::time::timeout(GRANT_WAIT, changed).await.ok();
            waiter.end();
        })
    }

    fn standing(&self, now: Timestamp) -> Standing {
        let now = self.standpoint.advance(now);
        if now.0 >= self.ends_at.load(Ordering::SeqCst) {
            self.roll(now);
        }
        let limit = self.limit.load(Ordering::SeqCst);
        let held = word::held(self.word.load(Ordering::SeqCst));
        Standing {
            limit,
            window_s: self.length_ms.load(Ordering::SeqCst).div_ceil(1000),
            remaining: held.saturating_add(self.pool.load(Ordering::SeqCst)).min(limit),
            resets_at: Timestamp(self.ends_at.load(Ordering::SeqCst)),
        }
    }
}

const UNITS: [QuotaUnit; 4] = [QuotaUnit::Requests, QuotaUnit::Bytes, QuotaUnit::Events, QuotaUnit::Tokens];

fn number_of(unit: QuotaUnit) -> u8 {
    UNITS.iter().position(|one| *one == unit).and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

fn unit_of(number: u8) -> QuotaUnit {
    UNITS.get(usize::from(number)).copied().unwrap_or(QuotaUnit::Requests)
}
