//! The proposer that the components' handles are minted from: passes everything to Raft once that runs, and keeps the
//! fence within the operator's limit. It is there before Raft is, so that the components that follow the state are
//! wired before the first entry is applied.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_database::{Applied, Entry, ProposeError, Proposer};
use portcullis_model::NodeId;

/// Passes proposals on to Raft.
pub(crate) struct NodeProposer {
    raft: OnceLock<Arc<dyn Proposer>>,
    fence_wait: Duration,
}

impl NodeProposer {
    /// Makes a proposer that knows no Raft yet: it says that there is no leader.
    pub(crate) fn new(fence_wait: Duration) -> Arc<Self> {
        Arc::new(Self { raft: OnceLock::new(), fence_wait })
    }

    /// Sets where proposals go, once.
    pub(crate) fn connect(&self, raft: Arc<dyn Proposer>) {
        assert!(self.raft.set(raft).is_ok(), "a proposer is connected once");
    }
}

impl Proposer for NodeProposer {
    fn propose(&self, entry: Entry, within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        match self.raft.get() {
            Some(raft) => raft.propose(entry, within),
            None => Box::pin(async { Err(ProposeError::NoLeader) }),
        }
    }

    fn fence(&self, index: u64, within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        match self.raft.get() {
            Some(raft) => raft.fence(index, within.min(self.fence_wait)),
            // Without Raft nothing was committed, so there is no index to wait for.
            None => Box::pin(async { Vec::new() }),
        }
    }

    fn linearize(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        match self.raft.get() {
            Some(raft) => raft.linearize(within),
            None => Box::pin(async { Err(ProposeError::NoLeader) }),
        }
    }

    fn catch_up_with_leader(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        match self.raft.get() {
            Some(raft) => raft.catch_up_with_leader(within),
            None => Box::pin(async { Err(ProposeError::NoLeader) }),
        }
    }
}
