//! The fence: waits until every node acts on a change, and names those of which that is not known.
//!
//! A node acts on it when it has applied it, or serves nothing before it has ([`crate::serving`]). A node that cannot be asked may still be known not to act against it: one
//! whose gateway promises to serve protected APIs only by a state of at most a certain age ("strict") has, that long
//! after the change, either heard of it or stopped. Why that holds is in `docs/decisions/0012-strict-freshness.md`.

use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use portcullis_model::NodeId;
use portcullis_model::mutant::{self, Mutant};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::core::Core;
use crate::propose::{left, ms};
use crate::transport::{Request, Response};

/// How much faster this node's clock may run than another's: one part in 50, far more than clocks that are set right.
const DRIFT_PARTS: u64 = 50;
/// Added for clocks that count whole milliseconds.
const MARGIN: Duration = Duration::from_millis(100);

/// Returns how long after a change a gateway that promises `bound_ms` serves by no state from before it.
fn stops_after(bound_ms: u64) -> Duration {
    Duration::from_millis(bound_ms.saturating_add(bound_ms / DRIFT_PARTS)).saturating_add(MARGIN)
}

impl Core {
    /// Returns how long after it last learnt what was committed a node serves by nothing from before, if it promises
    /// that. The promise counts as it stands at `index`: who takes it back does so by a later entry, which that node
    /// applies, and this one with it, before it serves differently.
    async fn promise_of(&self, node: NodeId, index: u64, deadline: Instant) -> Option<Duration> {
        timeout_at(deadline, self.cell.wait_applied(index)).await.ok()?;
        self.cell.load().system.staleness_bounds.get(&node).copied().map(stops_after)
    }

    /// Says whether a node is known in time not to serve by a state from before `index`, which was committed at `since`
    /// or before: because of its promise. The leader may know sooner than this node.
    async fn has_stopped(&self, node: NodeId, index: u64, since: Instant, deadline: Instant) -> bool {
        if node == self.node() {
            return false;
        }
        let Some(after) = self.promise_of(node, index, deadline).await else { return false };
        let by_leader = Box::pin(self.leader_knows_stopped(node, index, deadline));
        let Some(until) = since.checked_add(after).filter(|until| *until <= deadline) else {
            return by_leader.await;
        };
        match select(by_leader, Box::pin(sleep_until(until))).await {
            Either::Left((true, _)) | Either::Right(((), _)) => true,
            Either::Left((false, passed)) => {
                passed.await;
                true
            }
        }
    }

    async fn leader_knows_stopped(&self, node: NodeId, index: u64, deadline: Instant) -> bool {
        match self.leader() {
            Some(leader) if leader == self.node() => self.has_stopped_as_leader(node, index, left(deadline)).await,
            Some(leader) => {
                let Some(at) = self.address_of(leader) else { return false };
                let request = Request::HasStopped { node, index, within_ms: ms(left(deadline)) };
                matches!(self.peers.call(leader, at, request, left(deadline)).await, Ok(Response::Applied))
            }
            None => false,
        }
    }

    /// The same, if this node leads: by when the node last asked what was committed. That no other leader told it more
    /// lately is confirmed by a majority first, after the change was committed.
    pub(crate) async fn has_stopped_as_leader(&self, node: NodeId, index: u64, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let Some(after) = self.promise_of(node, index, deadline).await else { return false };
        if self.read_index_as_leader(left(deadline)).await.is_none() {
            return false;
        }
        let silent_since = self.questions.silent_since(node, self.metrics().current_term);
        let until = silent_since.and_then(|since| since.checked_add(after)).filter(|until| *until <= deadline);
        let Some(until) = until else { return false };
        sleep_until(until).await;
        true
    }

    /// Returns the members of which it is not known, within `within`, that they act on what was committed at `index`
    /// before this call.
    pub(crate) async fn fence(&self, index: u64, within: Duration) -> Vec<NodeId> {
        if mutant::is(Mutant::IgnoreFence) {
            return Vec::new();
        }
        let since = Instant::now();
        let deadline = since + within;
        let asked = self.members().into_iter().map(|node| async move {
            let applied = Box::pin(self.acts_on(node, index, deadline));
            let stopped = Box::pin(self.has_stopped(node, index, since, deadline));
            let is_safe = match select(applied, stopped).await {
                Either::Left((true, _)) | Either::Right((true, _)) => true,
                Either::Left((false, stopped)) => stopped.await,
                Either::Right((false, applied)) => applied.await,
            };
            (!is_safe).then_some(node)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_counts_as_kept_only_when_the_slowest_clock_has_passed_it() {
        assert_eq!(stops_after(1_000), Duration::from_millis(1_120));
        assert_eq!(stops_after(600_000), Duration::from_millis(612_100));
        assert!(stops_after(u64::MAX) > Duration::from_secs(u64::MAX / 1000 - 1), "no overflow");
    }
}
