//! What nodes say to each other. Variants are only ever added at the end: nodes of neighbouring versions talk.

use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use portcullis_database::{Entry, Outcome};
use portcullis_model::membership::Rule;
use portcullis_model::{MembershipChange, NodeId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{LogId, SnapshotMeta, Types, Vote};

/// The version of this protocol.
pub(super) const PROTOCOL: u16 = 1;

/// The first frame of whoever connects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u16,
    pub(super) cluster: Uuid,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) line: LineKind,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LineKind {
    /// Requests and responses with ids, many at a time.
    Calls,
    /// Log entries, answered in order.
    Entries,
    /// One snapshot.
    Snapshot,
}

/// The answer to [`Hello`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Welcome {
    /// The line is open.
    Come,
    /// Another protocol.
    WrongProtocol(u16),
    /// Another cluster.
    WrongCluster(Uuid),
    /// Another node listens here.
    WrongNode(NodeId),
    /// The certificate does not belong to the node that was named.
    WrongCertificate,
    /// The node was removed from the cluster, for good.
    Removed,
}

/// A request on a line for calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Asks for a vote.
    Vote(VoteRequest<Types>),
    /// Asks whether a vote would be given.
    PreVote(VoteRequest<Types>),
    /// Tells a node to become leader.
    TransferLeader(TransferLeaderRequest<Types>),
    /// Proposes an entry to the leader.
    Propose { entry: Entry, within_ms: u64 },
    /// Asks the leader for the index that a read must see.
    ReadIndex { within_ms: u64 },
    /// Waits until the node has applied an index.
    AwaitApplied { index: u64, within_ms: u64 },
    /// Asks the node how it is.
    Status,
    /// Asks the leader to remove a node.
    RemoveNode { node: NodeId, force: bool },
    /// Asks the leader to do what only the leader does.
    Task(LeaderTask),
    /// Asks the leader for the index that a read must see, by its lease.
    LeaseIndex { within_ms: u64 },
    /// Asks the leader to sign a certificate for the node that asks.
    SignCertificate { request: String },
    /// Asks the node to renew its certificate.
    RenewCertificate,
    /// Waits until the leader knows that a node serves protected APIs by no state from before an index: because of
    /// what it has promised, and because it has not asked for long enough.
    HasStopped { node: NodeId, index: u64, within_ms: u64 },
    /// Asks the node for its facts.
    Facts,
    /// Asks the node for the digest of its state at an index.
    DigestAt { index: u64 },
}

/// What only the leader does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LeaderTask {
    /// Changes the membership.
    Change { change: MembershipChange, force: bool },
    /// Makes the changes of the plan of that version.
    ApplyPlan { version: u64, force: bool },
    /// Has a node get no traffic, or get it again.
    Drain { node: NodeId, drained_by: Option<String>, force: bool },
    /// Hands leadership over.
    TransferLeadership { to: Option<NodeId> },
}

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    /// To a request for a vote.
    Vote(VoteResponse<Types>),
    /// To a transfer of leadership.
    TransferLeader(TransferLeaderResponse<Types>),
    /// To a proposal.
    Proposed(ProposeAnswer),
    /// To a question for the read index: the index, or `None` where this node does not lead.
    ReadIndex(Option<u64>),
    /// The index was applied.
    Applied,
    /// To a question for the status.
    Status(Status),
    /// To a task for the leader.
    Done(Result<(), TaskRefusal>),
    /// The node cannot answer.
    Failed(String),
    /// To a request for a certificate.
    Signed(SignAnswer),
    /// To a request for a renewal: why it failed.
    Renewed(Result<(), String>),
    /// To a question for the facts: JSON ([`portcullis_model::facts::NodeFacts`]).
    Facts(String),
    /// To a question for a digest; `None` where the node does not have that state any more.
    Digest(Option<[u8; 32]>),
}

/// What became of a request for a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SignAnswer {
    /// The certificate, PEM, with what must be sent behind it.
    Signed(String),
    /// This node does not lead.
    NotLeader,
    /// It is not signed.
    Refused(String),
}

/// What became of a proposal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ProposeAnswer {
    /// It was applied.
    Applied(Outcome),
    /// It was surely not proposed: this node does not lead.
    NotLeader,
    /// It may or may not happen.
    Unknown,
    /// No answer in time; it may still happen.
    TimedOut,
    /// Surely not proposed: too many wait.
    Overloaded,
    /// Surely not proposed: the cluster's feature level is too low for it.
    LevelTooLow,
}

/// How a node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) node: NodeId,
    pub(crate) version: String,
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
    pub(crate) last_log_index: Option<u64>,
    pub(crate) applied_index: Option<u64>,
}

/// Why a task is not done. The twin of [`portcullis_model::cluster::ClusterRefusal`] on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum TaskRefusal {
    NotLeader,
    NotAllowed(String),
    NoSuchNode(NodeId),
    Protected(String),
    Invalid(String),
    Unavailable(String),
    Against { rule: Rule, why: String },
    OtherPlan { given: u64, now: u64 },
}

/// A request with its id.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) request: Request,
}

/// A response with the id of its request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) response: Response,
}

/// Log entries with their number on the line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Append {
    pub(super) number: u64,
    pub(super) request: AppendEntriesRequest<Types>,
}

/// The answer to the [`Append`] of that number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Appended {
    pub(super) number: u64,
    pub(super) result: AppendResult,
}

/// What became of log entries.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum AppendResult {
    /// They match up to there.
    Matching(Option<LogId>),
    /// They do not follow, or another leader is known.
    Refused(StreamAppendError<Types>),
    /// The node's Raft has stopped.
    Stopped,
}

/// The head of a snapshot; its bytes follow in frames.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
    pub(super) bytes: u64,
}

/// The answer to a snapshot: that it is installed, or not, after any number of signs of life.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SnapshotAnswer {
    Installed(SnapshotResponse<Types>),
    Failed(String),
    /// It is being checked, synced or loaded: another answer follows.
    Working,
}
