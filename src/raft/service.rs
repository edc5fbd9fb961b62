//! What a node answers to other nodes.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{Fatal, RaftError};
use portcullis_model::{MembershipChange, NodeId};
use tokio::time::timeout;

use crate::core::Core;
use crate::transport::{LeaderTask, Request, Response};
use crate::types::Types;

/// The longest that a node works for another before it says that it was not in time.
const WITHIN_MAX: Duration = Duration::from_secs(60);

fn within(ms: u64) -> Duration {
    Duration::from_millis(ms).min(WITHIN_MAX)
}

fn raft_failed(e: &RaftError<Types>) -> Response {
    Response::Failed(e.to_string())
}

impl Core {
    /// Answers one request of node `from`.
    pub(crate) async fn answer(self: Arc<Self>, from: NodeId, request: Request) -> Response {
        match request {
            Request::Vote(request) => self.raft.vote(request).await.map_or_else(|e| raft_failed(&e), Response::Vote),
            Request::PreVote(request) => {
                self.raft.pre_vote(request).await.map_or_else(|e| raft_failed(&e), Response::Vote)
            }
            Request::TransferLeader(request) => {
                let failed = |e: Fatal<Types>| Response::Failed(e.to_string());
                self.raft.handle_transfer_leader(request).await.map_or_else(failed, Response::TransferLeader)
            }
            Request::Propose { entry, within_ms } => {
                if let Some(request) = entry.request() {
                    tracing::debug!(%request, %from, command = entry.number(), "a change comes from another node");
                }
                Response::Proposed(self.propose_as_leader(entry, within(within_ms)).await)
            }
            Request::ReadIndex { within_ms } => {
                let index = self.read_index_as_leader(within(within_ms)).await;
                if index.is_some() {
                    self.questions.tell(from);
                }
                Response::ReadIndex(index)
            }
            Request::HasStopped { node, index, within_ms } => {
                if self.has_stopped_as_leader(node, index, within(within_ms)).await {
                    Response::Applied
                } else {
                    Response::Failed(format!("node {node} may serve by a state from before {index}"))
                }
            }
            Request::AwaitApplied { index, .. } if index > self.cell.applied() && self.serving.promise(index) => {
                Response::Applied
            }
            Request::AwaitApplied { index, within_ms } => {
                match timeout(within(within_ms), self.cell.wait_applied(index)).await {
                    Ok(()) => Response::Applied,
                    Err(_) => Response::Failed(format!("entry {index} is not applied yet")),
                }
            }
            Request::Status => Response::Status(self.own_status()),
            Request::RemoveNode { node, force } => {
                let change = MembershipChange::Remove { node };
                Response::Done(self.do_as_leader(LeaderTask::Change { change, force }).await)
            }
            Request::Task(task) => Response::Done(self.do_as_leader(task).await),
            Request::LeaseIndex { within_ms } => {
                Response::ReadIndex(self.lease_index_as_leader(within(within_ms)).await)
            }
            Request::SignCertificate { request } => Response::Signed(self.sign_as_leader(from, &request)),
            Request::Facts => match serde_json::to_string(&self.own_facts().await) {
                Ok(facts) => Response::Facts(facts),
                Err(e) => Response::Failed(e.to_string()),
            },
            Request::DigestAt { index } => Response::Digest(self.digest_at(index).await),
            Request::RenewCertificate => Response::Renewed(self.renew_and_tell().await),
        }
    }
}
