//! Reads that see everything acknowledged before: by read index, which a majority confirms, or by the leader's lease.
//! Many readers share one question to the leader, and many questions share one round to the majority.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::{LinearizerOption, ReadPolicy};
use portcullis_database::ProposeError;
use portcullis_model::NodeId;
use portcullis_model::mutant::{self, Mutant};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::core::Core;
use crate::propose::{left, ms};
use crate::transport::{Request, Response};

/// By what a read is known to be new enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadBy {
    /// A majority confirms the leader.
    Index,
    /// The leader knows by its lease that no other leads.
    Lease,
}

/// Rounds that many readers share: a reader takes what a round gave that began after it came.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    begun: AtomicU64,
    last: Mutex<Round>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    number: u64,
    index: Option<u64>,
}

impl Rounds {
    /// Returns what a round gives that begins after this call: that of another reader, or of its own by `run`.
    async fn share<F: Future<Output = Option<u64>>>(&self, run: impl FnOnce() -> F) -> Option<u64> {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.number > begun_before {
            return last.index;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let index = run().await;
        *last = Round { number, index };
        index
    }
}

impl Core {
    /// Returns the index that a read must see, if this node leads and a majority confirms it.
    pub(crate) async fn read_index_as_leader(&self, within: Duration) -> Option<u64> {
        let shared = self.leader_rounds.share(|| self.read_index_by(ReadPolicy::ReadIndex, within));
        timeout(within, shared).await.ok().flatten()
    }

    /// The same by the lease, where there is one.
    pub(crate) async fn lease_index_as_leader(&self, within: Duration) -> Option<u64> {
        match self.read_index_by(ReadPolicy::LeaseRead, within).await {
            Some(index) => Some(index),
            None if self.leads() => self.read_index_as_leader(within).await,
            None => None,
        }
    }

    async fn read_index_by(&self, policy: ReadPolicy, within: Duration) -> Option<u64> {
        let option: LinearizerOption = policy.into();
        match timeout(within, self.raft.get_read_linearizer(option)).await {
            Ok(Ok(linearizer)) => Some(linearizer.read_log_id().log_id().index),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn ask_for_index(&self, leader: NodeId, request: Request, deadline: Instant) -> Option<u64> {
        let at = self.address_of(leader)?;
        match self.peers.call(leader, at, request, left(deadline)).await {
            Ok(Response::ReadIndex(index)) => index,
            Ok(_) | Err(_) => None,
        }
    }

    async fn index_to_see(&self, leader: NodeId, by: ReadBy, deadline: Instant) -> Option<u64> {
        let within = left(deadline);
        match (leader == self.node(), by) {
            (true, ReadBy::Index) => self.read_index_as_leader(within).await,
            (true, ReadBy::Lease) => self.lease_index_as_leader(within).await,
            (false, ReadBy::Index) => {
                let request = Request::ReadIndex { within_ms: ms(within) };
                let shared = self.follower_rounds.share(|| self.ask_for_index(leader, request, deadline));
                timeout(within, shared).await.ok().flatten()
            }
            (false, ReadBy::Lease) => {
                self.ask_for_index(leader, Request::LeaseIndex { within_ms: ms(within) }, deadline).await
            }
        }
    }

    /// Waits until this node has applied everything that was acknowledged anywhere before the call, as far as `by`
    /// tells.
    pub(crate) async fn catch_up(&self, by: ReadBy, within: Duration) -> Result<(), ProposeError> {
        if mutant::is(Mutant::StaleRead) {
            return Ok(());
        }
        let since = Instant::now();
        let deadline = since + within;
        loop {
            let leader = self.leader_soon(since, deadline).await?;
            if let Some(index) = self.index_to_see(leader, by, deadline).await {
                let applied = timeout_at(deadline, self.cell.wait_applied(index)).await;
                return applied.map_err(|_| ProposeError::TimedOut(within));
            }
            if Instant::now() >= deadline {
                return Err(ProposeError::NoLeader);
            }
            self.pause(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn readers_that_come_during_a_round_share_the_next_and_never_take_the_one_under_way() {
        let rounds = Arc::new(Rounds::default());
        let (runs, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let reader = || {
            let (rounds, runs, gate) = (Arc::clone(&rounds), Arc::clone(&runs), Arc::clone(&gate));
            tokio::spawn(async move {
                let run = || async {
                    let number = runs.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.acquire().await.unwrap().forget();
                    Some(number)
                };
                rounds.share(run).await
            })
        };
        let first = reader();
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..10).map(|_| reader()).collect();
        // All have come: each has taken its place behind the first.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(20);
        assert_eq!(first.await.unwrap(), Some(1));
        for reader in later {
            assert_eq!(reader.await.unwrap(), Some(2), "one round for all ten, and not the one before them");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }
}
