//! The types with which openraft is instantiated, and short names for those it derives from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf};
use portcullis_database::Outcome;
use portcullis_model::NodeId;
use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// Entries of the replicated state, numbered nodes, an address per node.
    pub(crate) Types:
        D = portcullis_database::Entry,
        R = Reply,
        NodeId = u64,
        Node = openraft::BasicNode,
        AsyncRuntime = Runtime,
);

#[cfg(not(test))]
type Runtime = openraft::impls::TokioRuntime;
/// Takes its chance from the seed of a simulation, where one runs.
#[cfg(test)]
type Runtime = crate::simulation::Runtime;

/// What applying an entry of the log gives: nothing where it holds no command (a new leader's blank entry, a change
/// of membership).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply(pub(crate) Option<Outcome>);

pub(crate) type LogId = LogIdOf<Types>;
pub(crate) type Vote = VoteOf<Types>;
pub(crate) type LogEntry = EntryOf<Types>;
pub(crate) type Membership = StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = SnapshotMetaOf<Types>;
pub(crate) type Raft = openraft::Raft<Types, crate::state_machine::Machine>;

/// Returns the position of a state that begins a new Raft log at `index`, with one node as the only member. Its term is
/// before that of any leader.
pub(crate) fn position_alone(index: u64, node: NodeId, address: SocketAddr) -> SnapshotMeta {
    let log_id = LogId { leader_id: Vote::new(0, node.0).leader_id, index };
    let members = BTreeMap::from([(node.0, openraft::BasicNode { addr: address.to_string() })]);
    let voters = vec![BTreeSet::from([node.0])];
    let membership = openraft::Membership::new(voters, members).expect("a voter that is a member");
    SnapshotMeta { last_log_id: Some(log_id), last_membership: Membership::new(Some(log_id), membership) }
}
