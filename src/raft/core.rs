//! What the parts of a running Raft node share, and what they know of the cluster without asking.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use portcullis_database::{ClusterKey, StateCell};
use portcullis_model::facts::FactsSource;
use portcullis_model::{NodeId, NodeRecord};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use crate::certificates::Certificates;
use crate::contacts::Contact;
use crate::fatal::Fatal;
use crate::groups::Groups;
use crate::identity::Identity;
use crate::log::LogStore;
use crate::majority::LastLook;
use crate::marks::Marks;
use crate::observed::Observed;
use crate::questions::Questions;
use crate::reach::Reach;
use crate::reads::Rounds;
use crate::serving::Serving;
use crate::snapshots::Snapshots;
use crate::transport::{Peers, Reception, Request, Response, Status};
use crate::types::{Membership, Raft, Types};
use crate::upgrade;

/// How long another node may take to say how it is.
pub(crate) const STATUS_WITHIN: Duration = Duration::from_millis(500);

/// Silence after which a leader no longer counts as one: a follower did not hear of it, or it did not hear of a
/// majority. Longer than an election takes when all is well.
const LEADER_SILENCE: Duration = Duration::from_millis(1500);

/// The shared middle of a Raft node.
pub(crate) struct Core {
    pub(crate) identity: Identity,
    pub(crate) cluster_key: ClusterKey,
    /// Who was a member when this node was admitted.
    pub(crate) contacts: Vec<Contact>,
    pub(crate) certificates: Arc<Certificates>,
    /// The state at a few recent indices, for comparison with other nodes.
    pub(crate) marks: Arc<Marks>,
    /// How long commands take to be applied.
    pub(crate) observed: Arc<Observed>,
    /// Who tells what Raft does not know of this node, once it is there.
    pub(crate) facts_source: OnceLock<Arc<dyn FactsSource>>,
    pub(crate) cell: Arc<StateCell>,
    pub(crate) raft: Raft,
    pub(crate) groups: Groups,
    pub(crate) peers: Arc<Peers>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) log: LogStore,
    pub(crate) fatal: Fatal,
    /// No more proposals are taken.
    pub(crate) is_draining: AtomicBool,
    /// Everything ends.
    pub(crate) stopping: watch::Sender<bool>,
    /// Held by whoever changes the membership: one change at a time.
    pub(crate) changes: Mutex<()>,
    /// Proposals that may wait, and the KiB that they may hold.
    pub(crate) waiting: Arc<Semaphore>,
    pub(crate) waiting_kib: Arc<Semaphore>,
    pub(crate) was_ready: AtomicBool,
    /// Whether it serves API calls yet.
    pub(crate) serving: Serving,
    /// How far other members act on the log.
    pub(crate) reach: Reach,
    /// Backups that may be under way.
    pub(crate) backups: Arc<Semaphore>,
    /// The highest feature level that this program knows.
    pub(crate) known_level: u32,
    /// Who last sent entries or a heartbeat, and when.
    pub(crate) heard: Heard,
    /// What was found when the voters were last looked at.
    pub(crate) last_look: LastLook,
    /// Rounds to a majority, which readers share.
    pub(crate) leader_rounds: Rounds,
    /// Questions to the leader, which readers of this node share.
    pub(crate) follower_rounds: Rounds,
    /// Whom this node, as leader, told what was committed.
    pub(crate) questions: Questions,
    /// Who takes in the nodes that want to speak HTTP with this one's components.
    pub(crate) reception: OnceLock<Reception>,
}

/// Who last sent entries or a heartbeat, and when.
#[derive(Debug)]
pub(crate) struct Heard {
    since: Instant,
    node: AtomicU64,
    at_ms: AtomicU64,
}

impl Heard {
    pub(crate) fn nobody() -> Self {
        Self { since: Instant::now(), node: AtomicU64::new(0), at_ms: AtomicU64::new(0) }
    }

    /// Notes that `node` was heard now.
    pub(crate) fn hear(&self, node: NodeId) {
        self.node.store(node.0, Ordering::Relaxed);
        self.at_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Says whether `node` was the last that was heard, and lately.
    fn is_lately(&self, node: NodeId) -> bool {
        let silent_ms = self.now_ms().saturating_sub(self.at_ms.load(Ordering::Relaxed));
        self.node.load(Ordering::Relaxed) == node.0 && u128::from(silent_ms) < LEADER_SILENCE.as_millis()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Core {
    pub(crate) fn node(&self) -> NodeId {
        self.identity.node
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns all of openraft's metrics. Copied at once: holding them would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<Types> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Returns the leader that this node follows, which may be itself.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.server_metrics().borrow_watched().current_leader.map(NodeId)
    }

    /// Returns the leader, if it can do anything: a follower has heard of it lately, or it itself has heard of a
    /// majority lately. openraft goes on naming a leader that is gone until another is elected.
    pub(crate) fn steady_leader(&self) -> Option<NodeId> {
        let leader = self.leader()?;
        let is_steady = if leader == self.node() {
            let metrics = self.metrics();
            let is_alone = metrics.membership_config.voter_ids().count() <= 1;
            is_alone || metrics.last_quorum_acked.is_some_and(|at| at.elapsed() < LEADER_SILENCE)
        } else {
            self.heard.is_lately(leader)
        };
        is_steady.then_some(leader)
    }

    pub(crate) fn leads(&self) -> bool {
        self.leader() == Some(self.node()) && self.raft.is_leader()
    }

    /// Returns the membership in effect, which may not be committed yet.
    pub(crate) fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.raft.server_metrics().borrow_watched().membership_config)
    }

    /// Returns the members, voters and learners.
    pub(crate) fn members(&self) -> BTreeSet<NodeId> {
        self.membership().nodes().map(|(id, _)| NodeId(*id)).collect()
    }

    /// Returns the voters; of both sets while the membership changes.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.membership().voter_ids().map(NodeId).collect()
    }

    /// Returns the record of a node.
    pub(crate) fn record(&self, node: NodeId) -> Option<Arc<NodeRecord>> {
        self.cell.load().system.nodes.get(&node).cloned()
    }

    /// Says whether a node is out for good: marked in the state, and no member any more.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        let is_marked = self.record(node).is_some_and(|record| record.removed_at.is_some());
        is_marked && self.membership().get_node(&node.0).is_none()
    }

    /// Returns where a node listens for other nodes.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<SocketAddr> {
        let in_membership = self.membership().get_node(&node.0).and_then(|node| node.addr.parse().ok());
        in_membership.or_else(|| self.record(node).map(|record| record.addresses.cluster))
    }

    /// Says whether the cluster key is not the one with which the authority's key is sealed.
    pub(crate) fn has_other_key(&self) -> bool {
        let state = self.cell.load();
        state.system.cluster.get(&()).is_some_and(|facts| self.cluster_key.open(&facts.ca_key).is_err())
    }

    /// Says how this node is.
    pub(crate) fn own_status(&self) -> Status {
        let metrics = self.metrics();
        Status {
            node: self.node(),
            version: upgrade::version_and_level(self.known_level),
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            last_log_index: metrics.last_log_index,
            applied_index: (self.cell.applied() > 0).then(|| self.cell.applied()),
        }
    }

    /// Asks a node how it is; `None` where it does not say so in time.
    pub(crate) async fn status_of(&self, node: NodeId) -> Option<Status> {
        if node == self.node() {
            return Some(self.own_status());
        }
        self.status_from(node, self.address_of(node)?).await
    }

    /// Asks a node at an address how it is.
    pub(crate) async fn status_from(&self, node: NodeId, at: SocketAddr) -> Option<Status> {
        match self.peers.call(node, at, Request::Status, STATUS_WITHIN).await {
            Ok(Response::Status(status)) => Some(status),
            Ok(_) => None,
            Err(e) => {
                tracing::debug!(%node, error = %e, "a node does not say how it is");
                None
            }
        }
    }

    /// Asks several nodes at a time how they are.
    pub(crate) async fn statuses_of(&self, nodes: impl IntoIterator<Item = NodeId>) -> BTreeMap<NodeId, Status> {
        let asked = nodes.into_iter().map(|node| async move { self.status_of(node).await });
        let answers = futures_util::future::join_all(asked).await;
        answers.into_iter().flatten().map(|status| (status.node, status)).collect()
    }
}
