//! A simulated node: the parts of a real one, on the simulated network, disk and clock, with clients that use it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use portcullis_database::command::{AdmitNode, CreateJoinToken, PutPolicy, UpdateNode};
use portcullis_database::{Idempotency, ProposeError, State, StateCell, codec};
use portcullis_model::policy::PolicyLevel;
use portcullis_model::{JoinSecret, MembershipChange, NodeAddresses, NodeId, NodeRole, Refused};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::history::{Fate, History};
use super::runtime::chance;
use crate::boot::{Stored, assemble, plant, settings, spawn_tasks, stand_if_alone};
use crate::core::Core;
use crate::fatal::Fatal;
use crate::identity::DataDirectory;
use crate::log::{Disk, LogStore};
use crate::reads::ReadBy;
use crate::snapshots::{self, Snapshots};
use crate::state_machine::Machine;
use crate::tasks::entry;
use crate::tests::{VALID, policy};
use crate::transport::{self, LeaderTask, NetworkFactory, removed};
use crate::types::Raft;

/// The port of every simulated node.
pub(super) const PORT: u16 = 7443;
const CLIENTS: usize = 2;
/// A client does something so often, in milliseconds: at least, and by how much more at most.
const EVERY_MS: (u64, u64) = (30, 150);
const PATIENCE: Duration = Duration::from_secs(4);
/// How long an operator waits for what was wished.
const WISH_WITHIN: Duration = Duration::from_secs(12);
/// How often a node tells whom it follows.
const FOLLOWED_EVERY: Duration = Duration::from_millis(20);
/// Entries between two snapshots, so few that there are some in every schedule.
const SNAPSHOT_ENTRIES: u64 = 60;

/// What an operator wants of a node.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Snapshot,
    HandOver,
    SetRole(NodeId, NodeRole),
    Remove(NodeId),
    /// Ends Raft, and asks the node to read and to write all the same.
    AskAfterTheEnd,
    /// Admits a node that is to live in that place.
    Admit(usize, NodeAddresses),
}

/// Where a node lives, also while it is down.
pub(super) struct Place {
    pub(super) home: PathBuf,
    pub(super) disk: Arc<Disk>,
    core: Mutex<Weak<Core>>,
    wishes: Mutex<Option<mpsc::UnboundedSender<Wish>>>,
    /// Whom it followed when it told last.
    follows: Mutex<Option<NodeId>>,
    /// It was removed, knows it, and has ended.
    pub(super) has_left: AtomicBool,
}

impl Place {
    pub(super) fn new(home: PathBuf) -> Self {
        Self {
            home,
            disk: Arc::default(),
            core: Mutex::default(),
            wishes: Mutex::default(),
            follows: Mutex::default(),
            has_left: false.into(),
        }
    }

    /// Returns whom the node follows, itself where it leads.
    pub(super) fn follows(&self) -> Option<NodeId> {
        *self.follows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the node, if it runs.
    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Has the node do what an operator wants, if it runs.
    pub(super) fn wish(&self, wish: Wish) {
        if let Some(wishes) = self.wishes.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A node that is down hears of nothing.
            drop(wishes.send(wish));
        }
    }
}

/// What the nodes of a schedule and the world around them share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) history: History,
    /// Nodes that were admitted: the place, and the id they were given.
    pub(super) admitted: Mutex<Vec<(usize, NodeId)>>,
    /// Clients do nothing more.
    pub(super) is_over: AtomicBool,
}

/// Runs a node until it has to stop.
pub(super) async fn live(shared: Arc<Shared>, place: Arc<Place>) -> turmoil::Result {
    let (core, _directory) = Box::pin(boot(&place)).await?;
    let (wishes, wished) = mpsc::unbounded_channel();
    *place.core.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&core);
    *place.wishes.lock().unwrap_or_else(PoisonError::into_inner) = Some(wishes);
    for _ in 0..CLIENTS {
        tokio::spawn(client(Arc::clone(&core), Arc::clone(&shared)));
    }
    tokio::spawn(operate(Arc::clone(&core), Arc::clone(&shared), wished));
    tokio::spawn(tell_followed(Arc::clone(&core), Arc::clone(&place)));
    let mut fatal = core.fatal.subscribe();
    let why = fatal.wait_for(Option::is_some).await?.clone().unwrap_or_default();
    if why == removed(core.node()) {
        shared.history.note(format!("{} has left", core.node()));
        place.has_left.store(true, Ordering::Relaxed);
    } else {
        shared.history.broke(format!("node {} stopped: {why}", core.node()));
    }
    // The world ends the process.
    std::future::pending().await
}

/// Tells again and again whom the node follows: only in here is the time that of the simulation, and how lately somebody was heard
/// would else depend on how fast the machine simulates it.
async fn tell_followed(core: Arc<Core>, place: Arc<Place>) {
    loop {
        *place.follows.lock().unwrap_or_else(PoisonError::into_inner) = core.steady_leader();
        sleep(FOLLOWED_EVERY).await;
    }
}

async fn boot(place: &Place) -> turmoil::Result<(Arc<Core>, DataDirectory)> {
    let directory = DataDirectory::open(&place.home)?;
    let identity = directory.identity().clone();
    let fatal = Fatal::new();
    let log = LogStore::open_simulated(&directory.below("raft/log")?, fatal.clone(), Arc::clone(&place.disk))?;
    let stored = Stored { log, snapshots: Arc::new(Snapshots::open(&directory.below(snapshots::DIRECTORY)?)?) };
    let certificates = Arc::new(directory.load_certificates(VALID)?);
    let peers = transport::configure(&identity, &certificates, fatal.clone(), Handle::current());
    let listener = turmoil::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await?;
    let cell = StateCell::new();
    let machine =
        Machine::new(Arc::clone(&cell), Arc::clone(&stored.snapshots), fatal.clone(), directory.known_level());
    let about_state = (machine.marks(), machine.observed());
    let network = NetworkFactory { peers: Arc::clone(&peers), snapshots: Arc::clone(&stored.snapshots) };
    let config = settings(&identity.cluster_name, SNAPSHOT_ENTRIES)?;
    let raft = Box::pin(Raft::new(identity.node.0, config, network, stored.log.clone(), machine)).await?;
    stand_if_alone(&raft, identity.node).await?;
    let core = Arc::new(assemble(&directory, cell, raft, (peers, certificates), stored, fatal, about_state));
    tokio::spawn(transport::listen_simulated(Arc::clone(&core), listener));
    let (name, addresses) = (identity.node_name, identity.addresses);
    spawn_tasks(&core, UpdateNode { node: identity.node, name, addresses, components: Vec::new() });
    if let Some(seed) = directory.seed()? {
        plant(&core, seed).await?;
        directory.remove_seed()?;
    }
    let serving = Arc::clone(&core);
    tokio::spawn(async move {
        while !serving.was_ready.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20)).await;
        }
        serving.serving.begin(&serving.cell).await;
    });
    Ok((core, directory))
}

async fn client(core: Arc<Core>, shared: Arc<Shared>) {
    loop {
        sleep(Duration::from_millis(EVERY_MS.0 + chance() % EVERY_MS.1)).await;
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        match chance() % 5 {
            _ if !core.was_ready.load(Ordering::Relaxed) => {}
            0 => read(&core, &shared.history, ReadBy::Index).await,
            1 => read(&core, &shared.history, ReadBy::Lease).await,
            _ => write(&core, &shared.history).await,
        }
    }
}

async fn write(core: &Core, history: &History) {
    let number = history.begin_write();
    let name = name(number);
    let Ok(mut entry) = entry(&PutPolicy { policy: policy(&name), is_new: true }) else { return };
    if chance().is_multiple_of(2) {
        entry.idempotency = Some(Idempotency { key: name, request: [0; 32] });
    }
    let fate = match core.propose(entry, PATIENCE).await.map(|outcome| outcome.result) {
        Ok(Ok(_)) => Fate::There,
        Ok(Err(Refused::AlreadyExists { .. })) => {
            history.broke(format!("write {number} was applied before it was applied"));
            Fate::There
        }
        Ok(Err(_)) => Fate::Never,
        Err(ProposeError::Unknown | ProposeError::TimedOut(_)) => Fate::Unknown,
        Err(_) => Fate::Never,
    };
    history.end_write(number, fate, core.node());
}

async fn read(core: &Core, history: &History, by: ReadBy) {
    let must = history.there();
    if core.catch_up(by, PATIENCE).await.is_ok() {
        history.end_read(&must, &writes_in(&core.cell.load()), core.node());
    }
}

fn name(number: u64) -> String {
    format!("write-{number}")
}

/// Returns the writes that a state holds.
pub(super) fn writes_in(state: &State) -> BTreeSet<u64> {
    let names = state.apimgt.policies.iter().map(|((_, level, name), _)| (level, name));
    names
        .filter(|(level, _)| **level == PolicyLevel::Subscription)
        .filter_map(|(_, name)| name.strip_prefix("write-")?.parse().ok())
        .collect()
}

/// Does what operators want, one thing at a time.
async fn operate(core: Arc<Core>, shared: Arc<Shared>, mut wished: mpsc::UnboundedReceiver<Wish>) {
    while let Some(wish) = wished.recv().await {
        let text = format!("{} was to {wish:?}", core.node());
        let done = timeout(WISH_WITHIN, fulfil(&core, &shared, wish)).await;
        shared.history.note(format!("{text}: {}", matches!(done, Ok(true))));
    }
}

async fn fulfil(core: &Arc<Core>, shared: &Shared, wish: Wish) -> bool {
    match wish {
        Wish::Snapshot => core.raft.trigger().snapshot().await.is_ok(),
        Wish::HandOver => core.transfer(None).await.is_ok(),
        Wish::SetRole(node, role) => change(core, MembershipChange::SetRole { node, role }).await,
        Wish::Remove(node) => change(core, MembershipChange::Remove { node }).await,
        Wish::AskAfterTheEnd => {
            core.stopping.send_replace(true);
            let is_over = core.raft.shutdown().await.is_ok();
            let Ok(entry) = entry(&PutPolicy { policy: policy("late"), is_new: true }) else { return false };
            let written = core.propose(entry, PATIENCE).await;
            is_over && core.catch_up(ReadBy::Index, PATIENCE).await.is_err() && written.is_err()
        }
        Wish::Admit(place, addresses) => match admit(core, place, addresses).await {
            Some(node) => {
                shared.admitted.lock().unwrap_or_else(PoisonError::into_inner).push((place, node));
                true
            }
            None => false,
        },
    }
}

async fn change(core: &Core, change: MembershipChange) -> bool {
    core.have_leader_do(LeaderTask::Change { change, force: false }).await.is_ok()
}

async fn admit(core: &Core, place: usize, addresses: NodeAddresses) -> Option<NodeId> {
    let secret = JoinSecret::from_hex(&format!("{place:064x}"))?;
    let token = CreateJoinToken { digest: secret.digest(), lives_ms: 3_600_000, uses: 1 };
    core.propose(entry(&token).ok()?, PATIENCE).await.ok()?.result.ok()?;
    let admitted = AdmitNode {
        token: secret.digest(),
        name: format!("h{place}"),
        addresses,
        components: Vec::new(),
        is_voter: true,
    };
    let outcome = core.propose(entry(&admitted).ok()?, PATIENCE).await.ok()?;
    codec::decode(&outcome.result.ok()?).ok()
}
