//! How entries reach the log: implemented by `raft`, called by [`crate::Handle`].

use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_model::NodeId;

use crate::entry::{Entry, Outcome};

/// Proposes entries to the cluster, from whatever node.
pub trait Proposer: Send + Sync {
    /// Proposes `entry`, forwarding it to the leader where that is another node, and returns its outcome once it is
    /// durable on a majority, applied by the leader, and applied on this node too (or that took longer than `within`).
    fn propose(&self, entry: Entry, within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>>;

    /// Waits until every live node has applied `index`, and returns the members that were not heard of within `within`.
    fn fence(&self, index: u64, within: Duration) -> BoxFuture<'_, Vec<NodeId>>;

    /// Waits until this node's state holds everything that was acknowledged anywhere before the call (read index).
    fn linearize(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>>;

    /// Waits until this node's state holds everything that the leader had acknowledged before the call, as far as the
    /// leader knows by its lease, without asking the others: as [`Proposer::linearize`] while clocks run at the same
    /// pace. Where there is no lease, it is the same.
    fn catch_up_with_leader(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        self.linearize(within)
    }
}

/// An entry that was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What it gave.
    pub outcome: Outcome,
}

/// Why an entry was not, or may not have been, applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There is no leader that a majority follows.
    #[error("the cluster has no leader")]
    NoLeader,
    /// No answer came in time. The entry may still be applied: retry with the same idempotency key.
    #[error("no answer within {0:?}; the change may still happen")]
    TimedOut(Duration),
    /// The leader could not be reached, or changed, after the entry was sent. It may still be applied.
    #[error("the leader was lost before it answered; the change may still happen")]
    Unknown,
    /// Too many proposals wait already.
    #[error("too many writes are waiting")]
    Overloaded,
    /// The entry is too large.
    #[error("the change is {0} bytes; at most {max} are possible", max = portcullis_model::limit::RECORD_BYTES_MAX)]
    TooLarge(usize),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
    /// The change is of a feature level that the cluster does not have yet: a node of an earlier version could not
    /// apply it.
    #[error(
        "{command} needs feature level {needed}; the cluster has level {level} until every node runs a version that \
         knows {needed} and the upgrade is finalised"
    )]
    LevelTooLow {
        /// The command.
        command: &'static str,
        /// The level it needs.
        needed: u32,
        /// The level of the cluster.
        level: u32,
    },
}
