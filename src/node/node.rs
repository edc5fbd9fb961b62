//! A running node: starts its parts in the order in which they need each other, tells when it is ready or must end,
//! and stops them in the order in which callers notice least.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_actor::observe_all;
use portcullis_database::{Handle, Proposer, StateCell};
use portcullis_gateway::Gateway;
use portcullis_http::server::{Limits, serve};
use portcullis_http::tls;
use portcullis_model::cluster::ClusterControl;
use portcullis_model::{NodeAddresses, NodeId};
use portcullis_raft::{DataDirectory, RaftNode, Start};
use portcullis_traffic_manager::TrafficManagerFaces;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::boot_fault::BootFault;
use crate::config::Config;
use crate::health::{LEADER, Probe, Readiness};
use crate::management::{self, Faces};
use crate::metrics::{Metrics, RaftFigures, Sources};
use crate::pages::Pages;
use crate::ports::Ports;
use crate::proposer::NodeProposer;
use crate::{components, observability};

/// How long a stopping node tries to give back what it holds of the quotas.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two looks at the readiness of a node that starts.
const READY_PAUSE: Duration = Duration::from_millis(5);
/// How long a node that starts waits for a majority before its gateway serves what it has.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// A node that runs in this process.
pub struct Node {
    id: NodeId,
    addresses: NodeAddresses,
    drain: Duration,
    readiness: Arc<Readiness>,
    raft: Arc<RaftNode>,
    gateway: Arc<Gateway>,
    traffic_manager: portcullis_traffic_manager::Running,
    management: Served,
    observability: Served,
}

/// A server and the way to stop it.
struct Served {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    fn start(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        router: axum::Router,
        drain: Duration,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { drain_timeout: drain, ..Limits::default() };
        let task = tokio::spawn(serve(listener, tls, router, stopped, limits));
        Self { stop, task }
    }

    /// Lets requests that are under way finish, then ends.
    async fn drain(self, name: &str) {
        self.stop.send_replace(true);
        if let Err(failed) = self.task.await {
            tracing::error!(server = name, %failed, "a server ended badly");
        }
    }
}

impl Node {
    /// Starts the node of a data directory. It is not ready yet when this returns: see [`Node::ready`].
    ///
    /// # Errors
    /// Where the directory cannot be used, a port is in use, or a part does not start. Nothing is left running then.
    pub async fn start(data_dir: &Path, config: Config) -> Result<Self, BootFault> {
        config.check()?;
        let directory = DataDirectory::open(data_dir)?;
        let ports = Ports::bind(&config)?;
        let id = directory.identity().node;
        let cluster_key = directory.cluster_key().clone();
        let chain = format!("{}\n{}", directory.certificate().trim_end(), directory.ca_certificate());
        let tls = tls::server_config(&chain, directory.key())?;
        let cell = StateCell::new();
        let proposer = NodeProposer::new(Duration::from_millis(config.cluster.fence_wait_ms));
        let mint: Arc<dyn Proposer> = Arc::<NodeProposer>::clone(&proposer);

        // What follows the state is wired before the first entry is applied, so that it misses none.
        let key_manager = portcullis_key_manager::start(
            Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
            cluster_key.clone(),
            components::key_manager_settings(&config),
        );
        let settings = portcullis_traffic_manager::Settings { node: id, data_dir: data_dir.to_owned() };
        let TrafficManagerFaces { quotas, hook, running: traffic_manager } =
            portcullis_traffic_manager::start(&settings, Handle::new(Arc::clone(&cell), Arc::clone(&mint)))?;
        let gateway = portcullis_gateway::start(
            components::gateway_settings(&config, &tls),
            Arc::clone(&key_manager.keys),
            quotas,
            Arc::clone(&key_manager.oauth),
        )?;
        let gateway = Arc::new(gateway);
        // Allowances first: a route that is new must find its quota.
        cell.set_hooks(vec![hook, gateway.hook()]);

        let start = Start {
            directory,
            cell: Arc::clone(&cell),
            listen: Some(config.bound(config.cluster.port)),
            addresses: config.addresses(),
            components: Vec::new(),
        };
        let raft = RaftNode::start(start).await?;
        proposer.connect(Arc::<RaftNode>::clone(&raft));

        tokio::spawn(open_when_caught_up(Arc::clone(&raft), Arc::clone(&gateway)));

        let control: Arc<dyn ClusterControl> = Arc::<RaftNode>::clone(&raft);
        let admin = portcullis_admin::start(
            Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
            Arc::clone(&control),
            portcullis_key_manager::hash_password,
        );
        let pages = Pages {
            publisher: Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
            store: Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
            admin: Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
            cluster: control,
            addresses: components::page_addresses(&config),
        };
        let faces = Faces {
            publisher: portcullis_publisher::start(Handle::new(Arc::clone(&cell), Arc::clone(&mint)), cluster_key),
            store: portcullis_store::start(
                Handle::new(Arc::clone(&cell), Arc::clone(&mint)),
                Arc::clone(&key_manager.issuer),
                components::store_settings(&config),
            ),
            admin_v4: admin.admin_v4,
            portcullis_v1: admin.portcullis_v1,
            key_manager: key_manager.router,
            portal: portcullis_portal::routes(Arc::new(pages), Arc::clone(&key_manager.authentication)),
        };
        let router = management::router(faces, key_manager.authentication, Arc::clone(&cell), Arc::clone(&mint));
        let drain = Duration::from_millis(config.node.drain_ms);
        let management = Served::start(ports.management, Some(tls), router, drain);

        let readiness = Readiness::new(probes(&raft, &cell));
        let metrics = Metrics::new(sources(id, &raft, &gateway));
        let pages = observability::routes(id, Arc::clone(&readiness), metrics);
        let observability = Served::start(ports.observability, None, pages, Duration::from_secs(1));
        Ok(Self {
            id,
            addresses: config.addresses(),
            drain,
            readiness,
            raft,
            gateway,
            traffic_manager,
            management,
            observability,
        })
    }

    /// Returns the node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns where others reach the node.
    #[must_use]
    pub fn addresses(&self) -> &NodeAddresses {
        &self.addresses
    }

    /// Waits until the node is ready for traffic.
    pub async fn ready(&self) {
        while !self.readiness.is_ready() {
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Waits until the node can no longer do its work, and says why.
    pub async fn failed(&self) -> String {
        let mut fatal = self.raft.fatal();
        match fatal.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(reason) => reason.unwrap_or_default(),
            Err(_) => "Raft is gone".to_owned(),
        }
    }

    /// Stops the node: tells balancers, lets calls under way finish, hands leadership over, and closes the databases.
    /// Takes little more than the configured drain time.
    pub async fn stop(self) {
        self.readiness.begin_stop();
        let cut_off = self.gateway.drain(self.drain).await;
        if cut_off > 0 {
            tracing::warn!(calls = cut_off, "API calls were cut off: they took longer than node.drain_ms");
        }
        self.management.drain("management").await;
        // While Raft still runs, so that what was granted to this node and not spent goes back to the others.
        match self.traffic_manager.stop(GIVE_BACK_WITHIN).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("what this node held of the quotas could not be given back; it lapses"),
            Err(fault) => tracing::warn!(%fault, "the traffic manager did not stop in order"),
        }
        self.raft.shutdown().await;
        self.observability.drain("observability").await;
        tracing::info!(node = %self.id, "node stopped");
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.id)
    }
}

/// Opens the gateway once the node has everything that was acknowledged before it started: until then it could accept
/// a token that was revoked while it was away, or know nothing of an API. Where nobody can tell within
/// [`STALE_AFTER`], it serves what it has.
async fn open_when_caught_up(raft: Arc<RaftNode>, gateway: Arc<Gateway>) {
    let caught_up = async {
        while !raft.is_ready() {
            tokio::time::sleep(READY_PAUSE).await;
        }
    };
    if tokio::time::timeout(STALE_AFTER, caught_up).await.is_err() {
        tracing::warn!("no majority answers: the gateway serves this node's last state, which may be out of date");
    }
    gateway.open();
}

fn probes(raft: &Arc<RaftNode>, cell: &Arc<StateCell>) -> Vec<Probe> {
    let of_leader = Arc::clone(raft);
    let leader = move || match of_leader.metrics().leader {
        Some(leader) => Ok(format!("node {leader}")),
        None => Err("no leader is known; is a majority of the nodes running?".to_owned()),
    };
    let has_caught_up = AtomicBool::new(false);
    let raft = Arc::clone(raft);
    let caught_up = move || {
        // Once it has, it has: that a leader is lost later is the other probe's to say.
        if raft.is_ready() {
            has_caught_up.store(true, Ordering::Relaxed);
        }
        let applied = raft.metrics().applied_index;
        if has_caught_up.load(Ordering::Relaxed) {
            return Ok(format!("applied {applied}"));
        }
        Err(format!("applied {applied}, and no majority has confirmed yet that this is all"))
    };
    let cell = Arc::clone(cell);
    // The gateway's routes follow before an index counts as applied.
    let routes = move || match cell.applied() {
        0 => Err("nothing is applied yet".to_owned()),
        index => Ok(format!("{} APIs as of index {index}", cell.load().deployed.apis.len())),
    };
    vec![
        Probe { name: LEADER, look: Box::new(leader) },
        Probe { name: "caught_up", look: Box::new(caught_up) },
        Probe { name: "routes", look: Box::new(routes) },
    ]
}

fn sources(id: NodeId, raft: &Arc<RaftNode>, gateway: &Arc<Gateway>) -> Sources {
    let (raft, gateway) = (Arc::clone(raft), Arc::clone(gateway));
    let figures = move || {
        let raft = raft.metrics();
        RaftFigures {
            term: raft.term,
            last_log_index: raft.last_log_index.unwrap_or_default(),
            applied_index: raft.applied_index,
            is_leader: raft.is_leader,
            has_leader: raft.leader.is_some(),
        }
    };
    Sources { node: id.0, raft: Box::new(figures), gateway: Box::new(move || gateway.metrics()), actors: observe_all }
}
