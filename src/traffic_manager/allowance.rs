//! What this node may still spend of one counter: taken from without a lock, filled from the log.
//!
//! The amount and its window are one word (`word`), so taking is one compare-and-swap. Everything else is bookkeeping
//! under a lock that a request meets only when a window ends. What was spent is never counted: it is what the node was
//! allowed less what it still holds, so it cannot be lost or counted twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use portcullis_database::counters::counter::{ASK_WAIT, GRANT_MAX};
use portcullis_database::counters::{Counter, Item, Terms, WindowId};
use portcullis_model::port::{Allowance, PortFuture, Standing, Taken};
use portcullis_model::{CounterKey, Timestamp};
use tokio::sync::Notify;

use crate::book::Book;
use crate::queue::Queues;
use crate::seen::{Seen, Standpoint};
use crate::waiter::Waiter;
use crate::word;

/// How long a request waits for a grant.
pub(crate) const GRANT_WAIT: Duration = Duration::from_millis(25);
/// A node asks when it holds less than it will need within this time, in milliseconds: a few ticks and a commit.
const LOW_WATER_MS: u32 = 60;
/// It asks for what it will need within this time.
const TARGET_MS: u32 = 100;
/// The same where the counter is dry.
const TARGET_DRY_MS: u32 = 40;
/// Of a dry counter it keeps what it will need within this time.
const KEEP_DRY_MS: u32 = 25;
/// Of a counter nobody is short of, it keeps what it will need within this time, beside its reserve.
const KEEP_IDLE_MS: u32 = 1000;
/// Of a counter with at least this limit a node that is called now and then keeps one request ahead, so that slow callers
/// need not wait either. Of smaller ones that would be too large a part.
const ONE_AHEAD_LIMIT_MIN: u64 = 20;
/// How soon it looks again whether it still needs what it holds of a dry counter, in milliseconds.
const LOOK_AGAIN_DRY_MS: u64 = 20;
/// The same for other counters.
const LOOK_AGAIN_MS: u64 = 1000;
/// The window's length where the policy is gone and nothing is limited.
const UNLIMITED_LENGTH_MS: u64 = 60_000;
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
    exhausted_from: AtomicU64,
    /// Let through beyond the limit, not yet reported.
    over: AtomicU64,
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
            exhausted_from: AtomicU64::new(NEVER),
            over: AtomicU64::new(0),
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

    /// Opens the window in which `now` lies, if the open one is over.
    fn roll(&self, now: Timestamp) {
        let mut book = self.book();
        if self.ends_at.load(Ordering::SeqCst) > now.0 {
            return;
        }
        let seen = self.standpoint.seen.load();
        match seen.counters.counters.get(&self.key) {
            Some(counter) if counter.window.end() > now => self.open_from_log(&mut book, counter, &seen),
            _ => self.open_by_policy(&mut book, &seen, now),
        }
    }

    fn open_by_policy(&self, book: &mut Book, seen: &Seen, now: Timestamp) {
        let Some(terms) = seen.terms(&self.key) else {
            let window = WindowId::at(UNLIMITED_LENGTH_MS, now);
            self.stops.store(false, Ordering::SeqCst);
            self.open(book, window, 0, u64::MAX);
            return;
        };
        let window = WindowId::at(terms.length_ms, now);
        let reserve = self.standpoint.reserve(seen, &terms, window.start());
        self.stops.store(terms.stops_on_quota_reach, Ordering::SeqCst);
        self.open(book, window, reserve, terms.limit);
    }

    fn open_from_log(&self, book: &mut Book, counter: &Counter, seen: &Seen) {
        self.standpoint.advance(counter.window.start());
        let terms = Terms {
            limit: counter.limit,
            length_ms: counter.window.length_ms,
            stops_on_quota_reach: counter.stops_on_quota_reach,
            version: counter.version,
        };
        let reserve = self.standpoint.reserve(seen, &terms, counter.window.start());
        self.stops.store(terms.stops_on_quota_reach, Ordering::SeqCst);
        self.open(book, counter.window, reserve, terms.limit);
        self.take_in(book, counter, seen);
    }

    /// Replaces the open window. From the moment the word is replaced nobody can spend what the old one held.
    fn open(&self, book: &mut Book, window: WindowId, reserve: u64, limit: u64) {
        let reserve = reserve.min(GRANT_MAX);
        self.exhausted_from.store(NEVER, Ordering::SeqCst);
        self.index.store(window.index, Ordering::SeqCst);
        let old = self.word.swap(word::pack(window.index, reserve), Ordering::SeqCst);
        self.ends_at.store(window.end().0, Ordering::SeqCst);
        let left = word::held(old);
        let unreported = book.spent(left) - book.reported;
        let is_needed_by_others = book.dry.is_some() && left > 0;
        if unreported != 0 || is_needed_by_others {
            let (returned, spent) = (left, unreported);
            let demand = u64::try_from(spent).unwrap_or(0).saturating_add(book.demand);
            let item = Item { spent, returned, demand, ..self.item(book) };
            book.push_late(item);
            self.enqueue(false);
        }
        *book = Book {
            waiting: book.waiting,
            look_at: book.look_at,
            rate: book.rate,
            before: Some((book.window, book.reserve)),
            late: std::mem::take(&mut book.late),
            ..Book::new(window, limit, reserve)
        };
        self.changed.notify_waiters();
    }

    /// Takes in what the log says about the open window: grants, and whether anything is left.
    fn take_in(&self, book: &mut Book, counter: &Counter, seen: &Seen) {
        let incarnation = self.standpoint.incarnation();
        let holding = counter.holdings.get(&self.standpoint.me).filter(|holding| holding.incarnation == incarnation);
        let granted = holding.map_or(0, |holding| holding.granted);
        if granted > book.granted {
            let more = granted - book.granted;
            // What does not fit into the word is not used: it counts as held until it is given back.
            let mut fits = 0;
            self.change_word(|held| {
                fits = more.min(word::HELD_MAX - held);
                held + fits
            });
            book.granted = granted;
            book.returned = book.returned.saturating_add(more - fits);
            self.look_again(book, counter.dry.is_some());
            // A node that stops gives it back at once.
            self.enqueue(false);
        }
        let source = seen.counters.sources.get(&self.standpoint.me);
        if source.is_some_and(|source| source.incarnation == incarnation && source.sequence >= book.asked_in) {
            book.asked = holding.map_or(0, |holding| holding.asked);
        }
        book.limit = counter.limit;
        book.dry = counter.dry.map(|dry| dry.since);
        let exhausted_from = counter.dry.filter(|_| counter.pool() == 0).map_or(NEVER, |dry| dry.exhausted_from.0);
        self.exhausted_from.store(exhausted_from, Ordering::SeqCst);
        if book.must_answer() && holding.is_some_and(|holding| holding.unspent() > 0) {
            self.enqueue(true);
        }
        self.changed.notify_waiters();
    }

    /// Has the allowance looked at again, for what it does not need.
    fn look_again(&self, book: &mut Book, is_dry: bool) {
        let after = if is_dry { LOOK_AGAIN_DRY_MS } else { LOOK_AGAIN_MS };
        let at = Timestamp(self.standpoint.advance(Timestamp(0)).0.saturating_add(after));
        if book.look_at.is_some_and(|look_at| look_at <= at) {
            return;
        }
        book.look_at = Some(at);
        self.queues.look_again(self.me.clone(), at);
    }

    /// Changes the amount held, against requests that take from it at the same time. Returns the amount before.
    fn change_word(&self, mut change: impl FnMut(u64) -> u64) -> u64 {
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            let held = word::held(word);
            let changed = word - held + change(held);
            match self.word.compare_exchange_weak(word, changed, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return held,
                Err(now) => word = now,
            }
        }
    }

    /// Takes in what the log says of the counter now, where the state's changes have not been followed.
    pub(crate) fn catch_up(&self) {
        // Under the lock: a state that is newer than the one seen here is learnt after this.
        let book = self.book();
        let seen = self.standpoint.seen.load();
        if let Some(counter) = seen.counters.counters.get(&self.key) {
            self.learn_in(book, counter, &seen);
        }
    }

    /// Takes in a change of the counter in the log. A window that is newer there is newer here, whatever the clock.
    pub(crate) fn learn(&self, counter: &Counter, seen: &Seen) {
        self.learn_in(self.book(), counter, seen);
    }

    fn learn_in(&self, mut book: MutexGuard<'_, Book>, counter: &Counter, seen: &Seen) {
        match counter.window.end().cmp(&book.window.end()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal if counter.window == book.window => self.take_in(&mut book, counter, seen),
            _ => self.open_from_log(&mut book, counter, seen),
        }
    }

    /// Takes in that policies have changed: a window that the log does not know ends where its length has changed.
    pub(crate) fn learn_policy(&self, seen: &Seen) {
        let book = self.book();
        let is_in_log = seen.counters.counters.get(&self.key).is_some_and(|counter| counter.window == book.window);
        let length = seen.terms(&self.key).map(|terms| terms.length_ms);
        if !is_in_log && length != Some(book.window.length_ms) {
            self.ends_at.store(0, Ordering::SeqCst);
        }
    }

    fn item(&self, book: &Book) -> Item {
        Item {
            key: self.key.clone(),
            window: book.window,
            reserve: book.reserve,
            spent: 0,
            over: 0,
            returned: 0,
            ask: 0,
            granted: book.granted,
            demand: 0,
            answers_dry: book.dry,
        }
    }

    /// Makes what the report of number `sequence` says about this counter, and counts it as said. `is_look` says that
    /// it comes from the list of those to look at again.
    pub(crate) fn compose(&self, now: Timestamp, sequence: u64, is_look: bool, items: &mut Vec<Item>) {
        let mut book = self.book();
        items.append(&mut book.late);
        if book.limit == 0 && self.ends_at.load(Ordering::SeqCst) == 0 {
            return;
        }
        let is_over = now.0 >= self.ends_at.load(Ordering::SeqCst);
        if is_look && book.look_at.is_some_and(|look_at| look_at <= now) {
            book.look_at = None;
        }
        let over = self.over.swap(0, Ordering::SeqCst);
        let waiting = self.waiting.load(Ordering::SeqCst);
        let arrived = self.arrived(&mut book, over, waiting);
        book.rate.sample(arrived, now.0);
        let waited_for = self.waited_for(waiting);
        let returned = self.give_up(&mut book, (arrived, waited_for), is_look);
        let held = word::held(self.word.load(Ordering::SeqCst));
        let spent = book.spent(held);
        let ask = if is_over { 0 } else { self.wanted(&book, held, (arrived, waited_for)) };
        let is_ask_news =
            ask > book.asked || (ask == 0 && book.asked > 0) || (ask > 0 && book.asked_at.after(ASK_WAIT / 2) <= now);
        if spent != book.reported || over > 0 || returned > 0 || is_ask_news || book.must_answer() {
            let (spent_since, demand) = (spent - book.reported, book.demand);
            items.push(Item { spent: spent_since, over, returned, ask, demand, ..self.item(&book) });
            book.reported = spent;
            book.demand = 0;
            book.answered_dry = book.dry;
            (book.asked, book.asked_in, book.asked_at) = (ask, sequence, now);
        }
        let may_give_up_later = held > 0 && (book.dry.is_some() || book.granted > book.returned);
        if may_give_up_later && !is_over {
            let is_dry = book.dry.is_some();
            self.look_again(&mut book, is_dry);
        }
    }

    /// Returns how much callers have begun to want since this was last asked, each request once, and notes it.
    fn arrived(&self, book: &mut Book, over: u64, waiting: u64) -> u64 {
        let held = word::held(self.word.load(Ordering::SeqCst));
        let decided = [over, self.refused.swap(0, Ordering::SeqCst), self.gone.swap(0, Ordering::SeqCst)];
        let taken = i128::from(book.spent(held)) - i128::from(book.reported);
        let arrived =
            taken + decided.map(i128::from).iter().sum::<i128>() + i128::from(waiting) - i128::from(book.waiting);
        book.waiting = waiting;
        let arrived = u64::try_from(arrived).unwrap_or(0);
        book.demand = book.demand.saturating_add(arrived);
        arrived
    }

    /// Returns how much `waiting` requests want.
    fn waited_for(&self, waiting: u64) -> u64 {
        if waiting == 0 {
            self.unmet_largest.store(0, Ordering::SeqCst);
        }
        waiting.saturating_mul(self.unmet_largest.load(Ordering::SeqCst).max(1))
    }

    /// Gives up what is not needed: of a dry counter at once, of others when looked at.
    fn give_up(&self, book: &mut Book, (arrived, waited_for): (u64, u64), is_look: bool) -> u64 {
        if !(book.dry.is_some() || is_look) {
            return 0;
        }
        let (rate, reserve) = (book.rate, book.reserve);
        let keep = match (book.dry.is_some(), is_look && arrived == 0) {
            // Nothing was wanted since it was looked at last: the demand has gone elsewhere.
            (true, true) => waited_for,
            (true, false) => rate.within(KEEP_DRY_MS).max(waited_for),
            (false, _) => rate.within_amply(KEEP_IDLE_MS).max(reserve).max(one_ahead(book)),
        };
        let before = self.change_word(|held| held.min(keep));
        let given_up = before.saturating_sub(keep);
        book.returned = book.returned.saturating_add(given_up);
        given_up
    }

    /// Returns how much this node wants beyond what it holds.
    fn wanted(&self, book: &Book, held: u64, (arrived, waited_for): (u64, u64)) -> u64 {
        let is_known_exhausted = self.exhausted_from.load(Ordering::SeqCst) != NEVER;
        let (low, target) = if book.dry.is_some() {
            (book.rate.within(KEEP_DRY_MS), book.rate.within(TARGET_DRY_MS))
        } else {
            let least = one_ahead(book);
            (book.rate.within_amply(LOW_WATER_MS).max(least), book.rate.within_amply(TARGET_MS).max(least))
        };
        let is_low = arrived > 0 && held < low && !is_known_exhausted;
        if waited_for == 0 && !is_low {
            return 0;
        }
        waited_for.saturating_add(target).saturating_sub(held).min(GRANT_MAX).min(book.limit)
    }

    /// Gives up everything, because the node stops. Later takes find nothing.
    pub(crate) fn close(&self, items: &mut Vec<Item>) {
        let mut book = self.book();
        items.append(&mut book.late);
        let returned = self.change_word(|_| 0);
        book.returned = book.returned.saturating_add(returned);
        let spent = book.spent(0);
        let over = self.over.swap(0, Ordering::SeqCst);
        let item = Item { spent: spent - book.reported, over, returned, ..self.item(&book) };
        book.reported = spent;
        if item.spent != 0 || over > 0 || returned > 0 || book.asked > 0 {
            book.asked = 0;
            items.push(item);
        }
    }

    /// Says whether nothing is lost when this allowance is forgotten: its window is over and everything is reported.
    pub(crate) fn is_dead(&self, now: Timestamp) -> bool {
        let Ok(book) = self.book.try_lock() else { return false };
        let held = word::held(self.word.load(Ordering::SeqCst));
        self.ends_at.load(Ordering::SeqCst).max(book.window.end().0) <= now.0
            && book.late.is_empty()
            && book.spent(held) == book.reported
            && self.over.load(Ordering::SeqCst) == 0
            && !self.is_queued.load(Ordering::SeqCst)
            && !self.is_queued_urgently.load(Ordering::SeqCst)
    }
}

fn one_ahead(book: &Book) -> u64 {
    u64::from(book.limit >= ONE_AHEAD_LIMIT_MIN)
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
                if !self.stops.load(Ordering::SeqCst) {
                    self.over.fetch_add(cost, Ordering::SeqCst);
                    self.enqueue(false);
                    return Taken::Over { window };
                }
                if now.0 >= self.exhausted_from.load(Ordering::SeqCst) {
                    self.refused.fetch_add(cost, Ordering::SeqCst);
                    self.enqueue(false);
                    return Taken::Exhausted { until: Timestamp(ends_at) };
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
        let item = Item { window, spent, reserve, ..self.item(&book) };
        book.push_late(item);
        drop(book);
        self.enqueue(false);
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
        let seen = self.standpoint.seen.load();
        let book = self.book();
        let held = word::held(self.word.load(Ordering::SeqCst));
        let counter = seen.counters.counters.get(&self.key).filter(|counter| counter.window == book.window);
        let pool = counter.map_or_else(|| book.limit.saturating_sub(book.limit / 10), |counter| counter.pool());
        Standing {
            limit: book.limit,
            window_s: book.window.length_ms.div_ceil(1000),
            remaining: held.saturating_add(pool).min(book.limit),
            resets_at: book.window.end(),
        }
    }
}
