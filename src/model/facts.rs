//! What a node says of itself to whoever examines the cluster, and how that is asked for.
//!
//! Nodes exchange it as JSON: nodes of neighbouring versions skip what they do not know and take the default for what
//! they miss.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::port::PortFuture;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// The version of the program.
    pub version: String,
    /// The node's clock when it answered, in milliseconds since the epoch.
    pub now_ms: u64,
    /// Milliseconds that it took to gather the facts.
    pub gathering_ms: u64,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// What keeps it from being ready; nothing where it is.
    pub not_ready: Vec<String>,
    /// The components it serves.
    pub components: Vec<String>,
    /// The machine it runs on.
    pub machine: MachineFacts,
    /// Its certificate.
    pub certificate: CertificateFacts,
    /// Where Raft stands.
    pub raft: RaftFacts,
    /// Its actors.
    pub actors: Vec<ActorFacts>,
    /// The access matrix that it was compiled with: component, database, access.
    pub access: Vec<(String, String, String)>,
}

/// What a node can use of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFacts {
    /// Bytes of the file system that holds the data directory; 0 where that is not known.
    pub disk_bytes: u64,
    /// Bytes free on it.
    pub disk_free_bytes: u64,
    /// Microseconds that a small write and its sync took just now, the median of a few; `None` where it failed.
    pub sync_us: Option<u64>,
    /// Files the process may have open; 0 where that is not known.
    pub open_files_max: u64,
    /// Files it has open.
    pub open_files: u64,
    /// Bytes of its memory that are in RAM; 0 where that is not known.
    pub resident_bytes: u64,
}

/// How long a node's certificate and its authority are valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateFacts {
    /// When the certificate begins to be valid, in milliseconds since the epoch.
    pub not_before_ms: u64,
    /// When it ends.
    pub not_after_ms: u64,
    /// When it should have been renewed.
    pub renewal_due_ms: u64,
    /// When the first of the authorities that the node trusts ends.
    pub authority_not_after_ms: u64,
}

/// Where a node's Raft stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaftFacts {
    /// The term.
    pub term: u64,
    /// The leader it follows.
    pub leader: Option<NodeId>,
    /// The index of the last entry in its log.
    pub last_log_index: u64,
    /// The index of the last entry it applied.
    pub applied_index: u64,
    /// The indices at which it still has its state, so that it can be compared with others'.
    pub comparable_at: Vec<u64>,
}

/// How an actor stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActorFacts {
    /// Its name.
    pub actor: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Messages that wait or are in its work.
    pub in_work: u64,
    /// How many it takes at a time.
    pub capacity: u64,
    /// Messages refused because there were too many.
    pub refused: u64,
    /// How often it failed and was restarted.
    pub restarts: u64,
}

/// Tells what a node says of itself, but for what Raft knows; implemented by `node`.
pub trait FactsSource: Send + Sync {
    /// Gathers the facts. Takes as long as a few small writes to the disk.
    fn facts(&self) -> PortFuture<'_, NodeFacts>;
}

/// What came of asking one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedNode {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// The components that the cluster's records say it serves; all where empty.
    pub components: Vec<String>,
    /// What it said; `None` where it did not answer in time.
    pub facts: Option<NodeFacts>,
    /// How far its clock is ahead of the asking node's, in milliseconds; negative where it is behind.
    pub clock_ahead_ms: i64,
    /// How far that can be wrong, in milliseconds.
    pub clock_error_ms: u64,
    /// Its ports that could not be connected to, with the reason.
    pub closed_ports: Vec<(String, String)>,
}

/// The digests of the nodes' states at one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparedStates {
    /// The index; `None` where there was none at which two nodes could be compared.
    pub index: Option<u64>,
    /// The SHA-256 of each node's state there; `None` where a node has it no longer.
    pub digests: Vec<(NodeId, Option<[u8; 32]>)>,
}

/// Examines the cluster; implemented by `raft`, asked by Admin.
pub trait Examination: Send + Sync {
    /// Asks every node for its facts, in bounded time.
    fn ask_all(&self) -> PortFuture<'_, Vec<AskedNode>>;

    /// Compares the states of the nodes that were asked at the newest index that all of them still have.
    fn compare<'a>(&'a self, asked: &'a [AskedNode]) -> PortFuture<'a, ComparedStates>;
}
