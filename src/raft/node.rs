//! The Raft node: starts it from its data directory, shows how it is, stops it. Everything runs on a runtime of its
//! own with two threads, so that nothing else on the machine's threads can delay a heartbeat. How it boots is
//! [`crate::boot`].

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::ConfigError;
use portcullis_database::{ProposeError, StateCell};
use portcullis_model::cluster::Standing;
use portcullis_model::facts::FactsSource;
use portcullis_model::{NodeAddresses, NodeId, Refused};
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::boot::boot;
use crate::certificates::Held;
use crate::core::Core;
use crate::identity::{DataDirectory, Identity, IdentityError};
use crate::log::LogError;
use crate::observed::DurationFigures;
use crate::snapshots::SnapshotFileError;
use crate::transport::TlsError;

/// How long each step of stopping may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// What a node needs to start.
#[derive(Debug)]
pub struct Start {
    /// Its data directory.
    pub directory: DataDirectory,
    /// Where its state is published. The hooks are set before, so that they see every state.
    pub cell: Arc<StateCell>,
    /// Where it listens for other nodes; its cluster address where `None`.
    pub listen: Option<SocketAddr>,
    /// Where it listens in all; told to the others where it differs from what they know.
    pub addresses: NodeAddresses,
    /// The components it serves; all where empty.
    pub components: Vec<String>,
    /// How long a certificate is valid that it signs.
    pub certificate_valid: Duration,
    /// Entries after which it takes a snapshot.
    pub snapshot_entries: u64,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data directory is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its log is not usable.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its snapshot is not usable.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// Its certificates are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cluster port is not to be had.
    #[error(
        "the cluster port {at} cannot be opened: {source}. Another process may use it, or the address may not be this \
         machine's"
    )]
    Listen {
        /// The address.
        at: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Threads cannot be started.
    #[error("the node's threads cannot be started")]
    Threads(#[source] io::Error),
    /// The constants do not fit together.
    #[error("the Raft settings do not fit together")]
    Settings(#[from] ConfigError),
    /// Raft does not start from what is in the data directory.
    #[error("{0}")]
    Raft(String),
    /// The cluster could not be made.
    #[error("the first node could not make the cluster: {0}; start it again")]
    Bootstrap(ProposeError),
    /// The cluster's seed was refused.
    #[error("the cluster's first entry was refused: {0}")]
    Refused(Refused),
}

/// A running Raft node. Proposes ([`portcullis_database::Proposer`]) and controls the cluster
/// ([`portcullis_model::cluster::ClusterControl`]).
pub struct RaftNode {
    pub(crate) core: Arc<Core>,
    runtime: Mutex<Option<Runtime>>,
    /// Given back, and with it the lock, when the node has stopped.
    directory: Mutex<Option<DataDirectory>>,
}

impl fmt::Debug for RaftNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RaftNode({})", self.core.node())
    }
}

/// How a node stands in the cluster, as far as it knows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The Raft term.
    pub term: u64,
    /// The leader that it follows.
    pub leader: Option<NodeId>,
    /// Whether it leads.
    pub is_leader: bool,
    /// The index of the last entry in its log.
    pub last_log_index: Option<u64>,
    /// The index of the last entry it applied and published.
    pub applied_index: u64,
    /// The nodes that vote.
    pub voters: Vec<NodeId>,
    /// The members that do not.
    pub learners: Vec<NodeId>,
    /// The index up to which the log is committed, as this node knows.
    pub commit_index: u64,
}

/// What a node observes of its log, its snapshots and the commands it applies.
#[derive(Clone, Debug)]
pub struct Observation {
    /// How long the log's syncs took since the start.
    pub syncs: DurationFigures,
    /// How long each command took to be applied.
    pub applies: Vec<(&'static str, DurationFigures)>,
    /// Bytes written to the log.
    pub log_bytes_written: u64,
    /// Index and bytes of the newest snapshot.
    pub snapshot: Option<(u64, u64)>,
}

impl RaftNode {
    /// Starts the node: reads its log and snapshot back, listens, and, on the first start of a cluster's first node,
    /// makes the cluster.
    ///
    /// # Errors
    /// Where something in the data directory is damaged or missing, or the port is taken.
    pub async fn start(start: Start) -> Result<Arc<Self>, StartError> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let handle = runtime.handle().clone();
        let booted = handle.spawn(boot(start, handle.clone())).await;
        match booted.map_err(|e| StartError::Raft(e.to_string())).flatten() {
            Ok((core, directory)) => {
                Ok(Arc::new(Self { core, runtime: Mutex::new(Some(runtime)), directory: Mutex::new(Some(directory)) }))
            }
            Err(e) => {
                runtime.shutdown_background();
                Err(e)
            }
        }
    }

    /// Returns who the node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.core.identity
    }

    /// Returns how the node stands.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let metrics = self.core.metrics();
        let membership = metrics.membership_config;
        Metrics {
            term: metrics.current_term,
            leader: self.core.steady_leader(),
            is_leader: metrics.state.is_leader(),
            last_log_index: metrics.last_log_index,
            applied_index: self.core.cell.applied(),
            voters: membership.voter_ids().map(NodeId).collect(),
            learners: membership.membership().learner_ids().map(NodeId).collect(),
            commit_index: metrics.local_committed.map_or(0, |committed| committed.index),
        }
    }

    /// Returns what the node observes of its log, its snapshots and the commands it applies.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let snapshot = self.core.snapshots.current();
        Observation {
            syncs: self.core.log.syncs(),
            applies: self.core.observed.applies(),
            log_bytes_written: self.core.log.bytes_written(),
            snapshot: snapshot.map(|(meta, file)| (meta.last_log_id.map_or(0, |log_id| log_id.index), file.bytes())),
        }
    }

    /// Sets who tells what Raft does not know of this node when the cluster is examined, once.
    ///
    /// # Panics
    /// Where it was set before.
    pub fn set_facts_source(&self, source: Arc<dyn FactsSource>) {
        assert!(self.core.facts_source.set(source).is_ok(), "who tells a node's facts is set once");
    }

    /// Says how the node stands, and how much it has left to apply. Asks the leader, in bounded time.
    pub async fn standing(&self) -> Standing {
        self.core.standing().await
    }

    /// Returns a receiver that sees why the node must stop, as soon as there is a reason: it cannot write its log, it
    /// cannot apply an entry, it was removed. The process should say so and end.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.core.fatal.subscribe()
    }

    /// Returns a receiver that sees the node's certificate and the authorities that it trusts, now and whenever they
    /// are replaced: for everything else that shows or believes them.
    #[must_use]
    pub fn certificates(&self) -> watch::Receiver<Arc<Held>> {
        self.core.certificates.subscribe()
    }

    /// Says whether the node follows a leader and has applied everything that was acknowledged before it started.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.was_ready.load(Ordering::Relaxed)
            && self.core.steady_leader().is_some()
            && self.core.fatal.reason().is_none()
    }

    /// Says whether the node knows a leader of which it, or a majority, has heard lately.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.core.steady_leader().is_some()
    }

    /// Says whether the node has no state at all: it has just joined.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        self.core.cell.applied() == 0
    }

    /// Waits until the node may serve API calls: it has told others that it acts on what they decided meanwhile, and has
    /// applied all of that. Call it once, when the node has caught up.
    pub async fn begin_serving(&self) {
        self.core.serving.begin(&self.core.cell).await;
    }

    /// Has the node take a snapshot soon, whatever the log holds.
    ///
    /// # Errors
    /// [`ProposeError::Stopped`] where Raft has stopped.
    pub async fn take_snapshot(&self) -> Result<(), ProposeError> {
        self.core.raft.trigger().snapshot().await.map_err(|_| ProposeError::Stopped)
    }

    /// Stops the node: hands leadership over where it leads and others vote, stops Raft, and brings the log to disk.
    /// The data directory is free afterwards. A second call does nothing.
    pub async fn shutdown(&self) {
        if self.core.is_draining.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.core.leads() && self.core.voters().len() > 1 {
            match self.core.hand_over(None, &BTreeSet::new()).await {
                Ok(leader) => tracing::info!(%leader, "leadership was handed over before stopping"),
                Err(e) => tracing::warn!(error = %e, "stopping without handing leadership over"),
            }
        }
        self.core.stopping.send_replace(true);
        if !matches!(timeout(STOP_WITHIN, self.core.raft.shutdown()).await, Ok(Ok(()))) {
            tracing::warn!("Raft did not stop in time");
        }
        self.close().await;
    }

    /// Ends all tasks, brings what they queued to disk, and gives the data directory back.
    async fn close(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(STOP_WITHIN)).await;
            if let Err(e) = ended {
                tracing::warn!(error = %e, "the node's threads did not end");
            }
        }
        if !matches!(timeout(STOP_WITHIN, self.core.log.flush()).await, Ok(Ok(()))) {
            tracing::error!("the Raft log was not brought to disk before the end");
        }
        drop(self.directory.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ends the node as a crash would: nothing is handed over, nobody is told.
    #[cfg(test)]
    pub(crate) async fn crash(&self) {
        self.core.is_draining.store(true, Ordering::SeqCst);
        self.core.stopping.send_replace(true);
        self.close().await;
    }
}

impl Drop for RaftNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}
