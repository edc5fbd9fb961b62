//! Boots a Raft node: opens what is stored, joins the parts, starts the node's tasks, and makes the cluster on the
//! first start of its first node.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{BasicNode, Config, ConfigError, SnapshotPolicy};
use portcullis_database::command::{Bootstrap, Command, Numbered as _, RaiseFeatureLevel, SeedPolicies, UpdateNode};
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Entry, ProposeError, StateCell, codec, default_policies, level};
use portcullis_model::{NodeId, NodeRecord, Principal, Refused};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use crate::begun;
use crate::certificates::{self, Certificates};
use crate::contacts;
use crate::core::{Core, Heard};
use crate::fatal::Fatal;
use crate::groups::Groups;
use crate::identity::DataDirectory;
use crate::log::LogStore;
use crate::majority::LastLook;
use crate::marks::Marks;
use crate::membership;
use crate::node::{Start, StartError};
use crate::observed::Observed;
use crate::propose::{WAITING_KIB_MAX, WAITING_MAX};
use crate::questions::Questions;
use crate::reach::Reach;
use crate::reads::{ReadBy, Rounds};
use crate::safekeeping::BACKUPS_MAX;
use crate::serving::Serving;
use crate::snapshots::{self, Snapshots};
use crate::state_machine::Machine;
use crate::transport::{self, INSTALL_WITHIN, NetworkFactory, Peers};
use crate::types::Raft;

/// Time between two heartbeats of a leader, in milliseconds.
const HEARTBEAT_MS: u64 = 100;
/// Silence of the leader after which a node stands for election, in milliseconds: a random time between the two, after
/// the longer one has passed as the leader's lease. So the next leader is there within a second, mostly in less.
const ELECTION_MS: (u64, u64) = (250, 500);
/// Bytes of log after which a snapshot is taken, however few the entries are.
const SNAPSHOT_BYTES: u64 = 512 << 20;
/// Of the entries between two snapshots, how many of them stay in the log that are in the snapshot already, for followers
/// that are a little behind: one in so many.
const KEPT_ONE_IN: u64 = 10;
/// How long the first start may take to make the cluster.
const BOOTSTRAP_WITHIN: Duration = Duration::from_secs(30);
/// How often what has no event of its own is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Returns the settings of Raft in a cluster of that name, with so many entries between two snapshots.
pub(crate) fn settings(cluster: &str, snapshot_entries: u64) -> Result<Arc<Config>, ConfigError> {
    let config = Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS.0,
        election_timeout_max: ELECTION_MS.1,
        enable_pre_vote: Some(true),
        // A leader that starts again does not go on in its old term: it does not know any more up to where that was
        // committed, and a read that it confirms could miss what was acknowledged before. It is elected anew.
        enable_leader_restore: Some(false),
        // Handed to the transport, which has deadlines of its own for each part of a snapshot.
        install_snapshot_timeout: u64::try_from(INSTALL_WITHIN.as_millis()).unwrap_or(u64::MAX),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        max_in_snapshot_log_to_keep: snapshot_entries / KEPT_ONE_IN,
        // A follower is sent a snapshot when it is further behind; more than there are between two.
        replication_lag_threshold: 2 * snapshot_entries,
        purge_batch_size: (snapshot_entries / 100).clamp(1, 1000),
        backoff: "50ms 100ms ...500ms".to_owned(),
        ..Config::default()
    };
    config.validate().map(Arc::new)
}

pub(crate) struct Stored {
    pub(crate) log: LogStore,
    pub(crate) snapshots: Arc<Snapshots>,
}

/// Opens the log and the snapshots of a data directory; reads files for as long as they are.
fn open_stored(directory: &Path, log: &Path, snapshots: &Path, fatal: Fatal) -> Result<Stored, StartError> {
    begun::check(directory, log)?;
    let snapshots = Arc::new(Snapshots::open(snapshots)?);
    // The thread ends by itself when the last user of the log is gone.
    let (log, _thread) = LogStore::open(log, fatal)?;
    begun::note(directory)?;
    Ok(Stored { log, snapshots })
}

/// Boots the node; its tasks and connections live on `runtime`, on which this runs too.
pub(crate) async fn boot(start: Start, runtime: runtime::Handle) -> Result<(Arc<Core>, DataDirectory), StartError> {
    let Start { directory, cell, listen, addresses, components, certificate_valid, snapshot_entries } = start;
    let identity = directory.identity().clone();
    let fatal = Fatal::new();
    let (log, snapshots): (PathBuf, PathBuf) = (directory.below("raft/log")?, directory.below(snapshots::DIRECTORY)?);
    let (path, for_log) = (directory.path().to_owned(), fatal.clone());
    let stored = tokio::task::spawn_blocking(move || open_stored(&path, &log, &snapshots, for_log))
        .await
        .map_err(|e| StartError::Raft(e.to_string()))??;
    let certificates = Arc::new(directory.load_certificates(certificate_valid)?);
    let peers = transport::configure(&identity, &certificates, fatal.clone(), runtime);
    let at = listen.unwrap_or(identity.addresses.cluster);
    let listener = TcpListener::bind(at).await.map_err(|source| StartError::Listen { at, source })?;

    let machine =
        Machine::new(Arc::clone(&cell), Arc::clone(&stored.snapshots), fatal.clone(), directory.known_level());
    let about_state = (machine.marks(), machine.observed());
    let network = NetworkFactory { peers: Arc::clone(&peers), snapshots: Arc::clone(&stored.snapshots) };
    let config = settings(&identity.cluster_name, snapshot_entries)?;
    // In a box: it carries the machine, and with that the state's tables.
    let raft = Box::pin(Raft::new(identity.node.0, config, network, stored.log.clone(), machine))
        .await
        .map_err(|e| StartError::Raft(fatal.reason().unwrap_or_else(|| e.to_string())))?;
    stand_if_alone(&raft, identity.node).await?;
    let core = Arc::new(assemble(&directory, cell, raft, (peers, certificates), stored, fatal, about_state));
    tokio::spawn(transport::listen(Arc::clone(&core), listener));
    tokio::spawn(certificates::keep(Arc::clone(&core)));
    spawn_tasks(&core, UpdateNode { node: identity.node, name: identity.node_name, addresses, components });
    if let Some(seed) = directory.seed()? {
        plant(&core, seed).await?;
        directory.remove_seed()?;
    }
    Ok((core, directory))
}

/// Has the only voter of its cluster stand for election at once: there is nobody whose heartbeat it would wait for.
pub(crate) async fn stand_if_alone(raft: &Raft, node: NodeId) -> Result<(), StartError> {
    let is_alone = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.voter_ids().eq([node.0])
    };
    if is_alone {
        raft.trigger().elect(false).await.map_err(|e| StartError::Raft(e.to_string()))?;
    }
    Ok(())
}

pub(crate) fn assemble(
    directory: &DataDirectory,
    cell: Arc<StateCell>,
    raft: Raft,
    (peers, certificates): (Arc<Peers>, Arc<Certificates>),
    stored: Stored,
    fatal: Fatal,
    (marks, observed): (Arc<Marks>, Arc<Observed>),
) -> Core {
    Core {
        identity: directory.identity().clone(),
        cluster_key: directory.cluster_key().clone(),
        contacts: contacts::read(directory.path()),
        certificates,
        marks,
        observed,
        facts_source: OnceLock::new(),
        cell,
        groups: Groups::gather(raft.clone()),
        raft,
        peers,
        snapshots: stored.snapshots,
        log: stored.log,
        fatal,
        is_draining: AtomicBool::new(false),
        stopping: watch::Sender::new(false),
        changes: tokio::sync::Mutex::new(()),
        waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        waiting_kib: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
        was_ready: AtomicBool::new(false),
        serving: Serving::not_yet(),
        reach: Reach::default(),
        backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
        known_level: directory.known_level(),
        heard: Heard::nobody(),
        last_look: LastLook::default(),
        leader_rounds: Rounds::default(),
        follower_rounds: Rounds::default(),
        questions: Questions::default(),
        reception: OnceLock::new(),
    }
}

/// Starts the node's tasks; they end with its runtime.
pub(crate) fn spawn_tasks(core: &Arc<Core>, about: UpdateNode) {
    tokio::spawn(membership::keep(Arc::clone(core)));
    tokio::spawn(watch_raft(Arc::clone(core)));
    tokio::spawn(watch_log(Arc::clone(core)));
    tokio::spawn(replace_damaged(Arc::clone(core)));
    tokio::spawn(become_ready(Arc::clone(core), about));
}

/// Raises the alarm when Raft stops by itself.
async fn watch_raft(core: Arc<Core>) {
    // These change seldom, and are closed when Raft ends, however it ends. The others change at each of its steps, and
    // whoever waits for them is woken as often.
    let mut until_it_ends = core.raft.server_metrics();
    while until_it_ends.changed().await.is_ok() {}
    if core.is_stopping() {
        return;
    }
    let why = core.metrics().running_state.err().map_or_else(|| "its task has ended".to_owned(), |e| e.to_string());
    core.fatal.raise(format!("Raft has stopped: {why}"));
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

/// Has a snapshot taken in place of one that was found to be damaged.
async fn replace_damaged(core: Arc<Core>) {
    loop {
        core.snapshots.found_damaged.notified().await;
        if core.raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

/// Waits until the node has caught up once, and then tells the others what changed about it since it last ran.
async fn become_ready(core: Arc<Core>, about: UpdateNode) {
    while core.catch_up(ReadBy::Index, LOOK_EVERY).await.is_err() {
        if core.fatal.reason().is_some() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    if core.has_other_key() {
        core.fatal.raise(
            "cluster.key in the data directory is not the cluster's: nothing that is sealed could be opened, and what this \
             node seals no other could open. Copy the file from the data directory of another node",
        );
        return;
    }
    core.was_ready.store(true, Ordering::Relaxed);
    let Some(record) = own_record(&core).await else { return };
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

/// Waits for the node's record: that of a cluster's first node comes with the seed, which may still be on its way; that
/// of another came before it started. `None` where the node ends.
async fn own_record(core: &Core) -> Option<Arc<NodeRecord>> {
    while core.fatal.reason().is_none() && !core.is_stopping() {
        if let Some(record) = core.record(core.node()) {
            return Some(record);
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
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
pub(crate) async fn plant(core: &Core, seed: Vec<u8>) -> Result<(), StartError> {
    let failed = |e: &dyn fmt::Display| StartError::Raft(format!("the cluster cannot be made: {e}"));
    if !core.raft.is_initialized().await.map_err(|e| failed(&e))? {
        let node = BasicNode { addr: core.identity.addresses.cluster.to_string() };
        let members = BTreeMap::from([(core.node().0, node)]);
        core.raft.initialize(members).await.map_err(|e| failed(&e))?;
    }
    match propose_payload(core, Bootstrap::NUMBER, seed).await.map_err(StartError::Bootstrap)? {
        Ok(_) | Err(Refused::AlreadyExists { .. }) => {}
        Err(refused) => return Err(StartError::Refused(refused)),
    }
    if core.members().len() > 1 {
        return Ok(());
    }
    // No other node is there that could not know the level.
    let raised = propose(core, &RaiseFeatureLevel { level: core.known_level }).await.map_err(StartError::Bootstrap)?;
    raised.map_err(StartError::Refused)?;
    if core.known_level < level::of_command(SeedPolicies::NUMBER) {
        return Ok(());
    }
    let seeded = propose(core, &default_policies::second_set()).await.map_err(StartError::Bootstrap)?;
    seeded.map(drop).map_err(StartError::Refused)
}
