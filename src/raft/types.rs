//! The types with which openraft is instantiated, and short names for those it derives from them.

use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf};
use portcullis_database::Outcome;
use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// Entries of the replicated state, numbered nodes, an address per node.
    pub(crate) Types:
        D = portcullis_database::Entry,
        R = Reply,
        NodeId = u64,
        Node = openraft::BasicNode,
);

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
