//! What an allowance says in the node's reports: spent, owed, given back, asked for.

use std::sync::atomic::Ordering;

use portcullis_database::counters::Item;
use portcullis_database::counters::counter::{ASK_WAIT, GRANT_MAX};
use portcullis_model::Timestamp;

use super::{NEVER, NodeAllowance};
use crate::book::{Book, Said};
use crate::word;

/// A node asks when it holds less than it will need within this time, in milliseconds: a few ticks and a commit.
const LOW_WATER_MS: u32 = 60;
/// It asks for what it will need within this time.
const TARGET_MS: u32 = 100;
/// The same two while much is left and reports are made less often.
const LOW_WATER_CALM_MS: u32 = 160;
const TARGET_CALM_MS: u32 = 400;
/// Much is left where the pool holds this many times what the node asks for then, and the window is as long as this.
const CALM_TIMES: u64 = 20;
const CALM_WINDOW_MS: u64 = 10_000;
/// The same where the counter is dry.
const TARGET_DRY_MS: u32 = 40;
/// Of a dry counter it keeps what it will need within this time.
const KEEP_DRY_MS: u32 = 25;
/// Of a counter nobody is short of, it keeps what it will need within this time, beside its reserve.
const KEEP_IDLE_MS: u32 = 1000;
/// Of a counter with at least this limit a node that is called now and then keeps one request ahead, so that slow callers
/// need not wait either. Of smaller ones that would be too large a part.
const ONE_AHEAD_LIMIT_MIN: u64 = 20;
impl NodeAllowance {
    /// Returns an item about the open window in which nothing is said yet.
    pub(super) fn said(&self, book: &Book) -> Said {
        let item = Item {
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
        };
        Said { item, owed: 0 }
    }

    /// Makes what the report of number `sequence` says about this counter, and counts it as said. `is_look` says that
    /// it comes from the list of those to look at again. Returns whether so much is left that the next report has time.
    pub(crate) fn compose(&self, now: Timestamp, sequence: u64, is_look: bool, items: &mut Vec<Said>) -> bool {
        let mut book = self.book();
        items.append(&mut book.late);
        if book.limit == 0 && self.ends_at.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let is_over = now.0 >= self.ends_at.load(Ordering::SeqCst);
        if is_look && book.look_at.is_some_and(|look_at| look_at <= now) {
            book.look_at = None;
        }
        let over = self.over.swap(0, Ordering::SeqCst);
        let owed = self.owed.swap(0, Ordering::SeqCst);
        let waiting = self.waiting.load(Ordering::SeqCst);
        let arrived = self.arrived(&mut book, over.saturating_add(owed), waiting);
        book.rate.sample(arrived, now.0);
        let waited_for = self.waited_for(waiting);
        let returned = self.give_up(&mut book, (arrived, waited_for), is_look);
        let held = word::held(self.word.load(Ordering::SeqCst));
        let spent = book.spent(held);
        let ask = if is_over { 0 } else { self.wanted(&book, held, (arrived, waited_for)) };
        let is_ask_news =
            ask > book.asked || (ask == 0 && book.asked > 0) || (ask > 0 && book.asked_at.after(ASK_WAIT / 2) <= now);
        if spent != book.reported || over > 0 || owed > 0 || returned > 0 || is_ask_news || book.must_answer() {
            let (spent_since, demand) = (spent - book.reported, book.demand);
            let said = self.said(&book);
            items.push(Said { item: Item { spent: spent_since, over, returned, ask, demand, ..said.item }, owed });
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
        waited_for == 0 && !is_over && self.is_calm(&book)
    }

    /// Says whether so much is left in the pool of a long window that nobody will miss what this node holds of it.
    fn is_calm(&self, book: &Book) -> bool {
        let ample =
            book.rate.within_amply(TARGET_CALM_MS).saturating_mul(CALM_TIMES).max(book.limit / CALM_TIMES).max(1);
        book.dry.is_none()
            && self.length_ms.load(Ordering::SeqCst) >= CALM_WINDOW_MS
            && self.exhausted_from.load(Ordering::SeqCst) == NEVER
            && self.pool.load(Ordering::SeqCst) >= ample
    }

    /// Returns how much callers have begun to want since this was last asked, each request once, and notes it.
    fn arrived(&self, book: &mut Book, beyond: u64, waiting: u64) -> u64 {
        let held = word::held(self.word.load(Ordering::SeqCst));
        let decided = [beyond, self.refused.swap(0, Ordering::SeqCst), self.gone.swap(0, Ordering::SeqCst)];
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
        let is_drained = self.standpoint.seen.load().is_drained;
        if !(book.dry.is_some() || is_look || is_drained) {
            return 0;
        }
        let (rate, reserve) = (book.rate, book.reserve);
        let keep = match (book.dry.is_some(), is_look && arrived == 0) {
            _ if is_drained => waited_for,
            // Nothing was wanted since it was looked at last: the demand has gone elsewhere.
            (true, true) => waited_for,
            (true, false) => rate.within(KEEP_DRY_MS).max(waited_for),
            (false, _) => rate.within_amply(KEEP_IDLE_MS).max(reserve).max(one_ahead(book)),
        };
        let before = self.change_word(|held| held.min(keep));
        let given_up = before.saturating_sub(keep);
        // What is not yet released of a sliding window's reserve is of no use to a node that nobody calls.
        let is_idle = is_drained || (book.dry.is_some() && arrived == 0 && waited_for == 0);
        let withheld = if is_idle { std::mem::take(&mut book.withheld) } else { 0 };
        let given_up = given_up.saturating_add(withheld);
        book.returned = book.returned.saturating_add(given_up);
        given_up
    }

    /// Returns how much this node wants beyond what it holds.
    fn wanted(&self, book: &Book, held: u64, (arrived, waited_for): (u64, u64)) -> u64 {
        if self.standpoint.seen.load().is_drained {
            // Not ahead of requests: the other nodes have more use for it.
            return waited_for.saturating_sub(held).min(GRANT_MAX).min(book.limit);
        }
        let is_known_exhausted = self.exhausted_from.load(Ordering::SeqCst) != NEVER;
        let (low, target) = if book.dry.is_some() {
            (book.rate.within(KEEP_DRY_MS), book.rate.within(TARGET_DRY_MS))
        } else {
            let least = one_ahead(book);
            let (low, target) =
                if self.is_calm(book) { (LOW_WATER_CALM_MS, TARGET_CALM_MS) } else { (LOW_WATER_MS, TARGET_MS) };
            (book.rate.within_amply(low).max(least), book.rate.within_amply(target).max(least))
        };
        let is_low = arrived > 0 && held < low && !is_known_exhausted;
        if waited_for == 0 && !is_low {
            return 0;
        }
        waited_for.saturating_add(target).saturating_sub(held).min(GRANT_MAX).min(book.limit)
    }

    /// Gives up everything, because the node stops. Later takes find nothing.
    pub(crate) fn close(&self, items: &mut Vec<Said>) {
        let mut book = self.book();
        items.append(&mut book.late);
        let returned = self.change_word(|_| 0).saturating_add(std::mem::take(&mut book.withheld));
        book.returned = book.returned.saturating_add(returned);
        let spent = book.spent(0);
        let over = self.over.swap(0, Ordering::SeqCst);
        let owed = self.owed.swap(0, Ordering::SeqCst);
        let item = Item { spent: spent - book.reported, over, returned, ..self.said(&book).item };
        book.reported = spent;
        if item.spent != 0 || over > 0 || owed > 0 || returned > 0 || book.asked > 0 {
            book.asked = 0;
            items.push(Said { item, owed });
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
            && self.owed.load(Ordering::SeqCst) == 0
            && !self.is_queued.load(Ordering::SeqCst)
            && !self.is_queued_urgently.load(Ordering::SeqCst)
    }
}

fn one_ahead(book: &Book) -> u64 {
    u64::from(book.limit >= ONE_AHEAD_LIMIT_MIN)
}
