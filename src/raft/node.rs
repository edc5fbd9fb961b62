//! The Raft node: starts it from its data directory, shows how it is, stops it. Everything runs on a runtime of its
//! own with two threads, so that nothing else on the machine's threads can delay a heartbeat.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::{BasicNode, Config, ConfigError, SnapshotPolicy};
use portcullis_database::command::{Bootstrap, Command, Numbered as _, UpdateNode};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Entry, ProposeError, StateCell, codec};
use portcullis_model::{NodeAddresses, NodeId, Principal, Refused};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::core::Core;
use crate::fatal::Fatal;
use crate::identity::{DataDirectory, Identity, IdentityError, fingerprint};
use crate::log::{LogError, LogStore};
use crate::membership;
use crate::propose::{WAITING_KIB_MAX, WAITING_MAX};
use crate::snapshots::{SnapshotFileError, Snapshots};
use crate::state_machine::Machine;
use crate::transport::{self, INSTALL_WITHIN, NetworkFactory, Peers, TlsError};
use crate::types::Raft;

/// Time between two heartbeats of a leader, in milliseconds.
const HEARTBEAT_MS: u64 = 100;
/// Silence of the leader after which a node stands for election, in milliseconds: a random time between the two.
const ELECTION_MS: (u64, u64) = (300, 600);
/// Entries after which a snapshot is taken.
const SNAPSHOT_ENTRIES: u64 = 100_000;
/// Bytes of log after which a snapshot is taken, however few the entries are.
const SNAPSHOT_BYTES: u64 = 512 << 20;
/// Entries kept in the log that are in the snapshot already, for followers that are a little behind.
const KEPT_ENTRIES: u64 = 10_000;
/// Entries that a follower may be behind before it is sent a snapshot; more than there are between two snapshots.
const LAG_ENTRIES: u64 = 2 * SNAPSHOT_ENTRIES;
/// How long the first start may take to make the cluster.
const BOOTSTRAP_WITHIN: Duration = Duration::from_secs(30);
/// How long each step of stopping may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often what has no event of its own is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
            leader: metrics.current_leader.map(NodeId),
            is_leader: metrics.state.is_leader(),
            last_log_index: metrics.last_log_index,
            applied_index: self.core.cell.applied(),
            voters: membership.voter_ids().map(NodeId).collect(),
            learners: membership.membership().learner_ids().map(NodeId).collect(),
        }
    }

    /// Returns a receiver that sees why the node must stop, as soon as there is a reason: it cannot write its log, it
    /// cannot apply an entry, it was removed. The process should say so and end.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.core.fatal.subscribe()
    }

    /// Says whether the node follows a leader and has applied everything that was acknowledged before it started.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.was_ready.load(Ordering::Relaxed)
            && self.core.leader().is_some()
            && self.core.fatal.reason().is_none()
    }

    /// Has the node take a snapshot soon, whatever the log holds.
    ///
    /// # Errors
    /// [`ProposeError::Stopped`] where Raft has stopped.
    pub async fn take_snapshot(&self) -> Result<(), ProposeError> {
        self.core.raft.trigger().snapshot().await.map_err(|_| ProposeError::Stopped)
    }

    /// Hands leadership to the voter that has most of the log, and returns it. Does nothing where this node does not
    /// lead: the leader is returned.
    ///
    /// # Errors
    /// [`ProposeError::NoLeader`] where no other voter takes over.
    pub async fn transfer_leadership(&self) -> Result<NodeId, ProposeError> {
        match self.core.leader() {
            Some(leader) if leader != self.core.node() => Ok(leader),
            _ => self.core.hand_over().await.map_err(|e| {
                tracing::warn!(error = %e, "leadership was not handed over");
                ProposeError::NoLeader
            }),
        }
    }

    /// Stops the node: hands leadership over where it leads and others vote, stops Raft, and brings the log to disk.
    /// The data directory is free afterwards. A second call does nothing.
    pub async fn shutdown(&self) {
        if self.core.is_draining.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.core.leads() && self.core.voters().len() > 1 {
            match self.core.hand_over().await {
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

fn settings(cluster: &str) -> Result<Arc<Config>, ConfigError> {
    let config = Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS.0,
        election_timeout_max: ELECTION_MS.1,
        enable_pre_vote: Some(true),
        // Handed to the transport, which has deadlines of its own for each part of a snapshot.
        install_snapshot_timeout: u64::try_from(INSTALL_WITHIN.as_millis()).unwrap_or(u64::MAX),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_ENTRIES),
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        replication_lag_threshold: LAG_ENTRIES,
        purge_batch_size: 1000,
        ..Config::default()
    };
    config.validate().map(Arc::new)
}

struct Stored {
    log: LogStore,
    snapshots: Arc<Snapshots>,
}

/// Opens log and snapshots; reads files for as long as they are.
fn open_stored(log: &Path, snapshots: &Path, fatal: Fatal) -> Result<Stored, StartError> {
    let snapshots = Arc::new(Snapshots::open(snapshots)?);
    // The thread ends by itself when the last user of the log is gone.
    let (log, _thread) = LogStore::open(log, fatal)?;
    Ok(Stored { log, snapshots })
}

async fn boot(start: Start, runtime: runtime::Handle) -> Result<(Arc<Core>, DataDirectory), StartError> {
    let Start { directory, cell, listen, addresses, components } = start;
    let identity = directory.identity().clone();
    let fatal = Fatal::new();
    let (log, snapshots): (PathBuf, PathBuf) = (directory.below("raft/log")?, directory.below("raft/snapshots")?);
    let for_log = fatal.clone();
    let stored = tokio::task::spawn_blocking(move || open_stored(&log, &snapshots, for_log))
        .await
        .map_err(|e| StartError::Raft(e.to_string()))??;
    let (peers, tls) = transport::configure(&directory, fatal.clone(), runtime)?;
    let at = listen.unwrap_or(identity.addresses.cluster);
    let listener = TcpListener::bind(at).await.map_err(|source| StartError::Listen { at, source })?;

    let machine = Machine::new(Arc::clone(&cell), Arc::clone(&stored.snapshots), fatal.clone());
    let network = NetworkFactory { peers: Arc::clone(&peers) };
    let config = settings(&identity.cluster_name)?;
    let raft = Raft::new(identity.node.0, config, network, stored.log.clone(), machine)
        .await
        .map_err(|e| StartError::Raft(fatal.reason().unwrap_or_else(|| e.to_string())))?;
    let core = Arc::new(assemble(&directory, cell, raft, peers, stored, fatal)?);
    spawn_tasks(
        &core,
        listener,
        tls,
        UpdateNode { node: identity.node, name: identity.node_name, addresses, components },
    );
    if let Some(seed) = directory.seed()? {
        plant(&core, seed).await?;
        directory.remove_seed()?;
    }
    Ok((core, directory))
}

fn assemble(
    directory: &DataDirectory,
    cell: Arc<StateCell>,
    raft: Raft,
    peers: Arc<Peers>,
    stored: Stored,
    fatal: Fatal,
) -> Result<Core, StartError> {
    Ok(Core {
        identity: directory.identity().clone(),
        cluster_key: directory.cluster_key().clone(),
        ca_fingerprint: fingerprint(directory.ca_certificate())?,
        cell,
        raft,
        peers,
        snapshots: stored.snapshots,
        log: stored.log,
        fatal,
        is_draining: AtomicBool::new(false),
        stopping: watch::Sender::new(false),
        changes: tokio::sync::Mutex::new(()),
        waiting: Semaphore::new(WAITING_MAX),
        waiting_kib: Semaphore::new(WAITING_KIB_MAX),
        was_ready: AtomicBool::new(false),
    })
}

/// Starts the node's tasks; they end with its runtime.
fn spawn_tasks(core: &Arc<Core>, listener: TcpListener, tls: TlsAcceptor, about: UpdateNode) {
    tokio::spawn(transport::listen(Arc::clone(core), listener, tls));
    tokio::spawn(membership::keep(Arc::clone(core)));
    tokio::spawn(watch_raft(Arc::clone(core)));
    tokio::spawn(watch_log(Arc::clone(core)));
    tokio::spawn(become_ready(Arc::clone(core), about));
}

/// Raises the alarm when Raft stops by itself.
async fn watch_raft(core: Arc<Core>) {
    let ended = core.raft.wait(None).metrics(|metrics| metrics.running_state.is_err(), "the end of Raft").await;
    if core.is_stopping() {
        return;
    }
    let why = match ended {
        Ok(metrics) => metrics.running_state.err().map(|e| e.to_string()),
        Err(e) => Some(e.to_string()),
    };
    core.fatal.raise(format!("Raft has stopped: {}", why.unwrap_or_default()));
}

/// Has a snapshot taken when the log has grown by many bytes in few entries.
async fn watch_log(core: Arc<Core>) {
    let mut at_last_snapshot = 0;
    loop {
        sleep(LOOK_EVERY).await;
        let written = core.log.bytes_written();
        if written - at_last_snapshot < SNAPSHOT_BYTES {
            continue;
        }
        at_last_snapshot = written;
        if core.raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

/// Waits until the node has caught up once, and then tells the others what changed about it since it last ran.
async fn become_ready(core: Arc<Core>, about: UpdateNode) {
    while core.linearize(LOOK_EVERY).await.is_err() {
        if core.fatal.reason().is_some() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    core.was_ready.store(true, Ordering::Relaxed);
    // The record of the first node comes with the seed; that of another came before it started.
    let Some(record) = core.record(core.node()) else { return };
    let is_known =
        record.name == about.name && record.addresses == about.addresses && record.components == about.components;
    if is_known || record.removed_at.is_some() {
        return;
    }
    match propose(&core, &about).await {
        Ok(Ok(_)) => tracing::info!("the cluster knows what changed about this node"),
        Ok(Err(refused)) => tracing::error!(%refused, "what changed about this node was refused"),
        Err(e) => tracing::warn!(error = %e, "what changed about this node could not be told to the cluster"),
    }
}

async fn propose<X: Command>(core: &Core, command: &X) -> Result<Result<Vec<u8>, Refused>, ProposeError> {
    let payload = codec::encode(command).map_err(|_| ProposeError::TooLarge(0))?;
    propose_payload(core, X::NUMBER, payload).await
}

async fn propose_payload(
    core: &Core,
    command: u16,
    payload: Vec<u8>,
) -> Result<Result<Vec<u8>, Refused>, ProposeError> {
    let entry = Entry {
        command,
        proposed_at: wall_clock(),
        random: random_bytes(),
        principal: Principal::system(),
        idempotency: None,
        payload,
    };
    core.propose(entry, BOOTSTRAP_WITHIN).await.map(|outcome| outcome.result)
}

/// Makes the cluster: this node its only member, and the seed its first entry. Goes on where an earlier start was cut
/// short.
async fn plant(core: &Core, seed: Vec<u8>) -> Result<(), StartError> {
    let failed = |e: &dyn fmt::Display| StartError::Raft(format!("the cluster cannot be made: {e}"));
    if !core.raft.is_initialized().await.map_err(|e| failed(&e))? {
        let node = BasicNode { addr: core.identity.addresses.cluster.to_string() };
        let members = BTreeMap::from([(core.node().0, node)]);
        core.raft.initialize(members).await.map_err(|e| failed(&e))?;
    }
    match propose_payload(core, Bootstrap::NUMBER, seed).await.map_err(StartError::Bootstrap)? {
        Ok(_) | Err(Refused::AlreadyExists { .. }) => Ok(()),
        Err(refused) => Err(StartError::Refused(refused)),
    }
}
