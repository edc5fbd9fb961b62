//! Keeps Raft's membership as the state says it should be: brings admitted nodes in as learners, makes them voters
//! when they have caught up, takes removed ones out. Who is admitted or removed is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::{BasicNode, ChangeMembers, Precondition};
use portcullis_model::{NodeId, NodeRecord};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::core::Core;
use crate::transport::removed;
use crate::types::Types;

/// How often the membership is compared with the state.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a node that does not lead makes itself heard, so that it learns if it was removed: in looks.
const GREET_EVERY: u32 = 10;
/// Entries that may come between two looks at a learner that keeps up: a busy cluster writes some ten thousand a second.
const NEAR_ENTRIES: u64 = 20_000;
/// How long a change of membership may take before it is left to the next look.
pub(crate) const CHANGE_WITHIN: Duration = Duration::from_secs(10);
/// How long a leader waits for another node to take over.
const TRANSFER_WITHIN: Duration = Duration::from_secs(2);

type Change = ChangeMembers<u64, BasicNode>;

/// Why the membership did not change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("the change of membership was not confirmed in time")]
    TimedOut,
    #[error("{0}")]
    Raft(String),
}

/// Compares and changes until the node stops.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut catching_up = BTreeMap::new();
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        looks = looks.wrapping_add(1);
        if core.is_removed(core.node()) {
            core.fatal.raise(removed(core.node()));
            return;
        }
        if core.leads() {
            core.reconcile(&mut catching_up).await;
            continue;
        }
        catching_up.clear();
        if looks.is_multiple_of(GREET_EVERY) {
            core.greet_a_member(looks / GREET_EVERY).await;
        }
    }
}

impl Core {
    /// A node that was removed while it was cut off hears of it from whichever member it asks.
    async fn greet_a_member(&self, round: u32) {
        let others: Vec<NodeId> = self.members().into_iter().filter(|node| *node != self.node()).collect();
        let Some(position) = (round as usize).checked_rem(others.len()) else { return };
        let _heard = self.status_of(others[position]).await;
    }

    async fn reconcile(&self, catching_up: &mut BTreeMap<NodeId, u64>) {
        let Ok(_guard) = self.changes.try_lock() else { return };
        let membership = self.membership();
        if membership.get_joint_config().len() > 1 {
            // An earlier leader was lost half-way through a change.
            self.log_failed("finish a change", self.change(Change::AddVoterIds(BTreeSet::new()), true).await);
            return;
        }
        let state = self.cell.load();
        for record in state.system.nodes.values() {
            let is_member = membership.get_node(&record.id.0).is_some();
            let is_voter = membership.voter_ids().any(|id| id == record.id.0);
            match (record.removed_at.is_some(), is_member, is_voter) {
                (true, true, _) => return self.let_go(record.id).await,
                (false, false, _) if self.status_at(record).await => return self.bring_in(record).await,
                (false, true, false) if record.is_voter && self.has_caught_up(record.id, catching_up).await => {
                    catching_up.remove(&record.id);
                    return self.promote(record.id).await;
                }
                _ => {}
            }
        }
    }

    fn log_failed(&self, what: &str, result: Result<(), ChangeError>) {
        if let Err(e) = result {
            tracing::warn!(error = %e, "the cluster could not {what} now; it is tried again");
        }
    }

    /// Changes the membership, if nobody else has since this node looked.
    async fn change(&self, change: Change, retain: bool) -> Result<(), ChangeError> {
        let last_membership_log_id = *self.membership().log_id();
        let unchanged = Precondition::<Types>::LastMembershipLogId { last_membership_log_id };
        let changed = timeout(CHANGE_WITHIN, self.raft.change_membership_if(change, retain, [unchanged])).await;
        changed.map_err(|_| ChangeError::TimedOut)?.map_err(|e| ChangeError::Raft(e.to_string()))?;
        Ok(())
    }

    async fn status_at(&self, record: &NodeRecord) -> bool {
        self.status_of(record.id).await.is_some()
    }

    async fn bring_in(&self, record: &NodeRecord) {
        let node = BasicNode { addr: record.addresses.cluster.to_string() };
        let added = self.change(Change::AddNodes(BTreeMap::from([(record.id.0, node)])), true).await;
        if added.is_ok() {
            tracing::info!(node = %record.id, name = %record.name, "a node joined as learner");
        }
        self.log_failed("add a learner", added);
    }

    /// Says whether a learner has, since an earlier look, everything that this leader had then: in its log, as openraft
    /// knows, and applied, as the learner says itself. That its log is not far behind in entries would not do: a
    /// cluster with few but large entries would get an empty voter.
    async fn has_caught_up(&self, node: NodeId, catching_up: &mut BTreeMap<NodeId, u64>) -> bool {
        let metrics = self.metrics();
        let last = metrics.last_log_index.unwrap_or(0);
        let Some(goal) = catching_up.get(&node).copied() else {
            catching_up.insert(node, last);
            return false;
        };
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&node.0).copied().flatten());
        if matched.is_none_or(|matched| matched.index < goal) {
            return false;
        }
        let applied = self.status_of(node).await.and_then(|status| status.applied_index);
        let has_applied = applied.is_some_and(|applied| applied >= goal);
        if !has_applied {
            return false;
        }
        // Far behind again since then: another round, with what there is now.
        catching_up.insert(node, last);
        last.saturating_sub(goal) <= NEAR_ENTRIES
    }

    async fn promote(&self, node: NodeId) {
        let promoted = self.change(Change::AddVoterIds(BTreeSet::from([node.0])), true).await;
        if promoted.is_ok() {
            tracing::info!(%node, "a node became a voter");
        }
        self.log_failed("make a node a voter", promoted);
    }

    async fn let_go(&self, node: NodeId) {
        if node == self.node() {
            let handed = self.hand_over().await;
            return self.log_failed("hand over leadership", handed.map(drop));
        }
        let taken = self.take_out(node).await;
        self.log_failed("take out a node", taken);
    }

    /// Takes a node other than this one out of the membership.
    pub(crate) async fn take_out(&self, node: NodeId) -> Result<(), ChangeError> {
        let membership = self.membership();
        let ids = BTreeSet::from([node.0]);
        if membership.voter_ids().any(|id| id == node.0) {
            self.change(Change::RemoveVoters(ids), false).await?;
        } else if membership.get_node(&node.0).is_some() {
            self.change(Change::RemoveNodes(ids), false).await?;
        }
        self.peers.forget(node);
        tracing::info!(%node, "a node was taken out of the membership");
        Ok(())
    }

    /// Hands leadership to the voter that has most of the log, and returns the leader that this node then follows.
    pub(crate) async fn hand_over(&self) -> Result<NodeId, ChangeError> {
        let metrics = self.metrics();
        let replication = metrics.replication.unwrap_or_default();
        let others = self.voters().into_iter().filter(|voter| *voter != self.node());
        let alive = self.statuses_of(others).await;
        let best = alive.keys().max_by_key(|voter| replication.get(&voter.0).copied().flatten()).copied();
        let best = best.ok_or_else(|| ChangeError::Raft("no other voter answers".to_owned()))?;
        self.raft.trigger().transfer_leader(best.0).await.map_err(|e| ChangeError::Raft(e.to_string()))?;
        let other = |leader: Option<u64>| leader.filter(|leader| *leader != self.node().0);
        let waited = self
            .raft
            .wait(Some(TRANSFER_WITHIN))
            .metrics(|metrics| other(metrics.current_leader).is_some(), "another leader")
            .await
            .map_err(|_| ChangeError::TimedOut)?;
        tracing::info!(to = ?waited.current_leader, "leadership was handed over");
        other(waited.current_leader).map(NodeId).ok_or(ChangeError::TimedOut)
    }
}
