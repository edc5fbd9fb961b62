//! What this node may still spend of one counter: taken from without a lock, filled from the log.
//!
//! The amount and its window are one word (`word`), so taking is one compare-and-swap. Everything else is bookkeeping
//! under a lock that a request meets only when a window ends. What was spent is never counted: it is what the node was
//! allowed less what it still holds, so it cannot be lost or counted twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use portcullis_database::counters::counter::GRANT_MAX;
use portcullis_database::counters::{Counter, Item, Terms, WindowId};
use portcullis_model::port::{Allowance, PortFuture, Standing, Taken};
use portcullis_model::{CounterKey, Timestamp};
use tokio::sync::Notify;

use crate::queue::Queues;
use crate::rate::Rate;
use crate::seen::{Seen, Standpoint};
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
    /// Wanted and not had, since the last report.
    unmet: AtomicU64,
    /// Refused because nothing is left, since the last report: demand that nobody waits for.
    refused: AtomicU64,
    /// The largest single cost among what was not had.
    unmet_largest: AtomicU64,
    is_queued: AtomicBool,
    changed: Notify,
    book: Mutex<Book>,
}

/// The bookkeeping of the open window.
struct Book {
    window: WindowId,
    limit: u64,
    reserve: u64,
    granted: u64,
    returned: u64,
    /// Spent, as far as reported.
    reported: i64,
    is_declared: bool,
    is_dry: bool,
    has_answered_dry: bool,
    /// The report in which it last asked, until that is answered.
    asked_in: Option<u64>,
    /// When it is to be looked at again.
    look_at: Option<Timestamp>,
    rate: Rate,
    /// The window before and its reserve.
    before: Option<(WindowId, u64)>,
    /// What remains to be said about windows that are over.
    late: Vec<Item>,
}

impl Book {
    fn allowed(&self) -> u64 {
        self.reserve.saturating_add(self.granted).saturating_sub(self.returned)
    }

    fn spent(&self, held: u64) -> i64 {
        i64::try_from(self.allowed()).unwrap_or(i64::MAX) - i64::try_from(held).unwrap_or(i64::MAX)
    }
}

impl NodeAllowance {
    pub(crate) fn new(key: CounterKey, standpoint: Arc<Standpoint>, queues: Arc<Queues>) -> Arc<Self> {
        let book = Book {
            window: WindowId { length_ms: 1, index: 0 },
            limit: 0,
            reserve: 0,
            granted: 0,
            returned: 0,
            reported: 0,
            is_declared: false,
            is_dry: false,
            has_answered_dry: false,
            asked_in: None,
            look_at: None,
            rate: Rate::default(),
            before: None,
            late: Vec::new(),
        };
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
            unmet: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unmet_largest: AtomicU64::new(0),
            is_queued: AtomicBool::new(false),
            changed: Notify::new(),
            book: Mutex::new(book),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the allowance on the list of those with something to report, unless it is there already.
    fn enqueue(&self, is_urgent: bool) {
        let was_queued = self.is_queued.load(Ordering::SeqCst) || self.is_queued.swap(true, Ordering::SeqCst);
        if is_urgent {
            self.queues.hurry();
        }
        if !was_queued {
            self.queues.push(self.me.clone(), is_urgent);
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
        let is_needed_by_others = book.is_dry && left > 0;
        if unreported != 0 || is_needed_by_others {
            let (returned, spent) = (left, unreported);
            let demand = u64::try_from(spent).unwrap_or(0);
            book.late.push(Item { spent, returned, demand, ..self.item(book) });
            self.enqueue(false);
        }
        *book = Book {
            window,
            limit,
            reserve,
            granted: 0,
            returned: 0,
            reported: 0,
            is_declared: false,
            is_dry: false,
            has_answered_dry: false,
            asked_in: None,
            look_at: book.look_at,
            rate: book.rate,
            before: Some((book.window, book.reserve)),
            late: std::mem::take(&mut book.late),
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
        }
        let is_heard = seen.counters.sources.get(&self.standpoint.me).is_some_and(|source| {
            source.incarnation == incarnation && book.asked_in.is_some_and(|asked| source.sequence >= asked)
        });
        if is_heard && holding.is_none_or(|holding| holding.asked == 0) {
            book.asked_in = None;
        }
        book.limit = counter.limit;
        book.is_dry = counter.dry.is_some();
        let exhausted_from = counter.dry.filter(|_| counter.pool() == 0).map_or(NEVER, |dry| dry.exhausted_from.0);
        self.exhausted_from.store(exhausted_from, Ordering::SeqCst);
        if book.is_dry && !book.has_answered_dry && holding.is_some_and(|holding| holding.unspent() > 0) {
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

    /// Takes in a change of the counter in the log. A window that is newer there is newer here, whatever the clock.
    pub(crate) fn learn(&self, counter: &Counter, seen: &Seen) {
        let mut book = self.book();
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
            demand: 0,
            answers_dry: false,
        }
    }

    /// Makes what the report of number `sequence` says about this counter, and counts it as said. `is_look` says that
    /// it comes from the list of those to look at again.
    pub(crate) fn compose(&self, now: Timestamp, sequence: u64, is_look: bool, seen: &Seen, items: &mut Vec<Item>) {
        self.is_queued.store(false, Ordering::SeqCst);
        let mut book = self.book();
        items.append(&mut book.late);
        if book.limit == 0 && self.ends_at.load(Ordering::SeqCst) == 0 {
            return;
        }
        let is_over = now.0 >= self.ends_at.load(Ordering::SeqCst);
        let unmet = self.unmet.swap(0, Ordering::SeqCst);
        let over = self.over.swap(0, Ordering::SeqCst);
        if is_look && book.look_at.is_some_and(|look_at| look_at <= now) {
            book.look_at = None;
        }
        let before = word::held(self.word.load(Ordering::SeqCst));
        let taken = u64::try_from(book.spent(before) - book.reported).unwrap_or(0);
        let refused = self.refused.swap(0, Ordering::SeqCst);
        let demand = taken.saturating_add(unmet).saturating_add(over).saturating_add(refused);
        book.rate.sample(demand, now.0);
        let returned = self.give_up(&mut book, (demand, unmet), is_look);
        let held = word::held(self.word.load(Ordering::SeqCst));
        let spent = book.spent(held);
        let ask = if is_over { 0 } else { self.wanted(&book, held, unmet, seen) };
        let answers_dry = book.is_dry;
        let must_answer = book.is_dry && !book.has_answered_dry;
        let item = Item { spent: spent - book.reported, over, returned, ask, demand, answers_dry, ..self.item(&book) };
        if item.spent != 0 || over > 0 || returned > 0 || ask > 0 || must_answer {
            book.reported = spent;
            book.is_declared = true;
            book.has_answered_dry |= book.is_dry;
            if ask > 0 {
                book.asked_in = Some(sequence);
                self.unmet_largest.store(0, Ordering::SeqCst);
            }
            items.push(item);
        }
        let may_give_up_later = held > 0 && (book.is_dry || book.granted > book.returned);
        if may_give_up_later && !is_over {
            let is_dry = book.is_dry;
            self.look_again(&mut book, is_dry);
        }
    }

    /// Gives up what is not needed: of a dry counter at once, of others when looked at.
    fn give_up(&self, book: &mut Book, (demand, unmet): (u64, u64), is_look: bool) -> u64 {
        if !(book.is_dry || is_look) {
            return 0;
        }
        let (rate, reserve) = (book.rate, book.reserve);
        let keep = match (book.is_dry, is_look && demand == 0) {
            // Nothing was wanted since it was looked at last: the demand has gone elsewhere.
            (true, true) => 0,
            (true, false) => rate.within(KEEP_DRY_MS).max(unmet),
            (false, _) => rate.within(KEEP_IDLE_MS).max(reserve),
        };
        let before = self.change_word(|held| held.min(keep));
        let given_up = before.saturating_sub(keep);
        book.returned = book.returned.saturating_add(given_up);
        given_up
    }

    /// Returns how much to ask for.
    fn wanted(&self, book: &Book, held: u64, unmet: u64, seen: &Seen) -> u64 {
        let source = seen.counters.sources.get(&self.standpoint.me);
        let is_answered = book.asked_in.is_none_or(|asked| {
            let incarnation = self.standpoint.incarnation();
            let is_heard = source.is_some_and(|one| one.incarnation == incarnation && one.sequence >= asked);
            is_heard && !self.is_waited_for(seen, book)
        });
        let is_known_exhausted = self.exhausted_from.load(Ordering::SeqCst) != NEVER;
        let low = if book.is_dry { KEEP_DRY_MS } else { LOW_WATER_MS };
        let is_low = held < book.rate.within(low) && !is_known_exhausted;
        if !is_answered || !(unmet > 0 || is_low) {
            return 0;
        }
        let target = if book.is_dry { TARGET_DRY_MS } else { TARGET_MS };
        let expected = book.rate.within(target).saturating_sub(held);
        unmet.saturating_add(expected).clamp(1, GRANT_MAX).min(book.limit)
    }

    /// Says whether the log still keeps an unanswered ask of this node.
    fn is_waited_for(&self, seen: &Seen, book: &Book) -> bool {
        let counter = seen.counters.counters.get(&self.key).filter(|counter| counter.window == book.window);
        counter.and_then(|counter| counter.holdings.get(&self.standpoint.me)).is_some_and(|holding| holding.asked > 0)
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
        if item.spent != 0 || over > 0 || returned > 0 {
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
                self.unmet.fetch_add(cost, Ordering::SeqCst);
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
        book.late.push(item);
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
            // The time being over is as good an answer as a change.
            tokio::time::timeout(GRANT_WAIT, changed).await.ok();
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
