//! Proposals in groups: while one group is on its way, what is proposed meanwhile waits and makes the next.
//!
//! A group costs each node one write, one sync and one message, however many it holds, and the more are proposed at a time
//! the larger the groups become (group commit: DeWitt et al., "Implementation Techniques for Main Memory Database
//! Systems", 1984). One who proposes alone never waits. Why groups follow each other, and when not, is in
//! `docs/decisions/0117-proposals-go-in-groups.md`.

use std::time::Duration;

use futures_util::StreamExt as _;
use openraft::errors::ClientWriteError;
use portcullis_database::Entry;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::transport::ProposeAnswer;
use crate::types::Raft;

/// How long a group waits for the one before it, at most: where the nodes are far apart, several are on their way.
const HOLD: Duration = Duration::from_millis(5);
/// Entries of a group, at most.
const ENTRIES_MAX: usize = 1024;
/// Bytes of their payloads after which a group is full.
const BYTES_MAX: usize = 4 << 20;

/// An entry, and who waits for what becomes of it.
#[derive(Debug)]
struct Proposal {
    entry: Entry,
    answer: oneshot::Sender<ProposeAnswer>,
}

/// Where the leader proposes. What waits here is bounded by who calls ([`crate::propose::WAITING_MAX`]).
#[derive(Debug)]
pub(crate) struct Groups(mpsc::UnboundedSender<Proposal>);

impl Groups {
    /// Begins to gather, on the runtime of whoever calls, until this and all callers are gone.
    pub(crate) fn gather(raft: Raft) -> Self {
        let (proposals, queue) = mpsc::unbounded_channel();
        tokio::spawn(gather(raft, queue));
        Self(proposals)
    }

    /// Proposes an entry at this node, and returns what became of it.
    pub(crate) async fn propose(&self, entry: Entry) -> ProposeAnswer {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Proposal { entry, answer }).is_err() {
            return ProposeAnswer::Unknown;
        }
        answered.await.unwrap_or(ProposeAnswer::Unknown)
    }
}

async fn gather(raft: Raft, mut queue: mpsc::UnboundedReceiver<Proposal>) {
    let mut group = Vec::new();
    let mut before: Option<(Instant, tokio::task::JoinHandle<()>)> = None;
    while let Some(first) = queue.recv().await {
        if let Some((since, under_way)) = before.take() {
            // Either it has come to its end, or it has had its time.
            drop(timeout_at(since + HOLD, under_way).await);
        }
        let mut bytes = first.entry.payload.len();
        group.push(first);
        while group.len() < ENTRIES_MAX && bytes < BYTES_MAX {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.entry.payload.len();
            group.push(next);
        }
        before = Some((Instant::now(), tokio::spawn(propose(raft.clone(), std::mem::take(&mut group)))));
    }
}

/// Proposes a group, and tells everybody who waits. Who hears nothing does not know what became of the entry.
async fn propose(raft: Raft, group: Vec<Proposal>) {
    let (entries, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.entry, one.answer)).unzip();
    let mut written = match raft.client_write_many(entries).await {
        Ok(written) => written,
        Err(e) => return tracing::debug!(error = %e, "what became of some proposals is not known"),
    };
    for answer in answers {
        let told = match written.next().await {
            None => return,
            Some(Ok(Ok(written))) => written.response.0.map_or(ProposeAnswer::Unknown, ProposeAnswer::Applied),
            Some(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => ProposeAnswer::NotLeader,
            Some(Ok(Err(e))) => unknown(&e),
            Some(Err(e)) => unknown(&e),
        };
        // Who asked may have gone away.
        drop(answer.send(told));
    }
}

fn unknown(error: &dyn std::error::Error) -> ProposeAnswer {
    tracing::debug!(%error, "what became of a proposal is not known");
    ProposeAnswer::Unknown
}
