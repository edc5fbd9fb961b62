//! Starts and stops the workers, and is what the node holds of them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::cell::Hook;
use portcullis_model::ApiId;
use portcullis_model::port::{KeyValidation, OauthFace, Quotas, Webhooks};
use rustls::server::ResolvesServerCert;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use crate::alarm;
use crate::client_tls;
use crate::cors::CompiledCors;
use crate::host_certificates::HostCertificates;
use crate::listener::{self, BindError};
use crate::metrics::{Counters, Metrics};
use crate::onlookers::{Onlooker, Onlookers};
use crate::route::api::Usual;
use crate::route::compile::{Compiler, Projection};
use crate::settings::Settings;
use crate::told_apart::ToldApart;
use crate::tuning::{SharedTuning, Tuning};
use crate::upstream::authorities::Authorities;
use crate::upstream::link::Trust;
use crate::worker::{Phase, Ports, Worker, WorkerSeed};

/// How long workers may take to end once all connections are closed.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use, or not this machine's.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The settings say zero workers.
    #[error("a gateway needs at least one worker")]
    NoWorker,
    /// The system gives no thread.
    #[error("no thread for a worker: {0}")]
    Thread(#[source] io::Error),
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The certificates of virtual hosts cannot be read.
    #[error("certificates of virtual hosts in {}: {cause}", directory.display())]
    Certificates {
        /// Where they are said to be.
        directory: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
}

/// A running gateway. Dropping it closes everything at once; [`Gateway::drain`] comes before.
pub struct Gateway {
    compiler: Arc<Compiler>,
    tuning: Arc<SharedTuning>,
    counters: Vec<Arc<Counters>>,
    told_apart: Arc<ToldApart>,
    onlookers: Arc<Onlookers>,
    webhooks: Option<Arc<dyn Webhooks>>,
    phase: watch::Sender<Phase>,
    running: watch::Receiver<usize>,
    http_address: Option<SocketAddr>,
    https_address: Option<SocketAddr>,
}

/// Starts a gateway: binds the addresses and starts the workers. It serves nothing until its hook has run.
///
/// # Errors
/// Where an address cannot be bound or a worker cannot start.
pub fn start(
    settings: Settings,
    keys: Arc<dyn KeyValidation>,
    quotas: Arc<dyn Quotas>,
    oauth: Arc<dyn OauthFace>,
) -> Result<Gateway, StartError> {
    let count = settings.workers;
    if count == 0 {
        return Err(StartError::NoWorker);
    }
    let ports = Ports { keys, quotas, oauth };
    let authorities = Arc::new(Authorities::of_the_system(settings.backend_identity.clone()));
    let upstream_tls = match &settings.upstream_tls {
        Some(given) => Some(Arc::clone(given)),
        None => authorities.usual().map_err(StartError::Tls)?,
    };
    let upstream_tls = upstream_tls.map(|tls| Arc::new(Trust::new(tls)));
    let projection = Arc::new(Projection::default());
    if settings.asks_for_certificates {
        projection.always_want_certificates();
    }
    let mut listeners = Listeners::bind(&settings, &projection)?;
    let cors = CompiledCors::new(&settings.cors);
    let usual = Usual {
        cors,
        certificate_header: settings.client_certificate_header.clone(),
        assertion_header: settings.assertion_header.clone(),
        cluster_key: settings.cluster_key.clone(),
    };
    let compiler = Arc::new(Compiler::new(settings.environments.clone(), usual, authorities, Arc::clone(&projection)));
    let begins = if settings.waits_to_be_opened { Phase::Waiting } else { Phase::Serving };
    let (phase, phase_seen) = watch::channel(begins);
    let (running, running_seen) = watch::channel(count);
    let running = Arc::new(running);
    let tuning = Arc::new(SharedTuning::new(Tuning::from(&settings)));
    let webhooks = settings.webhooks.clone();
    let settings = Arc::new(settings);
    let proofs = Arc::new(portcullis_jose::SeenOnce::new());
    let onlookers: Arc<Onlookers> = Arc::default();
    let changes = Arc::default();
    let told_apart = Arc::new(ToldApart::new(settings.metrics_apis_max));
    let ticks = alarm::ticks().map_err(StartError::Thread)?;
    let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
    for (number, counted) in counters.iter().enumerate() {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(StartError::Random)?;
        let seed = WorkerSeed {
            settings: Arc::clone(&settings),
            tuning: Arc::clone(&tuning),
            projection: Arc::clone(&projection),
            ports: ports.clone(),
            proofs: Arc::clone(&proofs),
            upstream_tls: upstream_tls.clone(),
            number,
            counters: Arc::clone(counted),
            told_apart: Arc::clone(&told_apart),
            onlookers: Arc::clone(&onlookers),
            changes: Arc::clone(&changes),
            phase: phase_seen.clone(),
            ticks: ticks.clone(),
            looks_at_health: number == 0,
            http: listeners.http.pop(),
            https: listeners.https.pop(),
            random,
        };
        start_worker(number, seed, Arc::clone(&running))?;
    }
    let Listeners { http_address, https_address, .. } = listeners;
    info!(workers = count, http = ?http_address, https = ?https_address, "gateway listens");
    Ok(Gateway {
        compiler,
        tuning,
        counters,
        told_apart,
        onlookers,
        webhooks,
        phase,
        running: running_seen,
        http_address,
        https_address,
    })
}

/// The listeners of all workers: one of each kind for each.
struct Listeners {
    http: Vec<TcpListener>,
    https: Vec<(TcpListener, TlsAcceptor)>,
    http_address: Option<SocketAddr>,
    https_address: Option<SocketAddr>,
}

impl Listeners {
    fn bind(settings: &Settings, projection: &Arc<Projection>) -> Result<Self, StartError> {
        let mut bound = Self { http: Vec::new(), https: Vec::new(), http_address: None, https_address: None };
        if let Some(address) = settings.http {
            let (address, listeners) = listener::bind(address, settings.workers)?;
            bound.http_address = Some(address);
            bound.http = listeners;
        }
        if let Some(https) = &settings.https {
            let (address, listeners) = listener::bind(https.address, settings.workers)?;
            let shown = certificates(settings, &https.tls)?;
            let tls = client_tls::asking(&https.tls, shown, projection).map_err(StartError::Tls)?;
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            bound.https_address = Some(address);
            bound.https = listeners.into_iter().map(|listener| (listener, acceptor.clone())).collect();
        }
        Ok(bound)
    }
}

/// Returns what shows clients certificates: the node's, or those of virtual hosts.
fn certificates(settings: &Settings, given: &rustls::ServerConfig) -> Result<Arc<dyn ResolvesServerCert>, StartError> {
    let usual = Arc::clone(&given.cert_resolver);
    let Some(directory) = &settings.certificates_dir else { return Ok(usual) };
    let provider = given.crypto_provider();
    let unreadable = |cause| StartError::Certificates { directory: directory.clone(), cause };
    Ok(HostCertificates::follow(directory, provider, &usual).map_err(unreadable)?)
}

/// Runs a worker on a thread of its own, with a runtime whose tasks never leave it. Why:
/// `docs/decisions/0125-workers-have-a-runtime-of-one-thread.md`.
fn start_worker(number: usize, seed: WorkerSeed, running: Arc<watch::Sender<usize>>) -> Result<(), StartError> {
    let run = move || {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default())
                .expect("a runtime needs no more than file descriptors, of which the listeners are there already");
            runtime.block_on(Worker::run(seed));
        }));
        if ran.is_err() {
            error!(worker = number, "gateway worker failed; its connections are lost");
        }
        running.send_modify(|running| *running -= 1);
    };
    let thread = std::thread::Builder::new().name(format!("gateway-{number}")).spawn(run);
    thread.map(drop).map_err(StartError::Thread)
}

impl Gateway {
    /// Returns what the state machine calls after each batch: it compiles routes that changed and drops verdicts that
    /// may be out of date. Hooks that fill allowances must run before it.
    #[must_use]
    pub fn hook(&self) -> Hook {
        let compiler = Arc::clone(&self.compiler);
        Box::new(move |_old, new| compiler.follow(new))
    }

    /// Begins to take connections, those that came meanwhile first. Needed where
    /// [`Settings::waits_to_be_opened`]; does nothing where the gateway serves or drains already.
    pub fn open(&self) {
        self.phase.send_if_modified(|phase| {
            let waits = *phase == Phase::Waiting;
            if waits {
                *phase = Phase::Serving;
            }
            waits
        });
    }

    /// Has another tuning count, from the next call on.
    pub fn tune(&self, tuning: Tuning) {
        self.tuning.set(tuning);
    }

    /// Has this gateway not serve an API though it is deployed, or serve it again. Forgotten when it ends.
    pub fn set_aside(&self, api: ApiId, is_aside: bool) {
        self.compiler.set_aside(api, is_aside);
    }

    /// Returns the environments whose deployments it serves.
    #[must_use]
    pub fn environments(&self) -> &[String] {
        self.compiler.environments()
    }

    /// Says whether it knows what is deployed, and serves that.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        self.compiler.has_compiled() && *self.phase.borrow() == Phase::Serving
    }

    /// Returns where plain HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Returns where HTTPS is served.
    #[must_use]
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https_address
    }

    /// Returns the sum of what the workers counted.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.told_apart.sum(&self.counters);
        if let Some(hub) = &self.webhooks {
            metrics.webhooks = hub.figures();
        }
        metrics
    }

    /// Has one more look on as calls are answered; `None` where there are too many already.
    #[must_use]
    pub fn look_on(&self) -> Option<Onlooker> {
        self.onlookers.join()
    }

    /// Stops accepting, lets calls in progress end for `deadline` at most, then closes every connection. Returns how
    /// many calls were cut off.
    pub async fn drain(&self, deadline: Duration) -> u64 {
        self.phase.send_replace(Phase::Draining);
        let mut running = self.running.clone();
        if tokio::time::timeout(deadline, running.wait_for(|running| *running == 0)).await.is_ok() {
            return 0;
        }
        let cut_off = self.metrics().requests_in_progress;
        self.phase.send_replace(Phase::Closing);
        if tokio::time::timeout(CLOSING_TIME, running.wait_for(|running| *running == 0)).await.is_err() {
            warn!("gateway workers did not end in time");
        }
        cut_off
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("http", &self.http_address)
            .field("https", &self.https_address)
            .finish_non_exhaustive()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closing);
    }
}
