//! Proposing entries from any node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver as _;
use portcullis_database::{Applied, Entry, Outcome, ProposeError, Proposer, level};
use portcullis_model::NodeId;
use portcullis_model::limit::RECORD_BYTES_MAX;
use portcullis_model::mutant::{self, Mutant};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::core::Core;
use crate::groups::Place;
use crate::node::RaftNode;
use crate::reads::ReadBy;
use crate::transport::{CallError, ProposeAnswer, Request, Response};

/// Proposals that may wait at a time on one node.
pub(crate) const WAITING_MAX: usize = 8192;
/// KiB that they may hold together.
pub(crate) const WAITING_KIB_MAX: usize = 256 << 10;
/// Bytes of a record that the log and the transport need around an entry.
const ENVELOPE_BYTES: usize = 16 << 10;
/// How long to wait before looking for the leader again, if nothing is heard of a new one.
const PAUSE: Duration = Duration::from_millis(25);

/// How long a leader that was replaced may still answer.
const REPLACED_GRACE: Duration = Duration::from_millis(500);

/// What became of one attempt to propose.
enum Attempt {
    Applied(Outcome),
    /// Surely not proposed; another node may lead.
    NotProposed,
    Unknown,
    TimedOut,
    Overloaded,
    LevelTooLow,
}

impl From<ProposeAnswer> for Attempt {
    fn from(answer: ProposeAnswer) -> Self {
        match answer {
            ProposeAnswer::Applied(outcome) => Self::Applied(outcome),
            ProposeAnswer::NotLeader => Self::NotProposed,
            ProposeAnswer::Unknown => Self::Unknown,
            ProposeAnswer::TimedOut => Self::TimedOut,
            ProposeAnswer::Overloaded => Self::Overloaded,
            ProposeAnswer::LevelTooLow => Self::LevelTooLow,
        }
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl Core {
    /// Takes a place among the proposals that wait, if there is one for that many bytes.
    fn place(&self, entry: &Entry) -> Option<Arc<Place>> {
        let kib = u32::try_from(entry.payload.len() / 1024 + 1).ok()?;
        let one = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let kib = Arc::clone(&self.waiting_kib).try_acquire_many_owned(kib).ok()?;
        Some(Arc::new(Place { _one: one, _kib: kib }))
    }

    /// Proposes an entry here, if this node leads.
    pub(crate) async fn propose_as_leader(&self, entry: Entry, within: Duration) -> ProposeAnswer {
        let Some(place) = self.place(&entry) else { return ProposeAnswer::Overloaded };
        self.write(entry, within, place).await
    }

    /// Says whether every node of the cluster can apply the entry.
    fn check_level(&self, entry: &Entry) -> Result<(), ProposeError> {
        level::check_entry(entry, self.cell.load().feature_level())
    }

    async fn write(&self, entry: Entry, within: Duration, place: Arc<Place>) -> ProposeAnswer {
        if self.check_level(&entry).is_err() {
            return ProposeAnswer::LevelTooLow;
        }
        // Not while the cluster is made: what comes next stands on what came before.
        if mutant::is(Mutant::AckBeforeCommit) && self.voters().len() > 1 {
            return self.answer_before_commit(entry);
        }
        tokio::select! {
            biased;
            written = timeout(within, self.groups.propose(entry, place)) => written.unwrap_or(ProposeAnswer::TimedOut),
            // It is in this node's log, and a later leader may bring it to the others or not.
            () = self.majority_lost() => ProposeAnswer::Unknown,
        }
    }

    /// A deliberate fault: says what the entry would do, and has it written later.
    fn answer_before_commit(&self, entry: Entry) -> ProposeAnswer {
        if !self.leads() {
            return ProposeAnswer::NotLeader;
        }
        let mut state = self.cell.load().as_ref().clone();
        let index = state.applied_index;
        let Ok(outcome) = portcullis_database::command::apply(&mut state, index, &entry) else {
            return ProposeAnswer::Unknown;
        };
        let raft = self.raft.clone();
        tokio::spawn(async move { raft.client_write(entry).await });
        ProposeAnswer::Applied(outcome)
    }

    /// Waits until this node knows of a leader.
    pub(crate) async fn some_leader(&self, deadline: Instant) -> Result<NodeId, ProposeError> {
        let mut metrics = self.raft.server_metrics();
        loop {
            if let Some(leader) = metrics.borrow_and_update().current_leader {
                return Ok(NodeId(leader));
            }
            match timeout_at(deadline, metrics.changed()).await {
                Err(_) => return Err(ProposeError::NoLeader),
                Ok(Err(_)) => return Err(ProposeError::Stopped),
                Ok(Ok(())) => {}
            }
        }
    }

    /// Waits a little, or until something about the leader changes.
    pub(crate) async fn pause(&self, deadline: Instant) {
        let mut metrics = self.raft.server_metrics();
        drop(metrics.borrow_and_update());
        let _either = timeout_at(deadline, async {
            tokio::select! {
                biased;
                () = sleep(PAUSE) => {}
                changed = metrics.changed() => {
                    // Raft has ended: nothing will ever change again, and who asks until its deadline must not spin.
                    if changed.is_err() {
                        sleep(PAUSE).await;
                    }
                }
            }
        })
        .await;
    }

    /// Waits until another node leads, and a little longer, in which the former leader may still answer.
    async fn replaced(&self, leader: NodeId) {
        let mut metrics = self.raft.server_metrics();
        while metrics.borrow_and_update().current_leader.is_none_or(|current| current == leader.0) {
            if metrics.changed().await.is_err() {
                break;
            }
        }
        sleep(REPLACED_GRACE).await;
    }

    async fn attempt(&self, leader: NodeId, entry: Entry, deadline: Instant, place: &Arc<Place>) -> Attempt {
        if leader == self.node() {
            return self.write(entry, left(deadline), Arc::clone(place)).await.into();
        }
        // In a box, so that proposals at the leader do not carry its room.
        Box::pin(self.attempt_elsewhere(leader, entry, deadline)).await
    }

    async fn attempt_elsewhere(&self, leader: NodeId, entry: Entry, deadline: Instant) -> Attempt {
        let Some(at) = self.address_of(leader) else { return Attempt::NotProposed };
        let request = Request::Propose { entry, within_ms: ms(left(deadline)) };
        let answer = tokio::select! {
            biased;
            answer = self.peers.call(leader, at, request, left(deadline)) => answer,
            () = self.replaced(leader) => return Attempt::Unknown,
        };
        match answer {
            Ok(Response::Proposed(answer)) => answer.into(),
            Ok(_) | Err(CallError::Lost) => Attempt::Unknown,
            Err(CallError::NotSent(_) | CallError::TooLarge) => Attempt::NotProposed,
            Err(CallError::TimedOut) => Attempt::TimedOut,
        }
    }

    /// Proposes an entry wherever the leader is.
    pub(crate) async fn propose(&self, entry: Entry, within: Duration) -> Result<Outcome, ProposeError> {
        if self.is_draining.load(Ordering::SeqCst) {
            return Err(ProposeError::Stopped);
        }
        if entry.payload.len() > RECORD_BYTES_MAX - ENVELOPE_BYTES {
            return Err(ProposeError::TooLarge(entry.payload.len()));
        }
        // Here and not only at the leader, which may be of an earlier version.
        self.check_level(&entry)?;
        let Some(place) = self.place(&entry) else { return Err(ProposeError::Overloaded) };
        let since = Instant::now();
        let deadline = since + within;
        let acts_once = entry.idempotency.is_some();
        // Whether an attempt was made of which nobody knows the outcome.
        let mut may_have_happened = false;
        let mut is_first = true;
        loop {
            let nothing_known = |e| if may_have_happened { ProposeError::TimedOut(within) } else { e };
            // In boxes, so that proposals at a leader that is known do not carry the room of what is seldom needed.
            let leader = match self.leader().filter(|_| is_first) {
                Some(leader) => leader,
                None => Box::pin(self.leader_soon(since, deadline)).await.map_err(nothing_known)?,
            };
            is_first = false;
            match self.attempt(leader, entry.clone(), deadline, &place).await {
                Attempt::Applied(outcome) => {
                    let here = timeout_at(deadline, self.cell.wait_applied(outcome.index)).await;
                    if here.is_err() {
                        tracing::debug!(index = outcome.index, "a change was made that this node has not applied yet");
                    }
                    return Ok(outcome);
                }
                // The leader has not applied yet what this node has.
                Attempt::NotProposed | Attempt::LevelTooLow => {}
                Attempt::Unknown if acts_once => may_have_happened = true,
                Attempt::Unknown => return Err(ProposeError::Unknown),
                Attempt::TimedOut => return Err(ProposeError::TimedOut(within)),
                Attempt::Overloaded => return Err(ProposeError::Overloaded),
            }
            if self.is_stopping() {
                return Err(if may_have_happened { ProposeError::Unknown } else { ProposeError::Stopped });
            }
            if Instant::now() >= deadline {
                return Err(if may_have_happened { ProposeError::TimedOut(within) } else { ProposeError::NoLeader });
            }
            Box::pin(self.pause(deadline)).await;
        }
    }
}

impl Proposer for RaftNode {
    fn propose(&self, entry: Entry, within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        async move { self.core.propose(entry, within).await.map(|outcome| Applied { outcome }) }.boxed()
    }

    fn fence(&self, index: u64, within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        self.core.fence(index, within).boxed()
    }

    fn linearize(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        self.core.catch_up(ReadBy::Index, within).boxed()
    }

    fn catch_up_with_leader(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        self.core.catch_up(ReadBy::Lease, within).boxed()
    }
}
