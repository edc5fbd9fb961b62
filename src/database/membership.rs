//! Changes of the membership as the state machine makes them: on the records of the nodes. Raft follows the records.

use std::sync::Arc;

use portcullis_model::{MembershipChange, NodeId, NodeRecord, NodeRole, Refused, Timestamp};

use crate::state::State;

/// Makes one change on the records.
///
/// # Errors
/// Where a node is not there, or no record would be left that is meant to vote.
pub(crate) fn change(state: &mut State, change: MembershipChange, now: Timestamp) -> Result<(), Refused> {
    match change {
        MembershipChange::Remove { node } => {
            present(state, node)?;
            check_voters_without(state, node)?;
            remove(state, node, now)
        }
        MembershipChange::SetRole { node, role } => {
            if role == NodeRole::Learner {
                check_voters_without(state, node)?;
            }
            set_role(state, node, role)
        }
        MembershipChange::Replace { old, new } => replace(state, old, new),
    }
}

/// Marks a node as removed, for good, and forgets what was said of it. Does nothing where it is removed already.
///
/// # Errors
/// Where there never was such a node.
pub(crate) fn remove(state: &mut State, node: NodeId, now: Timestamp) -> Result<(), Refused> {
    let record = state.system.nodes.get(&node).ok_or_else(|| Refused::not_found("node", node))?;
    if record.removed_at.is_some() {
        return Ok(());
    }
    let removed = NodeRecord { removed_at: Some(now), ..record.as_ref().clone() };
    state.system.nodes.insert(node, Arc::new(removed));
    state.system.drained_nodes.remove(&node);
    state.system.staleness_bounds.remove(&node);
    state.system.replacements.remove(&node);
    // Who waited for it as its successor stays.
    let waiting: Vec<NodeId> =
        state.system.replacements.iter().filter(|(_, new)| **new == node).map(|(old, _)| *old).collect();
    for old in waiting {
        state.system.replacements.remove(&old);
    }
    Ok(())
}

fn set_role(state: &mut State, node: NodeId, role: NodeRole) -> Result<(), Refused> {
    let record = present(state, node)?;
    let is_voter = role == NodeRole::Voter;
    if record.is_voter != is_voter {
        state.system.nodes.insert(node, Arc::new(NodeRecord { is_voter, ..record.as_ref().clone() }));
    }
    Ok(())
}

fn replace(state: &mut State, old: NodeId, new: NodeId) -> Result<(), Refused> {
    if old == new {
        return Err(Refused::invalid("new", format!("node {new} cannot take its own place")));
    }
    let leaving = present(state, old)?;
    present(state, new)?;
    if let Some(next) = state.system.replacements.get(&new) {
        return Err(Refused::wrong_state(format!("node {new} is itself being replaced, by node {next}")));
    }
    if let Some((first, _)) = state.system.replacements.iter().find(|(first, by)| **by == old && **first != old) {
        return Err(Refused::wrong_state(format!("node {old} is about to take the place of node {first}")));
    }
    if leaving.is_voter {
        set_role(state, new, NodeRole::Voter)?;
    }
    state.system.replacements.insert(old, new);
    Ok(())
}

/// Returns the record of a node that was not removed.
pub(crate) fn present(state: &State, node: NodeId) -> Result<Arc<NodeRecord>, Refused> {
    let record = state.system.nodes.get(&node).filter(|record| record.removed_at.is_none());
    record.cloned().ok_or_else(|| Refused::not_found("node", node))
}

fn check_voters_without(state: &State, node: NodeId) -> Result<(), Refused> {
    let stays = |record: &NodeRecord| record.id != node && record.is_voter && record.removed_at.is_none();
    if state.system.nodes.values().any(|record| stays(record)) {
        return Ok(());
    }
    Err(Refused::wrong_state(format!("node {node} is the last voter: without it there is no cluster")))
}

#[cfg(test)]
mod tests {
    use portcullis_model::NodeAddresses;

    use super::*;

    fn state(voters: &[u64], learners: &[u64]) -> State {
        let mut state = State::default();
        for (ids, is_voter) in [(voters, true), (learners, false)] {
            for id in ids {
                let at = std::net::SocketAddr::from(([127, 0, 0, 1], u16::try_from(*id).unwrap()));
                let record = NodeRecord {
                    id: NodeId(*id),
                    name: format!("n{id}"),
                    addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
                    components: Vec::new(),
                    is_voter,
                    admitted_at: Timestamp(1),
                    removed_at: None,
                };
                state.system.nodes.insert(record.id, Arc::new(record));
            }
        }
        state
    }

    fn replace(old: u64, new: u64) -> MembershipChange {
        MembershipChange::Replace { old: NodeId(old), new: NodeId(new) }
    }

    #[test]
    fn one_record_that_votes_is_always_left() {
        let mut state = state(&[1, 2], &[3]);
        let now = Timestamp(9);
        change(&mut state, MembershipChange::Remove { node: NodeId(1) }, now).unwrap();
        let last = MembershipChange::SetRole { node: NodeId(2), role: NodeRole::Learner };
        assert!(matches!(change(&mut state, last, now), Err(Refused::WrongState { .. })));
        let promoted = MembershipChange::SetRole { node: NodeId(3), role: NodeRole::Voter };
        change(&mut state, promoted, now).unwrap();
        change(&mut state, last, now).unwrap();
        let gone = MembershipChange::SetRole { node: NodeId(1), role: NodeRole::Voter };
        assert!(matches!(change(&mut state, gone, now), Err(Refused::NotFound { .. })), "a removed node stays removed");
    }

    #[test]
    fn a_successor_gets_the_role_is_in_no_chain_and_its_removal_calls_it_off() {
        let mut state = state(&[1, 2], &[3, 4]);
        let now = Timestamp(9);
        change(&mut state, replace(2, 3), now).unwrap();
        assert!(state.system.nodes[&NodeId(3)].is_voter);
        for chained in [replace(3, 4), replace(1, 2), replace(1, 1)] {
            change(&mut state, chained, now).unwrap_err();
        }
        change(&mut state, replace(2, 4), now).unwrap();
        assert_eq!(state.system.replacements[&NodeId(2)], NodeId(4), "the later wish counts");
        change(&mut state, MembershipChange::Remove { node: NodeId(4) }, now).unwrap();
        assert!(state.system.replacements.is_empty());
        assert_eq!(state.system.nodes[&NodeId(2)].removed_at, None);
    }
}
