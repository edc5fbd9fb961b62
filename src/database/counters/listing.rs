//! What an administrator sees of the counters.

use portcullis_model::{CounterKey, NodeId, Timestamp, WindowKind};
use serde::{Deserialize, Serialize};

use super::Counters;
use super::counter::Counter;

/// Counters listed at a time, at most.
pub const LIST_MAX: usize = 1000;
/// Counters looked at for one page, at most.
const LOOKED_AT_MAX: usize = 100_000;

/// One counter as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterStanding {
    /// The counter.
    pub key: CounterKey,
    /// The limit per window.
    pub limit: u64,
    /// When the window began.
    pub begins_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Whether the window is over: what follows is how it ended, until the counter is used again or forgotten.
    pub is_over: bool,
    /// What may still be granted.
    pub pool: u64,
    /// What is left in all, as far as reported: the pool and what the nodes have not spent.
    pub remaining: u64,
    /// Whether nodes give back what they do not need, because somebody found the pool nearly empty.
    pub is_dry: bool,
    /// Whether nothing is left to grant and requests beyond what nodes hold are refused at once.
    pub is_exhausted: bool,
    /// Whether the window before counts by the part of it that lies less than a window's length back.
    pub is_sliding: bool,
    /// Spent beyond the limit because costs were known late; the next window begins with that much less.
    pub owed: u64,
    /// Used in all windows, as far as reported.
    pub used_in_all: u64,
    /// What each node holds.
    pub holdings: Vec<NodeStanding>,
}

/// What one node holds of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStanding {
    /// The node.
    pub node: NodeId,
    /// Its reserve.
    pub reserve: u64,
    /// Granted to it.
    pub granted: u64,
    /// Given back by it.
    pub returned: u64,
    /// Spent by it, as far as reported.
    pub spent: u64,
    /// What it may still spend, as far as reported.
    pub unspent: u64,
    /// What a restart of the node has cost this window.
    pub lost: u64,
    /// What it asks for.
    pub asked: u64,
}

/// A page of a list of counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys, in order.
    pub keys: Vec<CounterKey>,
    /// Where the next page begins: after this. There may be nothing in it.
    pub next: Option<CounterKey>,
}

impl Page {
    fn of<V: Clone>(
        rows: &imbl::OrdMap<CounterKey, V>,
        picks: &dyn Fn(&CounterKey) -> bool,
        after: Option<&CounterKey>,
        limit: usize,
    ) -> Self {
        let lower = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut page = Self { keys: Vec::new(), next: None };
        let rows = rows.range::<_, CounterKey>((lower, std::ops::Bound::Unbounded));
        for (looked_at, (key, _)) in rows.enumerate() {
            if page.keys.len() == limit.min(LIST_MAX) || looked_at == LOOKED_AT_MAX {
                return page;
            }
            page.next = Some(key.clone());
            if picks(key) {
                page.keys.push(key.clone());
            }
        }
        Self { next: None, ..page }
    }
}

impl Counters {
    /// Lists counters in the order of their keys as of `now`: at most `limit`, and at most [`LIST_MAX`], of those after
    /// `after`.
    #[must_use]
    pub fn list(&self, after: Option<&CounterKey>, limit: usize, now: Timestamp) -> Vec<CounterStanding> {
        let now = self.reserve_table().horizon.max(now);
        let lower = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rows = self.counters.range::<_, CounterKey>((lower, std::ops::Bound::Unbounded));
        rows.take(limit.min(LIST_MAX)).map(|(key, counter)| self.standing(key, counter, now)).collect()
    }

    /// Returns a page of the counters that `picks` picks: at most `limit` after `after`.
    #[must_use]
    pub fn page(&self, picks: &dyn Fn(&CounterKey) -> bool, after: Option<&CounterKey>, limit: usize) -> Page {
        Page::of(&self.counters, picks, after, limit)
    }

    /// The same of the counters of which usage is known.
    #[must_use]
    pub fn usage_page(&self, picks: &dyn Fn(&CounterKey) -> bool, after: Option<&CounterKey>, limit: usize) -> Page {
        Page::of(&self.usage, picks, after, limit)
    }

    /// Returns how a counter stands as of `now`, where there is one.
    #[must_use]
    pub fn standing_of(&self, key: &CounterKey, now: Timestamp) -> Option<CounterStanding> {
        let now = self.reserve_table().horizon.max(now);
        self.counters.get(key).map(|counter| self.standing(key, counter, now))
    }

    fn standing(&self, key: &CounterKey, counter: &Counter, now: Timestamp) -> CounterStanding {
        let holdings = counter.holdings.iter().map(|(node, holding)| NodeStanding {
            node,
            reserve: holding.reserve,
            granted: holding.granted,
            returned: holding.returned,
            spent: u64::try_from(holding.spent).unwrap_or(0),
            unspent: holding.unspent(),
            lost: holding.lost,
            asked: holding.asked,
        });
        let capacity = self.capacity(key, counter, now);
        let pool = counter.pool_under(capacity);
        CounterStanding {
            key: key.clone(),
            limit: counter.limit,
            begins_at: counter.window.start(),
            ends_at: counter.window.end(),
            is_over: counter.window.end() <= now,
            pool,
            remaining: counter.remaining_under(capacity),
            is_sliding: self.balances.get(key).is_some_and(|balance| balance.kind == WindowKind::Sliding),
            owed: self.balances.get(key).map_or(0, |balance| balance.owed),
            is_dry: counter.dry.is_some(),
            is_exhausted: pool == 0 && counter.dry.is_some_and(|dry| dry.exhausted_from <= now),
            used_in_all: self.usage.get(key).copied().unwrap_or(0),
            holdings: holdings.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_model::counter::CounterSubject;
    use portcullis_model::{ApiId, ApplicationId, TenantDomain};

    use super::*;
    use crate::counters::{Dry, Holding, WindowId};

    fn key(number: u8) -> CounterKey {
        let subject = CounterSubject::Subscription {
            application: ApplicationId::from_random([number; 16]),
            api: ApiId::from_random([7; 16]),
        };
        CounterKey { tenant: TenantDomain::super_tenant(), policy: "Gold".to_owned(), subject }
    }

    fn counter(holdings: &[Holding]) -> Arc<Counter> {
        let holdings = (1..).map(NodeId).zip(holdings.iter().copied()).collect();
        let window = WindowId { length_ms: 1000, index: 5 };
        Arc::new(Counter { window, limit: 100, version: 1, stops_on_quota_reach: true, holdings, dry: None })
    }

    #[test]
    fn a_list_says_what_is_in_the_pool_what_is_left_and_whether_the_window_is_over() {
        let mut counters = Counters::default();
        let busy = Holding { reserve: 5, granted: 40, returned: 10, spent: 20, ..Holding::default() };
        let restarted = Holding { lost: 30, spent: -1, ..Holding::default() };
        counters.counters.insert(key(1), counter(&[busy, restarted]));
        let listed = &counters.list(None, 10, Timestamp(5500))[0];
        assert_eq!((listed.pool, listed.remaining), (100 - 35 - 30, 35 + 15));
        assert_eq!((listed.holdings[0].unspent, listed.holdings[1].spent, listed.holdings[1].lost), (15, 0, 30));
        assert_eq!((listed.begins_at, listed.ends_at, listed.is_over), (Timestamp(5000), Timestamp(6000), false));
        assert!(counters.list(None, 10, Timestamp(6000))[0].is_over);
    }

    #[test]
    fn a_counter_is_shown_as_exhausted_when_the_pool_is_empty_and_all_have_had_their_time() {
        let mut counters = Counters::default();
        let mut spent = counter(&[Holding { granted: 100, spent: 100, ..Holding::default() }]).as_ref().clone();
        spent.dry = Some(Dry { since: Timestamp(5100), exhausted_from: Timestamp(5300) });
        counters.counters.insert(key(1), Arc::new(spent));
        let at = |now| counters.list(None, 1, Timestamp(now))[0].is_exhausted;
        assert!(!at(5299) && at(5300));
    }

    #[test]
    fn a_list_goes_on_after_the_last_key_of_the_page_before() {
        let mut counters = Counters::default();
        for number in 1..=5 {
            counters.counters.insert(key(number), counter(&[]));
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = counters.list(after.as_ref(), 2, Timestamp(0));
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            seen.extend(page.into_iter().map(|standing| standing.key));
        }
        let all: Vec<CounterKey> = counters.counters.keys().cloned().collect();
        assert_eq!(seen, all);
    }
}
