//! One counter in one window: who may have spent how much of its limit, and how the rest is granted.
//!
//! The rule that keeps a limit: the sum of all [`Holding::exposure`] never passes it. Everything here is a function of
//! values; the log gives the order.

use std::time::Duration;

use portcullis_model::mutant::{self, Mutant};
use portcullis_model::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::holdings::Holdings;
use super::reserve::{ReserveTable, share_of};
use super::window::{Terms, WindowId};

/// How long nodes have to give back what they do not need, once a counter is dry.
pub const RECLAIM_WAIT: Duration = Duration::from_millis(200);
/// How long an ask stands. A node withdraws or renews it earlier; this is for nodes that cannot: what comes back later
/// goes to the pool, where the next request finds it, wherever that arrives.
pub const ASK_WAIT: Duration = Duration::from_millis(50);
/// A node that reported within this time takes part when grants are made ahead.
const HEARD_LATELY: Duration = Duration::from_secs(2);
/// Grants made ahead when a window opens last for this long at the demand of the window before.
const AHEAD_MS: u64 = 1000;
/// A counter is dry when somebody gets less than it asks for and less than this part of the limit is in the pool.
const NEARLY_DRY: u64 = 20;
/// It is dry no more when more than this part of the limit has come back: the demand has moved, not grown.
const REFILLED: u64 = 5;
/// Grants do not shrink below this part of the limit.
const SMALLEST_BLOCK: u64 = 200;
/// No node is granted more than this at a time: what it holds must fit beside the window in one machine word.
pub const GRANT_MAX: u64 = 1 << 38;

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The window.
    pub window: WindowId,
    /// The limit it opened with.
    pub limit: u64,
    /// The policy's version it opened with.
    pub version: u64,
    /// Whether use past the limit is refused.
    pub stops_on_quota_reach: bool,
    /// What each node may have spent.
    pub holdings: Holdings,
    /// Set from the moment (nearly) nothing was left for somebody who asked, until the window ends or much has come
    /// back: everybody gives back what they do not need.
    pub dry: Option<Dry>,
}

/// A counter of which nothing is left to grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dry {
    /// When that was.
    pub since: Timestamp,
    /// From when on it counts as exhausted while nothing is in the pool: when everybody has answered, or after
    /// [`RECLAIM_WAIT`].
    pub exhausted_from: Timestamp,
}

/// What one node holds of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which start of the node.
    pub incarnation: u64,
    /// Whether `reserve` is what the node itself said; otherwise it is the most that it may believe.
    pub is_declared: bool,
    /// Its reserve in this window.
    pub reserve: u64,
    /// Granted to it so far.
    pub granted: u64,
    /// Given back by it so far.
    pub returned: u64,
    /// Spent by it, as far as reported.
    pub spent: i64,
    /// What earlier starts of the node held when they ended: counts as spent.
    pub lost: u64,
    /// What it has asked for and not got.
    pub asked: u64,
    /// When it asked.
    pub asked_at: Timestamp,
    /// How much was wanted of it in this window, refused requests included.
    pub demand: u64,
    /// Whether it has answered since the counter is dry.
    pub has_answered: bool,
}

impl Holding {
    /// Returns the most that may have been spent by, or through, the node.
    #[must_use]
    pub fn exposure(&self) -> u64 {
        self.lost.saturating_add(self.own())
    }

    /// Returns what the node may still spend, as far as the log knows.
    #[must_use]
    pub fn unspent(&self) -> u64 {
        self.own().saturating_sub(u64::try_from(self.spent).unwrap_or(0))
    }

    fn own(&self) -> u64 {
        self.reserve.saturating_add(self.granted).saturating_sub(self.returned)
    }

    /// Begins anew for a later start of the node: what the earlier one held counts as spent.
    pub(super) fn restart(&mut self, incarnation: u64) {
        let lost = if mutant::is(Mutant::ForgetGrants) { 0 } else { self.exposure() };
        *self = Self { incarnation, lost, demand: self.demand, ..Self::default() };
    }
}

/// What a counter opens from.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The window.
    pub window: WindowId,
    /// The policy's terms.
    pub terms: Terms,
    /// The largest reserve that any node may believe all members have: more than the terms' where the policy was
    /// lowered and not every node is known to have seen that.
    pub reserve_total: u64,
    /// Who holds which share.
    pub table: &'a ReserveTable,
}

impl Counter {
    /// Opens a counter for a window: every share of the reserve counts as held.
    #[must_use]
    pub fn open(opening: &Opening<'_>) -> Self {
        let start = opening.window.start();
        let holdings = opening.table.holders.iter().map(|(node, holder)| {
            let (parts, by) = holder.share_at(start);
            let share = share_of(opening.reserve_total, parts);
            let incarnation = holder.last().map_or(0, |last| last.incarnation);
            let (reserve, lost) = if by == incarnation { (share, 0) } else { (0, share) };
            (*node, Holding { incarnation, reserve, lost, ..Holding::default() })
        });
        Self {
            window: opening.window,
            limit: opening.terms.limit,
            version: opening.terms.version,
            stops_on_quota_reach: opening.terms.stops_on_quota_reach,
            holdings: holdings.collect(),
            dry: None,
        }
    }

    /// Returns the most that may have been spent by all nodes.
    #[must_use]
    pub fn exposure(&self) -> u64 {
        self.holdings.values().fold(0, |sum, holding| sum.saturating_add(holding.exposure()))
    }

    /// Returns what is known to be used: spent, or lost with a node that ended.
    #[must_use]
    pub fn known_used(&self) -> u64 {
        let used = |holding: &Holding| holding.lost.saturating_add(u64::try_from(holding.spent).unwrap_or(0));
        self.holdings.values().fold(0, |sum, holding| sum.saturating_add(used(holding)))
    }

    /// Returns what may still be granted where the nodes together may hold `capacity`.
    #[must_use]
    pub fn pool_under(&self, capacity: u64) -> u64 {
        capacity.saturating_sub(self.exposure())
    }

    /// Returns what is left in all, as far as the log knows: the pool and what the nodes have not spent.
    #[must_use]
    pub fn remaining_under(&self, capacity: u64) -> u64 {
        let pool = self.pool_under(capacity);
        self.holdings.values().fold(pool, |sum, holding| sum.saturating_add(holding.unspent())).min(self.limit)
    }

    /// Grants ahead, in proportion to each node's demand in the window before: at most half of the pool, and no more
    /// than a node needs for a second.
    pub fn grant_ahead(&mut self, before: &Self, table: &ReserveTable, capacity: u64) {
        if !self.window.follows(before.window) {
            return;
        }
        let is_live = |node: &NodeId| {
            let holder = table.holders.get(node).filter(|holder| holder.leaves_at.is_none());
            holder.is_some_and(|holder| holder.heard_at.after(HEARD_LATELY) >= table.horizon)
        };
        let demands: Vec<(NodeId, u64)> = before
            .holdings
            .iter()
            .filter(|(node, holding)| holding.demand > 0 && is_live(node))
            .map(|(node, holding)| (node, holding.demand))
            .collect();
        let total: u128 = demands.iter().map(|(_, demand)| u128::from(*demand)).sum();
        let half = u128::from(self.pool_under(capacity) / 2);
        for (node, demand) in demands {
            let part = half * u128::from(demand) / total.max(1);
            let for_a_while = u128::from(demand) * u128::from(AHEAD_MS) / u128::from(self.window.length_ms);
            let block = u64::try_from(part.min(for_a_while)).unwrap_or(u64::MAX).min(GRANT_MAX);
            if let Some(holding) = self.holdings.get_mut(node) {
                holding.granted = holding.granted.saturating_add(block);
            }
        }
    }

    /// Grants what is in the pool to those who have asked; where nothing is left for one of them, has everybody give
    /// back what they do not need. The nodes together may hold `capacity`.
    pub fn settle(&mut self, now: Timestamp, capacity: u64) {
        for holding in self.holdings.values_mut().filter(|holding| holding.asked_at.after(ASK_WAIT) < now) {
            holding.asked = 0;
        }
        let pool = self.pool_under(capacity);
        if pool > self.limit / REFILLED {
            self.dry = None;
        }
        let askers: Vec<NodeId> =
            self.holdings.iter().filter(|(_, holding)| holding.asked > 0).map(|(node, _)| node).collect();
        if askers.is_empty() {
            return;
        }
        let count = u64::try_from(askers.len()).unwrap_or(u64::MAX);
        let mut left = pool;
        let mut is_short = false;
        for node in askers {
            let Some(holding) = self.holdings.get_mut(node) else { continue };
            let block = block(holding.asked, pool, count, self.limit).min(left);
            is_short |= block < holding.asked;
            if block == 0 {
                continue;
            }
            left -= block;
            holding.granted = holding.granted.saturating_add(block);
            holding.asked -= block;
        }
        // A little early, so that what others give back is there when the pool is empty.
        if is_short && left <= self.limit / NEARLY_DRY {
            self.run_dry(now);
        }
    }

    /// Has everybody give back what they do not need.
    pub(super) fn run_dry(&mut self, now: Timestamp) {
        let dry = self.dry.unwrap_or(Dry { since: now, exhausted_from: now.after(RECLAIM_WAIT) });
        if self.dry.is_none() {
            for holding in self.holdings.values_mut() {
                holding.has_answered = false;
            }
        }
        let is_answered = self.holdings.values().all(|holding| holding.has_answered || holding.unspent() == 0);
        let exhausted_from = if is_answered { dry.exhausted_from.min(now) } else { dry.exhausted_from };
        self.dry = Some(Dry { exhausted_from, ..dry });
    }
}

/// Returns how much one of `askers` is granted of `pool`: half of an even part, so that grants shrink as the limit
/// nears, but not to so little that it takes many rounds to use up the rest.
fn block(asked: u64, pool: u64, askers: u64, limit: u64) -> u64 {
    let least = (limit / SMALLEST_BLOCK).max(1);
    asked.min((pool / askers.saturating_mul(2)).max(least)).min(pool).min(GRANT_MAX)
}
