//! The reserve: which node may spend how much of each limit without asking, and from when.
//!
//! The trap is membership. A node that lags behind the log, or is cut off, goes on with the share it last knew of. So
//! the table keeps, for every node that ever held a share, what that node may believe, and the sum over all of them
//! never passes the whole ([`PARTS`]):
//! - a share **shrinks** only when its holder says so in a report ("windows that begin at or after `from` have the
//!   smaller share"): until then it counts in full;
//! - a share **grows**, and a newcomer gets one, only in the log, from a moment no window has begun at yet, and only as
//!   far as the others' shares leave room;
//! - a **removed** node's share counts until its lease has surely ended: nodes stop using the reserve when they have
//!   not heard of the cluster for [`RESERVE_LEASE`];
//! - a **restarted** node's share begins anew after its first report; for windows that began before, its share counts
//!   as spent.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_model::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// The whole reserve in parts. Divides evenly for up to 22 members.
pub const PARTS: u64 = 232_792_560;
/// How long a node uses its reserve without having heard of the cluster.
pub const RESERVE_LEASE: Duration = Duration::from_secs(3600);
/// How wrong the clocks of two nodes may be for the lease of a removed node to be surely over.
pub const LEASE_CLOCK_ERROR: Duration = Duration::from_secs(600);
/// How long after the newest known time a restarted node begins to use its reserve, if it lost its message store and
/// with it the note of how far its clock had been.
const STORE_LOST_DELAY: Duration = Duration::from_secs(60);
/// Longer windows than this do not exist; the shares of removed nodes are forgotten after it.
const LONGEST_WINDOW: Duration = Duration::from_secs(400 * 86_400);
/// Changes of share kept per node; older ones are merged to the largest.
const SEGMENTS_MAX: usize = 8;

/// From when a node has which share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// It is for windows that begin at this time or later.
    pub from: Timestamp,
    /// Which start of the node may use it.
    pub incarnation: u64,
    /// The share, of [`PARTS`].
    pub parts: u64,
}

/// What the log knows of one node's shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The share before the first segment, never more than the largest it ever had.
    pub before: u64,
    /// Its shares, oldest first.
    pub segments: Vec<Segment>,
    /// The index it had applied when it made its last report.
    pub applied_index: u64,
    /// Its time when it made its last report.
    pub heard_at: Timestamp,
    /// For a removed node: windows that begin at this time or later are free of it.
    pub leaves_at: Option<Timestamp>,
}

impl Holder {
    /// Returns the share for a window that begins at `start`, and the incarnation that may use it.
    #[must_use]
    pub fn share_at(&self, start: Timestamp) -> (u64, u64) {
        let found = self.segments.iter().rev().find(|segment| segment.from <= start);
        found.map_or((self.before, 0), |segment| (segment.parts, segment.incarnation))
    }

    /// Returns the last segment.
    #[must_use]
    pub fn last(&self) -> Option<&Segment> {
        self.segments.last()
    }

    fn push(&mut self, segment: Segment) {
        self.segments.push(segment);
        if self.segments.len() > SEGMENTS_MAX {
            let oldest = self.segments.remove(0);
            self.before = self.before.max(oldest.parts);
        }
    }

    /// The largest share it may use for any window that begins at `start` or later.
    fn peak_from(&self, start: Timestamp) -> u64 {
        let later = self.segments.iter().filter(|segment| segment.from > start).map(|segment| segment.parts);
        later.max().unwrap_or(0).max(self.share_at(start).0)
    }
}

/// Who holds which share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveTable {
    /// Every node that may still use a share.
    pub holders: BTreeMap<NodeId, Holder>,
    /// The share each member is to have; members with more shrink to it.
    pub target: u64,
    /// The newest time that any node has reported: no window begins after it that a report could have named.
    pub horizon: Timestamp,
}

/// What a report says about its node.
#[derive(Clone, Copy, Debug)]
pub struct NodeFacts {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: u64,
    /// Its time.
    pub time: Timestamp,
    /// The index it had applied.
    pub applied_index: u64,
    /// It has used no reserve of windows that begin at this time or later before this start.
    pub reserve_from: Timestamp,
    /// Whether its message store is new, so that `reserve_from` cannot vouch for earlier starts.
    pub is_store_new: bool,
    /// The smaller share it has adopted: windows that begin at the time or later have it.
    pub adopted: Option<(u64, Timestamp)>,
}

impl ReserveTable {
    /// Takes in what a member's report says, and moves shares towards an equal part for each of `members`.
    pub fn hear(&mut self, facts: &NodeFacts, members: &[NodeId], now: Timestamp) {
        self.horizon = self.horizon.max(now).max(facts.time);
        let next = Timestamp(self.horizon.0 + 1);
        let is_known = self.holders.contains_key(&facts.node);
        let target = self.target;
        let holder = self.holders.entry(facts.node).or_default();
        holder.applied_index = facts.applied_index;
        holder.heard_at = holder.heard_at.max(facts.time);
        let last = holder.last().copied();
        if last.is_none_or(|last| last.incarnation < facts.incarnation) {
            let floor = if is_known && facts.is_store_new { self.horizon.after(STORE_LOST_DELAY) } else { next };
            let parts = last.map_or(0, |last| last.parts.min(target));
            let from = last.map_or(floor, |last| floor.max(last.from)).max(facts.reserve_from);
            holder.push(Segment { from, incarnation: facts.incarnation, parts });
        } else if let (Some(last), Some((parts, from))) = (last, facts.adopted)
            && parts < last.parts
            && last.incarnation == facts.incarnation
        {
            holder.push(Segment { from: from.max(last.from), parts, ..last });
        }
        self.let_go(members);
        self.level(members);
    }

    /// Ends the shares of nodes that are no longer members, after their lease.
    fn let_go(&mut self, members: &[NodeId]) {
        let horizon = self.horizon;
        let next = Timestamp(horizon.0 + 1);
        for (node, holder) in &mut self.holders {
            if members.contains(node) || holder.leaves_at.is_some() {
                continue;
            }
            let leaves_at = holder.heard_at.after(RESERVE_LEASE).after(LEASE_CLOCK_ERROR).max(next);
            let last = holder.last().copied();
            let (incarnation, from) = last.map_or((0, leaves_at), |last| (last.incarnation, leaves_at.max(last.from)));
            holder.push(Segment { from, incarnation, parts: 0 });
            holder.leaves_at = Some(from);
        }
        self.holders.retain(|_, holder| holder.leaves_at.is_none_or(|left| left.after(LONGEST_WINDOW) > horizon));
    }

    /// Sets the share each member is to have, and lets those with less grow to it where there is room.
    fn level(&mut self, members: &[NodeId]) {
        let next = Timestamp(self.horizon.0 + 1);
        let leaving = self.holders.values().filter(|holder| holder.leaves_at.is_some_and(|at| at > next)).count();
        let divisor = u64::try_from(members.len() + leaving).unwrap_or(u64::MAX).max(1);
        self.target = PARTS / divisor;
        let mut total: u64 = self.holders.values().map(|holder| holder.peak_from(next)).sum();
        for (node, holder) in &mut self.holders {
            let Some(last) = holder.last().copied() else { continue };
            if !members.contains(node) || last.parts >= self.target {
                continue;
            }
            let without = total - holder.peak_from(next);
            if without + self.target > PARTS {
                continue;
            }
            total = without + self.target;
            holder.push(Segment { from: next.max(last.from), parts: self.target, ..last });
        }
    }
}

/// Returns how much of a reserve of `total` a share of `parts` is.
#[must_use]
pub fn share_of(total: u64, parts: u64) -> u64 {
    u64::try_from(u128::from(total) * u128::from(parts) / u128::from(PARTS)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(node: u64, time: u64) -> NodeFacts {
        NodeFacts {
            node: NodeId(node),
            incarnation: 1,
            time: Timestamp(time),
            applied_index: 0,
            reserve_from: Timestamp(0),
            is_store_new: false,
            adopted: None,
        }
    }

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    fn share(table: &ReserveTable, node: u64, start: u64) -> u64 {
        table.holders.get(&NodeId(node)).map_or(0, |holder| holder.share_at(Timestamp(start)).0)
    }

    #[test]
    fn a_newcomer_has_no_share_until_every_holder_has_agreed_to_a_smaller_one() {
        let mut table = ReserveTable::default();
        table.hear(&facts(1, 10), &nodes(&[1]), Timestamp(10));
        assert_eq!(share(&table, 1, 11), PARTS);
        table.hear(&facts(2, 20), &nodes(&[1, 2]), Timestamp(20));
        assert_eq!((share(&table, 1, 1000), share(&table, 2, 1000)), (PARTS, 0));
        let agreed = NodeFacts { adopted: Some((table.target, Timestamp(31))), ..facts(1, 30) };
        table.hear(&agreed, &nodes(&[1, 2]), Timestamp(30));
        assert_eq!(
            (share(&table, 1, 30), share(&table, 2, 30)),
            (PARTS, 0),
            "the window that was open keeps its shares"
        );
        assert_eq!((share(&table, 1, 31), share(&table, 2, 31)), (PARTS / 2, PARTS / 2));
    }

    #[test]
    fn a_removed_nodes_share_goes_to_the_others_only_after_its_lease() {
        let mut table = ReserveTable::default();
        table.hear(&facts(1, 10), &nodes(&[1, 2]), Timestamp(10));
        table.hear(&facts(2, 20), &nodes(&[1, 2]), Timestamp(20));
        table.hear(&facts(1, 30), &nodes(&[1]), Timestamp(30));
        let lease = u64::try_from((RESERVE_LEASE + LEASE_CLOCK_ERROR).as_millis()).unwrap();
        assert_eq!((share(&table, 1, 1000), share(&table, 2, 1000)), (PARTS / 2, PARTS / 2));
        table.hear(&facts(1, 40 + lease), &nodes(&[1]), Timestamp(40 + lease));
        assert_eq!((share(&table, 1, 41 + lease), share(&table, 2, 41 + lease)), (PARTS, 0));
    }

    #[test]
    fn a_restarted_node_has_no_share_in_windows_that_began_before() {
        let mut table = ReserveTable::default();
        table.hear(&facts(1, 10), &nodes(&[1]), Timestamp(10));
        let restarted = NodeFacts { incarnation: 2, reserve_from: Timestamp(500), ..facts(1, 20) };
        table.hear(&restarted, &nodes(&[1]), Timestamp(20));
        let holder = &table.holders[&NodeId(1)];
        assert_eq!(holder.share_at(Timestamp(499)).1, 1);
        assert_eq!(holder.share_at(Timestamp(500)), (PARTS, 2));
    }
}
