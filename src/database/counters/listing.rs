//! What an administrator sees of the counters.

use portcullis_model::{CounterKey, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Counters;
use super::counter::Counter;

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
    /// What may still be granted.
    pub pool: u64,
    /// Whether nodes give back what they do not need, because somebody found the pool empty.
    pub is_dry: bool,
    /// Requests admitted in all windows, as far as reported.
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
    /// What a restart of the node has cost this window.
    pub lost: u64,
    /// What it asks for.
    pub asked: u64,
}

impl Counters {
    /// Lists counters in the order of their keys: at most `limit` of those after `after`.
    #[must_use]
    pub fn list(&self, after: Option<&CounterKey>, limit: usize) -> Vec<CounterStanding> {
        let lower = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rows = self.counters.range::<_, CounterKey>((lower, std::ops::Bound::Unbounded));
        rows.take(limit).map(|(key, counter)| self.standing(key, counter)).collect()
    }

    fn standing(&self, key: &CounterKey, counter: &Counter) -> CounterStanding {
        let holdings = counter.holdings.iter().map(|(node, holding)| NodeStanding {
            node: *node,
            reserve: holding.reserve,
            granted: holding.granted,
            returned: holding.returned,
            spent: u64::try_from(holding.spent).unwrap_or(0),
            lost: holding.lost,
            asked: holding.asked,
        });
        CounterStanding {
            key: key.clone(),
            limit: counter.limit,
            begins_at: counter.window.start(),
            ends_at: counter.window.end(),
            pool: counter.pool(),
            is_dry: counter.dry.is_some(),
            used_in_all: self.usage.get(key).copied().unwrap_or(0),
            holdings: holdings.collect(),
        }
    }
}
