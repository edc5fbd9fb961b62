//! Keeps Raft's membership as the state says it should be: brings admitted nodes in as learners, makes them voters
//! when they have caught up, takes removed ones out, and those whose place another has taken. Who is admitted, removed
//! or replaced is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::{BasicNode, ChangeMembers, Precondition};
use portcullis_database::State;
use portcullis_database::command::RemoveNode;
use portcullis_model::mutant::{self, Mutant};
use portcullis_model::{MembershipChange, NodeId, NodeRecord};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::core::Core;
use crate::majority::silence;
use crate::transport::removed;
use crate::types::{Membership, Types};

/// How often the membership is compared with the state.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a node that does not lead makes itself heard, so that it learns if it was removed: in looks.
const GREET_EVERY: u32 = 10;
/// Entries that may come between two looks at a learner that keeps up: a busy cluster writes some ten thousand a second.
pub(crate) const NEAR_ENTRIES: u64 = 20_000;
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
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = ticks.tick() => {}
        }
        looks = looks.wrapping_add(1);
        if core.is_removed(core.node()) && !mutant::is(Mutant::ServeRemoved) {
            core.fatal.raise(removed(core.node()));
            return;
        }
        core.questions.note_lead(core.leads().then(|| core.metrics().current_term));
        if core.leads() {
            core.reconcile(&mut catching_up).await;
            core.leave_lead_where_drained().await;
            continue;
        }
        catching_up.clear();
        if looks.is_multiple_of(GREET_EVERY) {
            core.greet_a_member(looks / GREET_EVERY).await;
        }
    }
}

impl Core {
    /// A node that was removed while it was cut off, or before the leader reached it, hears of it from whichever member it
    /// asks.
    async fn greet_a_member(&self, round: u32) {
        let members = self.members().into_iter().filter(|node| *node != self.node());
        let mut others: Vec<_> = members.filter_map(|node| Some((node, self.address_of(node)?))).collect();
        if others.is_empty() {
            others.clone_from(&self.contacts);
        }
        let Some(position) = (round as usize).checked_rem(others.len()) else { return };
        let (node, at) = others[position];
        let _heard = self.status_from(node, at).await;
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
        // Who comes before who goes, one step at a time.
        for record in state.system.nodes.values().filter(|record| record.removed_at.is_none()) {
            let is_member = membership.get_node(&record.id.0).is_some();
            let is_voter = membership.voter_ids().any(|id| id == record.id.0);
            match (is_member, is_voter) {
                (false, _) if self.status_at(record).await => return self.bring_in(record).await,
                (true, false) if record.is_voter && self.has_caught_up(record.id, catching_up).await => {
                    catching_up.remove(&record.id);
                    return self.promote(record.id).await;
                }
                _ => {}
            }
        }
        for (old, new) in &state.system.replacements {
            if self.has_taken_place(*old, *new, catching_up).await {
                return self.complete_replacement(*old, *new).await;
            }
        }
        self.let_one_go(&state, &membership).await;
    }

    /// Lets one node go that is to leave, or no longer to vote. Those that are down anyway go first: that makes the
    /// cluster stronger.
    async fn let_one_go(&self, state: &State, membership: &Membership) {
        let is_leaving = |record: &NodeRecord| {
            let is_member = membership.get_node(&record.id.0).is_some();
            let is_voter = membership.voter_ids().any(|id| id == record.id.0);
            if record.removed_at.is_some() { is_member } else { is_voter && !record.is_voter }
        };
        let leaving: Vec<NodeId> =
            state.system.nodes.values().filter(|record| is_leaving(record)).map(|record| record.id).collect();
        if leaving.is_empty() {
            return;
        }
        let alive = self.statuses_of(self.voters().into_iter().chain(leaving.iter().copied())).await;
        let (down, up): (Vec<NodeId>, Vec<NodeId>) = leaving.into_iter().partition(|node| !alive.contains_key(node));
        let may_go = |node: &NodeId| {
            let rest: BTreeSet<NodeId> = self.voters().into_iter().filter(|voter| voter != node).collect();
            !rest.is_empty() && silence(&rest, &alive).is_none()
        };
        let Some(node) = down.into_iter().chain(up).find(may_go) else {
            return tracing::debug!("nodes are to leave, but the voters that stay do not have a majority yet");
        };
        if node == self.node() {
            let handed = self.hand_over(None, &BTreeSet::from([node])).await;
            return self.log_failed("hand over leadership", handed.map(drop));
        }
        let is_removed = state.system.nodes.get(&node).is_some_and(|record| record.removed_at.is_some());
        let gone = if is_removed { self.take_out(node).await } else { self.demote(node).await };
        self.log_failed("let a node go", gone);
    }

    /// Says whether `new` has everything and the role that `old` has, so that `old` may go.
    async fn has_taken_place(&self, old: NodeId, new: NodeId, catching_up: &mut BTreeMap<NodeId, u64>) -> bool {
        let membership = self.membership();
        let votes = |node: NodeId| membership.voter_ids().any(|id| id == node.0);
        let is_to_vote = votes(old) || self.record(new).is_some_and(|record| record.is_voter);
        if membership.get_node(&new.0).is_none() || (is_to_vote && !votes(new)) {
            return false;
        }
        if new == self.node() {
            return true;
        }
        let is_done = self.has_caught_up(new, catching_up).await;
        if is_done {
            catching_up.remove(&new);
        }
        is_done
    }

    /// Decides that a node goes whose place is taken. It is let go as any that was removed.
    async fn complete_replacement(&self, old: NodeId, new: NodeId) {
        if let Err(refusal) = self.check_changes(&[MembershipChange::Remove { node: old }], false).await {
            return tracing::debug!(%old, %new, ?refusal, "a node whose place is taken cannot go yet");
        }
        match self.decide(&RemoveNode { node: old }).await {
            Ok(()) => tracing::info!(%old, %new, "a node has taken the place of another, which leaves"),
            Err(refusal) => tracing::warn!(%old, %new, ?refusal, "a node whose place is taken does not go yet"),
        }
    }

    /// A leader that is drained hands over where another voter answers that is not. To another drained one it does not:
    /// the two would hand it back and forth.
    async fn leave_lead_where_drained(&self) {
        let drained: BTreeSet<NodeId> = self.cell.load().system.drained_nodes.keys().copied().collect();
        if !drained.contains(&self.node()) {
            return;
        }
        let others: Vec<NodeId> = self.voters().difference(&drained).copied().collect();
        if others.is_empty() || self.statuses_of(others).await.is_empty() {
            return;
        }
        if let Err(e) = self.hand_over(None, &drained).await {
            tracing::debug!(error = %e, "this node is drained, but nobody takes leadership over");
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

    /// Has a voter other than this node vote no longer; it stays as learner.
    pub(crate) async fn demote(&self, node: NodeId) -> Result<(), ChangeError> {
        if self.voters().contains(&node) {
            self.change(Change::RemoveVoters(BTreeSet::from([node.0])), true).await?;
            tracing::info!(%node, "a voter became a learner");
        }
        Ok(())
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
        self.reach.forget(node);
        tracing::info!(%node, "a node was taken out of the membership");
        Ok(())
    }

    /// Hands leadership to a voter: to that one, or to the one that has most of the log and is not among `avoided`,
    /// drained or about to go, where there is such a one. Returns the leader that this node then follows.
    pub(crate) async fn hand_over(
        &self,
        to: Option<NodeId>,
        avoided: &BTreeSet<NodeId>,
    ) -> Result<NodeId, ChangeError> {
        let metrics = self.metrics();
        let replication = metrics.replication.unwrap_or_default();
        let state = self.cell.load();
        let others = self.voters().into_iter().filter(|voter| *voter != self.node());
        let alive = self.statuses_of(others.filter(|voter| to.is_none_or(|to| to == *voter))).await;
        let going = self.going();
        let rank = |voter: &&NodeId| {
            let is_drained = state.system.drained_nodes.contains_key(*voter);
            let is_free = !avoided.contains(*voter) && !going.contains(*voter) && !is_drained;
            (is_free, replication.get(&voter.0).copied().flatten())
        };
        let best = alive.keys().max_by_key(rank).copied();
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
