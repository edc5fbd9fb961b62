//! Takes a node's report into the counters: exactly once, in order.

use std::sync::Arc;

use portcullis_model::mutant::{self, Mutant};
use portcullis_model::{CounterKey, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::counter::{Counter, Holding, Opening};
use super::policy_change;
use super::reserve::NodeFacts;
use super::statement::Owed;
use super::window::{Terms, WindowId};
use super::{COUNTERS_MAX, Counters, Source, USAGE_ROWS_MAX};
use crate::state::State;

/// A node's report: what it has spent, wants, and gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: u64,
    /// The report's number within that start, from 1.
    pub sequence: u64,
    /// The node's time when it made the report.
    pub time: Timestamp,
    /// The index it had applied then: every window it opens from now on has the policies as of that, or later ones.
    pub applied_index: u64,
    /// It has used no reserve of windows that begin at this time or later before this start.
    pub reserve_from: Timestamp,
    /// Whether its message store is new.
    pub is_store_new: bool,
    /// The smaller share of the reserve that it has adopted, and for windows that begin from when on.
    pub adopted: Option<(u64, Timestamp)>,
    /// What it has to say about counters.
    pub items: Vec<Item>,
}

/// What a report says about one counter in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The counter.
    pub key: CounterKey,
    /// The window.
    pub window: WindowId,
    /// The reserve that the node has in this window; the same in every item of one start and window.
    pub reserve: u64,
    /// Spent since the last item; negative where more was given back than taken since.
    pub spent: i64,
    /// Let through beyond the limit since the last item, where the policy does not stop.
    pub over: u64,
    /// Given back to the pool.
    pub returned: u64,
    /// Asked for: how much the node wants beyond `granted`. Replaces what it asked for before; 0 withdraws that.
    pub ask: u64,
    /// Granted in all, as far as the node knew when it made the report.
    pub granted: u64,
    /// Wanted by callers since the last item, whether they got it or not.
    pub demand: u64,
    /// Since when the counter was dry, as far as the node knew when it made the report: it has kept only what it needs.
    pub answers_dry: Option<Timestamp>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportReply {
    /// It was taken in.
    Applied,
    /// It was taken in before.
    AlreadyApplied,
    /// A later start of the node has reported: this one's reports count no more.
    Stale {
        /// The later start.
        incarnation: u64,
    },
}

/// Takes a report in.
pub fn take_in(state: &mut State, report: &Report, now: Timestamp) -> ReportReply {
    take_in_with(state, report, None, now)
}

/// The same for a report with what is owed, in the order of its items. `None` is a report of the time before there were
/// balances: nodes of that version must come to the same.
pub(super) fn take_in_with(state: &mut State, report: &Report, owed: Option<&[Owed]>, now: Timestamp) -> ReportReply {
    if let Some(source) = state.counters.sources.get(&report.node) {
        if report.incarnation < source.incarnation {
            return ReportReply::Stale { incarnation: source.incarnation };
        }
        if report.incarnation == source.incarnation && report.sequence <= source.sequence {
            return ReportReply::AlreadyApplied;
        }
    }
    let is_member = state.system.nodes.get(&report.node).is_some_and(|node| node.removed_at.is_none());
    if is_member {
        hear(state, report, now);
    }
    drop_ended(state, report.items.len());
    let has_balances = owed.is_some();
    let mut owed = owed.unwrap_or_default().iter().peekable();
    for (at, item) in report.items.iter().enumerate() {
        let mut amount = 0_u64;
        while let Some(one) = owed.next_if(|one| usize::try_from(one.item).is_ok_and(|item| item <= at)) {
            amount = amount.saturating_add(one.amount);
        }
        take_item(state, report, &Stated { item, owed: amount, has_balances }, is_member, now);
    }
    let source = Source { incarnation: report.incarnation, sequence: report.sequence };
    state.counters.sources.insert(report.node, source);
    ReportReply::Applied
}

fn hear(state: &mut State, report: &Report, now: Timestamp) {
    let members: Vec<NodeId> =
        state.system.nodes.iter().filter(|(_, node)| node.removed_at.is_none()).map(|(id, _)| *id).collect();
    let mut table = state.counters.reserve_table().as_ref().clone();
    let facts = NodeFacts {
        node: report.node,
        incarnation: report.incarnation,
        time: report.time,
        applied_index: report.applied_index,
        reserve_from: report.reserve_from,
        is_store_new: report.is_store_new,
        adopted: report.adopted,
    };
    table.hear(&facts, &members, now);
    state.counters.reserve.insert((), Arc::new(table));
}

/// An item with what is owed.
struct Stated<'a> {
    item: &'a Item,
    owed: u64,
    has_balances: bool,
}

fn take_item(state: &mut State, report: &Report, stated: &Stated<'_>, is_member: bool, now: Timestamp) {
    let item = stated.item;
    note_usage(state, stated);
    if !is_member {
        return;
    }
    let existing = state.counters.counters.get(&item.key).map(Arc::clone);
    let counter = match existing {
        Some(existing) if existing.window == item.window => Some(existing.as_ref().clone()),
        Some(existing) if existing.window.end() >= item.window.end() => {
            return take_item_late(state, report, stated, &existing, now);
        }
        _ => open(state, report, stated, now),
    };
    let Some(mut counter) = counter else { return };
    enter(&mut counter, report, item, now);
    if stated.owed > 0 {
        let mut balance =
            state.counters.balances.get(&item.key).map_or_else(Balance::default, |one| Balance::clone(one));
        balance.owed = balance.owed.saturating_add(stated.owed);
        keep_balance(&mut state.counters, &item.key, &counter, balance);
    }
    state.counters.settle(&item.key, &mut counter, now);
    state.counters.counters.insert(item.key.clone(), Arc::new(counter));
}

/// Enters what an item says into its counter.
fn enter(counter: &mut Counter, report: &Report, item: &Item, now: Timestamp) {
    let new = || Holding { incarnation: report.incarnation, ..Holding::default() };
    let holding = counter.holdings.get_or_insert_with(report.node, new);
    if holding.incarnation < report.incarnation {
        holding.restart(report.incarnation);
    }
    if !holding.is_declared {
        holding.is_declared = true;
        holding.reserve = item.reserve;
    }
    holding.spent = holding.spent.saturating_add(item.spent);
    holding.returned = holding.returned.saturating_add(item.returned);
    holding.demand = holding.demand.saturating_add(item.demand);
    holding.has_answered |= counter.dry.is_some_and(|dry| item.answers_dry == Some(dry.since));
    // What was granted while the report was under way is part of what it asks for.
    holding.asked = item.ask.saturating_sub(holding.granted.saturating_sub(item.granted));
    holding.asked_at = now;
}

/// Enters what an item says about the window before the counter's, where that window still matters.
fn take_item_late(state: &mut State, report: &Report, stated: &Stated<'_>, counter: &Arc<Counter>, now: Timestamp) {
    let item = stated.item;
    let balance = state.counters.balances.get(&item.key).map(Arc::clone);
    let before = balance.as_ref().and_then(|balance| balance.before.as_ref());
    let mut balance = match before {
        Some(before) if before.counter.window == item.window => balance.as_deref().cloned().unwrap_or_default(),
        // A debt of a window that had none until now is paid in the present one.
        _ if stated.owed > 0 => {
            let mut balance = balance.as_deref().cloned().unwrap_or_default();
            balance.owed = balance.owed.saturating_add(stated.owed);
            return settle_anew(state, &item.key, counter, balance, now);
        }
        _ => return,
    };
    if let Some(before) = &mut balance.before {
        let mut late = before.counter.as_ref().clone();
        enter(&mut late, report, item, now);
        before.counter = Arc::new(late);
        before.owed = before.owed.saturating_add(stated.owed);
    }
    settle_anew(state, &item.key, counter, balance, now);
}

fn settle_anew(state: &mut State, key: &CounterKey, counter: &Arc<Counter>, balance: Balance, now: Timestamp) {
    keep_balance(&mut state.counters, key, counter, balance);
    let mut counter = counter.as_ref().clone();
    state.counters.settle(key, &mut counter, now);
    state.counters.counters.insert(key.clone(), Arc::new(counter));
}

/// Opens the counter for the item's window, if the policy has such a window now and it has begun.
fn open(state: &mut State, report: &Report, stated: &Stated<'_>, now: Timestamp) -> Option<Counter> {
    let item = stated.item;
    let limit = item.key.limit_key();
    let terms = Terms::of(&state.deployed, &limit)?;
    let window = item.window;
    let counters = &mut state.counters;
    let last = counters.counters.get(&item.key).map(Arc::clone);
    let is_full = last.is_none() && counters.counters.len() >= COUNTERS_MAX;
    if terms.length_ms != window.length_ms || window.start() > report.time || is_full {
        return None;
    }
    let table = counters.reserve_table();
    // It may have been open and dropped before: what was granted then is not known any more.
    if kept_until(window) <= table.horizon {
        return None;
    }
    let reserve_total = policy_change::reserve_total(counters, &limit, &terms, window.start());
    let opening = Opening { window, terms, reserve_total, table: &table };
    let mut counter = Counter::open(&opening);
    let last_balance = counters.balances.remove(&item.key);
    if let Some(last) = &last {
        let until = if last_balance.is_some() { kept_long_until(last.window) } else { kept_until(last.window) };
        counters.ends.remove(&(until, item.key.clone()));
    }
    counters.ends.insert((kept_until(window), item.key.clone()), ());
    let known = last.as_ref().map(|last| (last, last_balance.as_deref()));
    if stated.has_balances
        && let Some(balance) = Balance::open(&opening, known)
    {
        keep_balance(counters, &item.key, &counter, balance);
    }
    if let Some(last) = &last
        && window.end() > table.horizon
    {
        counter.grant_ahead(last, &table, counters.capacity(&item.key, &counter, now));
    }
    Some(counter)
}

/// Keeps a counter's balance, and with it the counter until its window is no longer of use to the next.
pub(super) fn keep_balance(counters: &mut Counters, key: &CounterKey, counter: &Counter, balance: Balance) {
    if counters.balances.insert(key.clone(), Arc::new(balance)).is_none() {
        counters.ends.remove(&(kept_until(counter.window), key.clone()));
        counters.ends.insert((kept_long_until(counter.window), key.clone()), ());
    }
}

fn note_usage(state: &mut State, stated: &Stated<'_>) {
    let item = stated.item;
    let used = i128::from(item.spent) + i128::from(item.over) + i128::from(stated.owed);
    if used == 0 {
        return;
    }
    let usage = &mut state.counters.usage;
    let before = usage.get(&item.key).copied();
    if before.is_none() && usage.len() >= USAGE_ROWS_MAX {
        return;
    }
    let used = if mutant::is(Mutant::ApplyTwice) && used % 3 == 0 { used * 2 } else { used };
    let after = (i128::from(before.unwrap_or(0)) + used).clamp(0, i128::from(u64::MAX));
    usage.insert(item.key.clone(), u64::try_from(after).unwrap_or(u64::MAX));
}

/// Until when a counter is kept: a while after its window, so that the next one knows the demand.
fn kept_until(window: WindowId) -> Timestamp {
    const KEPT_MS_MAX: u64 = 600_000;
    Timestamp(window.end().0.saturating_add(window.length_ms.min(KEPT_MS_MAX)))
}

/// The same for a counter with a balance: the next window must know what it leaves.
fn kept_long_until(window: WindowId) -> Timestamp {
    Timestamp(window.end().0.saturating_add(window.length_ms))
}

/// Drops counters whose time is over; a few more at a time than a report can open, so that they cannot pile up.
fn drop_ended(state: &mut State, items: usize) {
    let horizon = state.counters.reserve_table().horizon;
    for _ in 0..items * 2 + 16 {
        let Some((oldest, ())) = state.counters.ends.get_min().cloned() else { return };
        if oldest.0 > horizon {
            return;
        }
        state.counters.ends.remove(&oldest);
        state.counters.counters.remove(&oldest.1);
        state.counters.balances.remove(&oldest.1);
    }
}
