//! The proposer that the components' handles are minted from: passes everything to Raft once that runs, and keeps the
//! fence within the operator's limit. It is there before Raft is, so that the components that follow the state are
//! wired before the first entry is applied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_database::{Applied, Entry, ProposeError, Proposer};
use portcullis_model::NodeId;

/// Passes proposals on to Raft.
pub(crate) struct NodeProposer {
    raft: OnceLock<Arc<dyn Proposer>>,
    fence_wait_ms: AtomicU64,
}

impl NodeProposer {
    /// Makes a proposer that knows no Raft yet: it says that there is no leader.
    pub(crate) fn new(fence_wait_ms: u64) -> Arc<Self> {
        Arc::new(Self { raft: OnceLock::new(), fence_wait_ms: AtomicU64::new(fence_wait_ms) })
    }

    /// Sets how long the fence waits, from the next change on.
    pub(crate) fn set_fence_wait_ms(&self, ms: u64) {
        self.fence_wait_ms.store(ms, Ordering::Relaxed);
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
            Some(raft) => {
                let fence_wait = Duration::from_millis(self.fence_wait_ms.load(Ordering::Relaxed));
                raft.fence(index, within.min(fence_wait))
            }
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
