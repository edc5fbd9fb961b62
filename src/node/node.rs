//! A running node: starts its parts in the order in which they need each other, tells when it is ready or must end,
//! and stops them in the order in which callers notice least.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use portcullis_admin::ClusterPorts;
use portcullis_database::{Handle, Proposer, StateCell};
use portcullis_gateway::Gateway;
use portcullis_http::tls::{self, ServerCertificate};
use portcullis_key_manager::thrift::Door;
use portcullis_model::cluster::Standing;
use portcullis_model::{Components, NodeAddresses, NodeId};
use portcullis_raft::{DataDirectory, RaftNode, Start};
use tokio::sync::watch;

use crate::access_log::AccessLogFile;
use crate::boot_fault::BootFault;
use crate::component_nodes::ComponentNodes;
use crate::components;
use crate::config::Config;
use crate::facts::OwnFacts;
use crate::freshness::FreshnessKeeper;
use crate::health::Readiness;
use crate::metrics::Metrics;
use crate::node_face::{Doorkeeper, answer_nodes};
use crate::opening::open_when_caught_up;
use crate::ports::Ports;
use crate::probes::{Insides, probes, sources};
use crate::proposer::NodeProposer;
use crate::reload::{Reloaded, Reloader};
use crate::report::Reporter;
use crate::served::Served;
use crate::telemetry::Telemetry;
use crate::thrift::{ThriftReach, ThriftServed};
use crate::wiring::{Followers, Wiring};
use crate::{observability, reload, report, server_certificate, standing};

/// How long a stopping node tries to bring what it gathered about calls to the log.
const TELL_WITHIN: Duration = Duration::from_secs(2);
/// How long a stopping node tries to give back what it holds of the quotas.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);
/// How long those who read health and metrics may take in the end.
const OBSERVABILITY_DRAIN: Duration = Duration::from_secs(1);
/// The pause between two looks at the readiness of a node that starts.
const READY_PAUSE: Duration = Duration::from_millis(5);

/// A node that runs in this process.
pub struct Node {
    id: NodeId,
    addresses: NodeAddresses,
    reloader: Arc<Reloader>,
    readiness: Arc<Readiness>,
    raft: Arc<RaftNode>,
    components: Components,
    gateway: Option<Arc<Gateway>>,
    analytics: Option<Arc<portcullis_analytics::Running>>,
    telemetry: Option<Telemetry>,
    access_log: Option<Arc<AccessLogFile>>,
    allowances: Option<Arc<portcullis_traffic_manager::Running>>,
    telling: Option<Arc<portcullis_traffic_manager::Telling>>,
    /// Has other nodes told to ask another one.
    declines: watch::Sender<bool>,
    /// Ends the connections of other nodes' components.
    ends: watch::Sender<bool>,
    management: Option<Served>,
    thrift: Option<ThriftServed>,
    observability: Served,
}

impl Node {
    /// Starts the node of a data directory, with a configuration that was read from there below `flags`, as it will be read
    /// again. It is not ready yet when this returns: see [`Node::ready`].
    ///
    /// # Errors
    /// Where the directory cannot be used, a port is in use, or a part does not start. Nothing is left running then.
    pub async fn start(data_dir: &Path, config: Config, flags: &[(String, String)]) -> Result<Self, BootFault> {
        let started = Instant::now();
        config.check()?;
        let directory = DataDirectory::open(data_dir)?;
        let alerts = components::alert_settings(&config)?;
        let ports = Ports::bind(&config)?;
        let id = directory.identity().node;
        let held = directory.certificates();
        let shown = ServerCertificate::new(&held.chain(), &held.key)?;
        let tls = tls::server_config_of(Arc::clone(&shown))?;
        let cell = StateCell::new();
        let proposer = NodeProposer::new(config.cluster.fence_wait_ms);
        let mint = Arc::<NodeProposer>::clone(&proposer) as Arc<dyn Proposer>;
        let keeper = FreshnessKeeper::new(data_dir, &config, Handle::new(Arc::clone(&cell), Arc::clone(&mint)), id);
        let freshness = keeper.freshness();
        let access_log = components::access_log(&config)?;
        let mut telemetry = components::telemetry_settings(&config, id)?.map(Telemetry::start);
        let wiring = Wiring {
            node: id,
            data_dir,
            config: &config,
            cluster_key: directory.cluster_key().clone(),
            tls: Arc::clone(&tls),
            cell: Arc::clone(&cell),
            mint,
            freshness: Arc::clone(&freshness),
            tracing: telemetry.as_ref().and_then(Telemetry::tracing),
            access_log: access_log.clone().map(|file| components::access_log_settings(&config, file)),
            others: ComponentNodes::new(id, Arc::clone(&cell)),
            by_thrift: ThriftReach::new(id, Arc::clone(&cell), config.key_manager.thrift_port),
        };
        // What follows the state is wired before the first entry is applied, so that it misses none.
        let followers = wiring.start_followers()?;
        let billing = components::billing_engine(&config)?;
        let outside = components::outside_services(&config)?;
        let Followers { keys, gateway, analytics, allowances, for_nodes, throttling_face, telling, thrift } = followers;

        let start = Start {
            directory,
            cell: Arc::clone(&cell),
            listen: Some(config.bound(config.cluster.port)),
            addresses: config.addresses(),
            components: config.node.components.to_record(),
            certificate_valid: config.certificate_valid(),
            snapshot_entries: config.cluster.snapshot_entries,
        };
        let raft = RaftNode::start(start).await?;
        proposer.connect(Arc::<RaftNode>::clone(&raft));
        tokio::spawn(keeper.keep());
        wiring.others.connect(Arc::clone(&raft));
        wiring.by_thrift.connect(raft.certificates());
        let led = Arc::clone(&raft);
        let reloader = Arc::new(Reloader {
            node: id,
            data_dir: data_dir.to_owned(),
            flags: flags.to_vec(),
            in_use: Mutex::new(config.clone()),
            proposer,
            gateway: gateway.clone(),
            access_log: access_log.clone(),
            alerts: wiring.alert_watch(Arc::new(move || led.metrics().is_leader)),
        });
        reloader.alerts.set(alerts);
        let reporter = Arc::new(Reporter {
            node: id,
            data_dir: data_dir.to_owned(),
            reloader: Arc::clone(&reloader),
            raft: Arc::clone(&raft),
            observed: OnceLock::new(),
        });
        let (declines, declining) = watch::channel(false);
        let (ends, ending) = watch::channel(false);
        let door = Doorkeeper { cell: Arc::clone(&cell), declines: declining };
        answer_nodes(&raft, for_nodes, door.clone(), ending);
        let thrift = ports.thrift.zip(thrift).map(|(ports, service)| {
            let door: Arc<dyn Door> = Arc::new(door);
            ThriftServed::start(ports, &tls, &service, &door)
        });
        tokio::spawn(open_when_caught_up(Arc::clone(&raft), gateway.clone()));

        tokio::spawn(server_certificate::follow(raft.certificates(), shown));
        let management = ports.management.map(|listener| {
            let control = ClusterPorts {
                cluster: Arc::<RaftNode>::clone(&raft),
                certificates: Arc::<RaftNode>::clone(&raft),
                safekeeping: Arc::<RaftNode>::clone(&raft),
                examination: Arc::<RaftNode>::clone(&raft),
            };
            let own_faces = reload::routes(Arc::clone(&reloader)).merge(report::routes(Arc::clone(&reporter)));
            let routes =
                wiring.start_management(keys, throttling_face, gateway.clone(), control, own_faces, (billing, outside));
            Served::start(listener, Some(tls), routes)
        });

        let of_gateway = gateway.is_some().then(|| Arc::clone(&freshness));
        let readiness = Readiness::new(probes(id, &raft, &cell, of_gateway, allowances.as_ref()));
        raft.set_facts_source(Arc::new(OwnFacts {
            data_dir: data_dir.to_owned(),
            components: config.node.components.iter().map(|component| component.name().to_owned()).collect(),
            started,
            readiness: Arc::clone(&readiness),
        }));
        let counters = management.as_ref().map(Served::counters).unwrap_or_default();
        let insides = Insides { cell, counters, data_dir };
        let of_quotas = (allowances.as_ref(), telling.as_ref());
        let of_calls = (analytics.as_ref(), telemetry.as_ref(), access_log.as_ref());
        let metrics = Metrics::new(sources(id, &raft, gateway.as_ref(), of_quotas, of_calls, insides));
        if let Some(telemetry) = &mut telemetry {
            telemetry.send_metrics(&metrics);
        }
        // Set once, here.
        let _ = reporter.observed.set((Arc::clone(&readiness), Arc::clone(&metrics)));
        let pages =
            observability::routes(id, Arc::clone(&readiness), metrics).merge(standing::routes(Arc::clone(&raft)));
        let observability = Served::start(ports.observability, None, pages);
        Ok(Self {
            id,
            addresses: config.addresses(),
            reloader,
            readiness,
            raft,
            components: config.node.components.clone(),
            gateway,
            analytics,
            telemetry,
            access_log,
            allowances,
            telling,
            declines,
            ends,
            management,
            thrift,
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

    /// Returns the components that the node serves.
    #[must_use]
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Says whether the node serves anything on the management port.
    #[must_use]
    pub fn has_management(&self) -> bool {
        self.management.is_some()
    }

    /// Reads the configuration again and takes over what can be.
    ///
    /// # Errors
    /// Where it is not acceptable, or names a file that cannot be used. Nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, BootFault> {
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || reloader.reload()).await {
            Ok(outcome) => outcome,
            // Only a panic, which was told where it happened, or the end of the process.
            Err(_) => Ok(Reloaded { node: self.id, ..Reloaded::default() }),
        }
    }

    /// Waits until the node is ready for traffic.
    pub async fn ready(&self) {
        while !self.readiness.is_ready() {
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Says how the node stands in the cluster, and how much it has left to apply.
    pub async fn standing(&self) -> Standing {
        self.raft.standing().await
    }

    /// Waits until the node can no longer do its work, and says why.
    pub async fn failed(&self) -> String {
        let mut fatal = self.raft.fatal();
        match fatal.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(reason) => reason.unwrap_or_default(),
            Err(_) => "Raft is gone".to_owned(),
        }
    }

    /// Stops the node: tells balancers and goes on for a moment so that they hear of it, lets calls under way finish,
    /// hands leadership over, and closes the databases. Takes little more than the configured times for both.
    pub async fn stop(self) {
        let (unready, drain) = self.reloader.stop_times();
        self.readiness.begin_stop();
        self.declines.send_replace(true);
        tokio::time::sleep(unready).await;
        if let Some(gateway) = &self.gateway {
            let cut_off = gateway.drain(drain).await;
            if cut_off > 0 {
                tracing::warn!(calls = cut_off, "API calls were cut off: they took longer than node.drain_ms");
            }
        }
        self.reloader.alerts.set(None);
        if let Some(telling) = &self.telling {
            telling.end();
        }
        if let Some(management) = self.management {
            management.drain("management", drain).await;
        }
        if let Some(thrift) = self.thrift {
            thrift.drain(drain).await;
        }
        if let Some(analytics) = &self.analytics {
            match analytics.stop(TELL_WITHIN).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("the cluster did not take all that was gathered about the last calls"),
                Err(fault) => tracing::warn!(%fault, "analytics did not stop in order"),
            }
        }
        if let Some(access_log) = &self.access_log
            && !access_log.end(TELL_WITHIN).await
        {
            tracing::warn!("the access log was not written to its end in time");
        }
        if let Some(telemetry) = &self.telemetry
            && !telemetry.drain(TELL_WITHIN).await
        {
            tracing::warn!("the collector did not take the spans of the last calls");
        }
        // While Raft still runs, so that what was granted to this node and not spent goes back to the others.
        if let Some(allowances) = &self.allowances {
            match allowances.stop(GIVE_BACK_WITHIN).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("what this node held of the quotas could not be given back; it lapses"),
                Err(fault) => tracing::warn!(%fault, "the traffic manager did not stop in order"),
            }
        }
        self.ends.send_replace(true);
        self.raft.shutdown().await;
        self.observability.drain("observability", OBSERVABILITY_DRAIN).await;
        tracing::info!(node = %self.id, "node stopped");
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.id)
    }
}
