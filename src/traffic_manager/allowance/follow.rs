//! How an allowance follows the log and the clock: windows open and end, grants come in, reserves are released.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use portcullis_database::counters::counter::GRANT_MAX;
use portcullis_database::counters::{Counter, Item, Terms, WindowId};
use portcullis_model::{QuotaUnit, Timestamp, WindowKind};

use super::{NEVER, NodeAllowance, number_of};
use crate::book::{Book, Said};
use crate::seen::Seen;
use crate::word;

/// How soon it looks again whether it still needs what it holds of a dry counter, in milliseconds.
const LOOK_AGAIN_DRY_MS: u64 = 20;
/// The same for other counters.
const LOOK_AGAIN_MS: u64 = 1000;
/// The window's length where the policy is gone and nothing is limited.
const UNLIMITED_LENGTH_MS: u64 = 60_000;
/// A counter that has something again sooner than this is not called exhausted: waiting is worth it.
const SOON_MS: u64 = 50;

/// How the window that is to be opened is limited.
struct Opened {
    window: WindowId,
    reserve: u64,
    limit: u64,
    kind: WindowKind,
    unit: QuotaUnit,
    stops: bool,
}

impl NodeAllowance {
    /// Opens the window in which `now` lies, if the open one is over.
    pub(super) fn roll(&self, now: Timestamp) {
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
            let (kind, unit) = (WindowKind::Fixed, super::unit_of(self.unit.load(Ordering::SeqCst)));
            self.open(book, &Opened { window, reserve: 0, limit: u64::MAX, kind, unit, stops: false });
            return;
        };
        let window = WindowId::at(terms.length_ms, now);
        self.open_on(book, window, &terms, seen);
    }

    fn open_from_log(&self, book: &mut Book, counter: &Counter, seen: &Seen) {
        self.standpoint.advance(counter.window.start());
        let terms = Terms {
            limit: counter.limit,
            length_ms: counter.window.length_ms,
            stops_on_quota_reach: counter.stops_on_quota_reach,
            version: counter.version,
            kind: seen.counters.balances.get(&self.key).map_or(WindowKind::Fixed, |balance| balance.kind),
            unit: seen.terms(&self.key).map_or(QuotaUnit::Requests, |terms| terms.unit),
        };
        self.open_on(book, counter.window, &terms, seen);
        self.take_in(book, counter, seen);
    }

    fn open_on(&self, book: &mut Book, window: WindowId, terms: &Terms, seen: &Seen) {
        let reserve = self.standpoint.reserve(seen, terms, window.start());
        let (limit, kind, unit, stops) = (terms.limit, terms.kind, terms.unit, terms.stops_on_quota_reach);
        self.open(book, &Opened { window, reserve, limit, kind, unit, stops });
    }

    /// Replaces the open window. From the moment the word is replaced nobody can spend what the old one held.
    fn open(&self, book: &mut Book, opened: &Opened) {
        let Opened { window, limit, kind, .. } = *opened;
        let reserve = opened.reserve.min(GRANT_MAX);
        // The reserve of a sliding window is released little by little, as the window before counts less and less.
        let withheld = if kind == WindowKind::Sliding { reserve } else { 0 };
        self.stops.store(opened.stops, Ordering::SeqCst);
        self.unit.store(number_of(opened.unit), Ordering::SeqCst);
        self.limit.store(limit, Ordering::SeqCst);
        self.length_ms.store(window.length_ms, Ordering::SeqCst);
        self.pool.store(limit.saturating_sub(limit / 10), Ordering::SeqCst);
        self.exhausted_from.store(NEVER, Ordering::SeqCst);
        self.exhausted_until.store(window.end().0, Ordering::SeqCst);
        self.releases_at.store(if withheld > 0 { window.start().0 } else { NEVER }, Ordering::SeqCst);
        self.index.store(window.index, Ordering::SeqCst);
        let old = self.word.swap(word::pack(window.index, reserve - withheld), Ordering::SeqCst);
        self.ends_at.store(window.end().0, Ordering::SeqCst);
        self.close_window(book, word::held(old));
        *book = Book {
            kind,
            withheld,
            waiting: book.waiting,
            look_at: book.look_at,
            rate: book.rate,
            before: Some((book.window, book.reserve)),
            late: std::mem::take(&mut book.late),
            ..Book::new(window, limit, reserve)
        };
        self.changed.notify_waiters();
    }

    /// Notes what is to be said about the window that ends with `left` in hand.
    fn close_window(&self, book: &mut Book, left: u64) {
        let owed = self.owed.swap(0, Ordering::SeqCst);
        let over = self.over.swap(0, Ordering::SeqCst);
        let unreported = book.spent(left) - book.reported;
        // Others are short of it, or the next window has so much the less of it.
        let is_needed = left > 0 && (book.dry.is_some() || book.kind == WindowKind::Sliding);
        if unreported == 0 && owed == 0 && over == 0 && !is_needed {
            return;
        }
        let beyond = i64::try_from(owed.saturating_add(over)).unwrap_or(i64::MAX);
        let demand = u64::try_from(unreported.saturating_add(beyond)).unwrap_or(0).saturating_add(book.demand);
        let said = self.said(book);
        let returned = left.saturating_add(book.withheld);
        book.push_late(Said { item: Item { spent: unreported, over, returned, demand, ..said.item }, owed });
        self.enqueue(false);
    }

    /// Releases so much of a sliding window's reserve as its time has passed.
    pub(super) fn release(&self, now: Timestamp) {
        let mut book = self.book();
        if book.withheld == 0 || now.0 < book.window.start().0 || now.0 >= self.ends_at.load(Ordering::SeqCst) {
            self.releases_at.store(NEVER, Ordering::SeqCst);
            return;
        }
        let (length, passed) = (book.window.length_ms, now.0 - book.window.start().0);
        let part = |reserve: u64, passed: u64| u128::from(reserve) * u128::from(passed) / u128::from(length);
        let released = u64::try_from(part(book.reserve, passed)).unwrap_or(u64::MAX);
        let withheld = book.withheld.min(book.reserve.saturating_sub(released));
        let more = book.withheld - withheld;
        book.withheld = withheld;
        self.change_word(|held| held.saturating_add(more).min(word::HELD_MAX));
        // The next whole unit comes when so much time has passed.
        let next = u128::from(length) * u128::from(released.saturating_add(1)) / u128::from(book.reserve.max(1));
        let next = book.window.start().0.saturating_add(u64::try_from(next).unwrap_or(u64::MAX).max(passed + 1));
        self.releases_at.store(if withheld > 0 { next } else { NEVER }, Ordering::SeqCst);
    }

    /// Takes in what the log says about the open window: grants, and whether anything is left.
    fn take_in(&self, book: &mut Book, counter: &Counter, seen: &Seen) {
        let incarnation = self.standpoint.incarnation();
        let holding = counter.holdings.get(self.standpoint.me).filter(|holding| holding.incarnation == incarnation);
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
        let now = self.standpoint.advance(Timestamp(0));
        let pool = seen.counters.pool(&self.key, counter, now);
        let refills_at = seen.counters.balances.get(&self.key).and_then(|balance| balance.refills_at(counter, now));
        let until = refills_at.unwrap_or(counter.window.end()).min(counter.window.end());
        let is_empty = pool == 0 && until.0 > now.0.saturating_add(SOON_MS);
        let exhausted_from = counter.dry.filter(|_| is_empty).map_or(NEVER, |dry| dry.exhausted_from.0);
        self.pool.store(pool, Ordering::SeqCst);
        self.limit.store(counter.limit, Ordering::SeqCst);
        self.exhausted_until.store(until.0, Ordering::SeqCst);
        self.exhausted_from.store(exhausted_from, Ordering::SeqCst);
        if book.must_answer() && holding.is_some_and(|holding| holding.unspent() > 0) {
            self.enqueue(true);
        }
        self.changed.notify_waiters();
    }

    /// Has the allowance looked at again, for what it does not need.
    pub(super) fn look_again(&self, book: &mut Book, is_dry: bool) {
        let after = if is_dry { LOOK_AGAIN_DRY_MS } else { LOOK_AGAIN_MS };
        let at = Timestamp(self.standpoint.advance(Timestamp(0)).0.saturating_add(after));
        if book.look_at.is_some_and(|look_at| look_at <= at) {
            return;
        }
        book.look_at = Some(at);
        self.queues.look_again(self.me.clone(), at);
    }

    /// Changes the amount held, against requests that take from it at the same time. Returns the amount before.
    pub(super) fn change_word(&self, mut change: impl FnMut(u64) -> u64) -> u64 {
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
}
