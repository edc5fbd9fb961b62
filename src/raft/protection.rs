//! The rules that protect the cluster from a change: looked at by the leader, with the changes locked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::membership::Rule;
use portcullis_model::{MembershipChange, NodeId, NodeRecord, NodeRole};

use crate::core::Core;
use crate::majority::{list, majority_of, silence};
use crate::membership::NEAR_ENTRIES;
use crate::reads::ReadBy;
use crate::refusal::against;
use crate::transport::{Status, TaskRefusal};

impl Core {
    /// Says whether the changes may be made together. `force` overrides what only makes the cluster weaker, not what
    /// ends it.
    pub(crate) async fn check_changes(&self, changes: &[MembershipChange], force: bool) -> Result<(), TaskRefusal> {
        if changes.is_empty() {
            return Err(TaskRefusal::Invalid("nothing is planned".to_owned()));
        }
        self.check_known(changes)?;
        let voters = self.voters();
        let coming = changes.iter().filter_map(coming_of);
        let alive = self.statuses_of(voters.iter().copied().chain(coming)).await;
        if let Some(silence) = silence(&voters, &alive) {
            return Err(TaskRefusal::Unavailable(silence.to_string()));
        }
        // What an earlier leader decided counts, also where this one is new and has not applied it yet.
        let caught_up = self.catch_up(ReadBy::Index, MANAGEMENT_DEADLINE).await;
        caught_up.map_err(|e| TaskRefusal::Unavailable(e.to_string()))?;
        let staying: BTreeSet<NodeId> = self.voters().difference(&self.going()).copied().collect();
        check_voters(&staying, &self.voters_after(&staying, changes), &alive, force)?;
        let missing = changes.iter().filter_map(coming_of).find(|node| !alive.contains_key(node));
        match missing {
            Some(node) if !force => Err(against(
                Rule::CaughtUp,
                format!(
                    "node {node} does not answer, so nobody knows that it has what the others have. Start it, or wait \
                     until portcullis cluster node show {node} says that it is alive"
                ),
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// A removed node may be named as long as it is a member: its removal may have been cut short.
    fn check_known(&self, changes: &[MembershipChange]) -> Result<(), TaskRefusal> {
        let is_known = |node: NodeId| {
            let is_member = self.membership().get_node(&node.0).is_some();
            self.record(node).is_some_and(|record| record.removed_at.is_none() || is_member)
        };
        let named = changes.iter().map(MembershipChange::subject).chain(changes.iter().filter_map(coming_of));
        match named.into_iter().find(|node| !is_known(*node)) {
            Some(node) => Err(TaskRefusal::NoSuchNode(node)),
            None => Ok(()),
        }
    }

    /// Returns the nodes of which it is decided that they leave, or no longer vote: some may vote until that is done.
    pub(crate) fn going(&self) -> BTreeSet<NodeId> {
        let state = self.cell.load();
        let is_going = |record: &&Arc<NodeRecord>| record.removed_at.is_some() || !record.is_voter;
        state.system.nodes.values().filter(is_going).map(|record| record.id).collect()
    }

    /// Returns who votes when the changes are made.
    fn voters_after(&self, voters: &BTreeSet<NodeId>, changes: &[MembershipChange]) -> BTreeSet<NodeId> {
        let mut after = voters.clone();
        for change in changes {
            match *change {
                MembershipChange::Remove { node } => after.remove(&node),
                MembershipChange::SetRole { node, role: NodeRole::Learner } => after.remove(&node),
                MembershipChange::SetRole { node, role: NodeRole::Voter } => after.insert(node),
                MembershipChange::Replace { old, new } => {
                    let votes = after.remove(&old) || self.record(old).is_some_and(|record| record.is_voter);
                    votes && after.insert(new)
                }
            };
        }
        after
    }

    /// Says whether a node may be drained.
    pub(crate) async fn check_drain(&self, node: NodeId, force: bool) -> Result<(), TaskRefusal> {
        let state = self.cell.load();
        let is_present = |record: &NodeRecord| record.removed_at.is_none();
        if !state.system.nodes.get(&node).is_some_and(|record| is_present(record)) {
            return Err(TaskRefusal::NoSuchNode(node));
        }
        let takes_traffic = |record: &NodeRecord| {
            record.id != node && is_present(record) && !state.system.drained_nodes.contains_key(&record.id)
        };
        let others = state.system.nodes.values().filter(|record| takes_traffic(record)).map(|record| record.id);
        if force || !self.statuses_of(others).await.is_empty() {
            return Ok(());
        }
        let why = format!("node {node} is the last that runs and takes traffic. Undrain another, or add one");
        Err(against(Rule::LastReady, why).into())
    }

    /// Says whether a node may take leadership over.
    pub(crate) async fn check_successor(&self, node: NodeId) -> Result<(), TaskRefusal> {
        if self.record(node).is_none_or(|record| record.removed_at.is_some()) {
            return Err(TaskRefusal::NoSuchNode(node));
        }
        if !self.voters().contains(&node) {
            return Err(TaskRefusal::Invalid(format!("node {node} does not vote, so it cannot lead")));
        }
        if self.cell.load().system.drained_nodes.contains_key(&node) {
            return Err(TaskRefusal::Invalid(format!("node {node} is drained: it would hand leadership on at once")));
        }
        if self.status_of(node).await.is_none() {
            return Err(against(Rule::CaughtUp, format!("node {node} does not answer")).into());
        }
        let metrics = self.metrics();
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&node.0).copied().flatten());
        let behind = metrics.last_log_index.unwrap_or(0).saturating_sub(matched.map_or(0, |matched| matched.index));
        if behind <= NEAR_ENTRIES {
            return Ok(());
        }
        let why = format!("node {node} is {behind} entries behind, and nothing could be written until it has them");
        Err(against(Rule::CaughtUp, why).into())
    }
}

/// Returns the node of which a change expects that it catches up.
fn coming_of(change: &MembershipChange) -> Option<NodeId> {
    match *change {
        MembershipChange::SetRole { node, role: NodeRole::Voter } => Some(node),
        MembershipChange::Replace { new, .. } => Some(new),
        MembershipChange::SetRole { .. } | MembershipChange::Remove { .. } => None,
    }
}

/// Says whether there is a majority when the voters are those.
fn check_voters(
    before: &BTreeSet<NodeId>,
    after: &BTreeSet<NodeId>,
    alive: &BTreeMap<NodeId, Status>,
    force: bool,
) -> Result<(), TaskRefusal> {
    let going: Vec<NodeId> = before.difference(after).copied().collect();
    if going.is_empty() {
        return Ok(());
    }
    if after.is_empty() {
        let why = format!("node {} is the last voter: without it there is no cluster", list(&going));
        return Err(against(Rule::LastVoter, why).into());
    }
    let silent: Vec<NodeId> = after.iter().filter(|voter| !alive.contains_key(voter)).copied().collect();
    let (answering, needed) = (after.len() - silent.len(), majority_of(after.len()));
    if answering >= needed || force {
        return Ok(());
    }
    let why = format!(
        "the cluster would lose its majority: without node {} only {answering} of {} voters would answer (silent: {}), \
         {needed} are needed to write. Bring the silent nodes back or remove them first",
        list(&going),
        after.len(),
        list(&silent),
    );
    Err(against(Rule::Majority, why).into())
}
