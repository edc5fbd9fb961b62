//! A worker: one thread with its own listeners, connections, pools and caches. It shares nothing that is written with
//! the other workers.

use std::cell::{Cell, RefCell};
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use portcullis_jose::SeenOnce;
use portcullis_model::port::{KeyValidation, OauthFace, Quotas};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::access_log::AccessLogger;
use crate::alarm::Alarms;
use crate::authenticate::Verdicts;
use crate::caching::{Answers, Changes};
use crate::call_id::{CallId, MADE_BYTES};
use crate::clock::Clock;
use crate::connection;
use crate::downstream::date::Date;
use crate::dynamic::Dynamics;
use crate::gathering::Gathering;
use crate::health;
use crate::held::Offers;
use crate::limiter::Limiter;
use crate::metrics::Counters;
use crate::onlookers::Onlookers;
use crate::outbox::{self, Outbox};
use crate::route::compile::Projection;
use crate::route::endpoint::Origin;
use crate::route::policies::Policies;
use crate::route::table::RouteTable;
use crate::settings::Settings;
use crate::sharing::Turns;
use crate::told_apart::ToldApart;
use crate::trace::Tracer;
use crate::tuning::{SharedTuning, Tuning};
use crate::upstream::lines::LinesRoom;
use crate::upstream::link::Trust;
use crate::upstream::pool::Pools;

/// How long a worker waits where the system has no file descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Ticks from one look at unused connections to the next.
const TICKS_PER_EXPIRY: u32 = 10;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It leaves connections in the listeners' queues.
    Waiting,
    /// It takes connections and requests.
    Serving,
    /// It takes no connections and ends each after the call it is in.
    Draining,
    /// It ends all at once.
    Closing,
}

/// What a gateway asks of other components.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) keys: Arc<dyn KeyValidation>,
    pub(crate) quotas: Arc<dyn Quotas>,
    pub(crate) oauth: Arc<dyn OauthFace>,
}

/// The routes as one worker holds them: counted by that worker alone, so that no call touches a counter which the other
/// workers touch too.
#[derive(Default)]
pub(crate) struct HeldRoutes {
    pub(crate) table: Arc<RouteTable>,
    pub(crate) policies: Arc<Policies>,
    /// The number of this table and these policies.
    pub(crate) version: u64,
}

/// What a worker is made of on its own thread.
pub(crate) struct WorkerSeed {
    pub(crate) settings: Arc<Settings>,
    pub(crate) tuning: Arc<SharedTuning>,
    pub(crate) projection: Arc<Projection>,
    pub(crate) ports: Ports,
    pub(crate) proofs: Arc<SeenOnce>,
    pub(crate) upstream_tls: Option<Arc<Trust>>,
    pub(crate) number: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) told_apart: Arc<ToldApart>,
    pub(crate) onlookers: Arc<Onlookers>,
    /// What may have changed of that of which answers are kept.
    pub(crate) changes: Arc<Changes>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Changes with each tick.
    pub(crate) ticks: watch::Receiver<()>,
    /// Whether it is the one that looks at backends' health.
    pub(crate) looks_at_health: bool,
    pub(crate) http: Option<StdListener>,
    pub(crate) https: Option<(StdListener, TlsAcceptor)>,
    /// Random bytes, other for each worker, from which its request ids are made.
    pub(crate) random: [u8; 8],
}

/// A worker.
pub(crate) struct Worker {
    pub(crate) settings: Arc<Settings>,
    shared_tuning: Arc<SharedTuning>,
    /// The tuning as this worker holds it, and its number.
    tuning: RefCell<(u64, Rc<Tuning>)>,
    pub(crate) ports: Ports,
    /// Proofs of possession that were used on this node, whichever worker saw them.
    pub(crate) proofs: Arc<SeenOnce>,
    pub(crate) projection: Arc<Projection>,
    upstream_tls: Option<Arc<Trust>>,
    pub(crate) number: usize,
    pub(crate) counters: Arc<Counters>,
    /// What the metrics tell apart, on this node.
    pub(crate) told_apart: Arc<ToldApart>,
    /// Those who look on, at whichever worker.
    pub(crate) onlookers: Arc<Onlookers>,
    pub(crate) alarms: Rc<Alarms>,
    /// What calls leave to be sent.
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    /// The date of answers that have none of their own.
    pub(crate) date: Date,
    /// Room for the lines that are added to the next answer.
    pub(crate) lines_room: LinesRoom,
    pub(crate) connections: Connections,
    pub(crate) pools: Pools,
    /// Backends that policies named.
    pub(crate) dynamics: Dynamics,
    pub(crate) verdicts: Verdicts,
    pub(crate) turns: Turns,
    pub(crate) limiter: Limiter,
    pub(crate) offers: Offers,
    pub(crate) answers: Rc<Answers>,
    /// What is gathered for statistics, where that is wanted.
    pub(crate) gathering: Option<Gathering>,
    /// Traces calls, where that is wanted.
    pub(crate) tracer: Option<Tracer>,
    /// Gathers the lines of the access log, where there is one.
    pub(crate) access_log: Option<AccessLogger>,
    /// Copies of calls that are under way.
    pub(crate) copies: Cell<usize>,
    phase: Cell<Phase>,
    routes: RefCell<Rc<HeldRoutes>>,
    /// The next request id: random digits, and a number.
    next_id: RefCell<[u8; MADE_BYTES]>,
}

impl Worker {
    /// Runs a worker until it is told to end.
    pub(crate) async fn run(seed: WorkerSeed) {
        let WorkerSeed { http, https, mut phase, .. } = seed;
        let (alarms, clock) = (Alarms::new(), Clock::new());
        let tuning = RefCell::new((seed.tuning.number(), Rc::new(seed.tuning.current())));
        let worker = Rc::new(Self {
            shared_tuning: seed.tuning,
            tuning,
            ports: seed.ports,
            proofs: seed.proofs,
            projection: seed.projection,
            upstream_tls: seed.upstream_tls,
            number: seed.number,
            counters: seed.counters,
            onlookers: seed.onlookers,
            date: Date::new(clock.ticked()),
            clock,
            lines_room: LinesRoom::default(),
            connections: Connections::default(),
            pools: Pools::new(seed.settings.upstream, Rc::clone(&alarms)),
            dynamics: Dynamics::default(),
            verdicts: Verdicts::new(seed.settings.verdicts_max),
            turns: Turns::default(),
            limiter: Limiter::new(),
            offers: Offers::default(),
            gathering: seed
                .settings
                .statistics
                .as_ref()
                .map(|settings| Gathering::new(settings, (Arc::clone(&seed.told_apart), seed.number))),
            told_apart: seed.told_apart,
            tracer: seed.settings.tracing.clone().map(|tracing| Tracer::new(tracing, seed.random)),
            access_log: seed.settings.access_log.clone().map(|settings| AccessLogger::new(settings, seed.random)),
            answers: Rc::new(Answers::new(seed.settings.cache_bytes_max, seed.changes)),
            copies: Cell::new(0),
            alarms,
            outbox: Outbox::default(),
            phase: Cell::new(Phase::Serving),
            routes: RefCell::default(),
            next_id: RefCell::new(first_id(seed.random)),
            settings: seed.settings,
        });
        let ticks = tokio::task::spawn_local(tick(Rc::clone(&worker), seed.ticks.clone()));
        let sending = tokio::task::spawn_local(outbox::send(Rc::clone(&worker)));
        let listeners = [http.map(|listener| (listener, None)), https.map(|(listener, tls)| (listener, Some(tls)))];
        while *phase.borrow_and_update() == Phase::Waiting && phase.changed().await.is_ok() {}
        let accepting: Vec<_> = listeners
            .into_iter()
            .flatten()
            .map(|(listener, tls)| tokio::task::spawn_local(accept(Rc::clone(&worker), listener, tls)))
            .collect();
        let health =
            seed.looks_at_health.then(|| tokio::task::spawn_local(health::run(Rc::clone(&worker), seed.ticks)));
        // A closed channel means that the gateway was dropped.
        while *phase.borrow_and_update() == Phase::Serving && phase.changed().await.is_ok() {}
        health.iter().for_each(tokio::task::JoinHandle::abort);
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        worker.enter(Phase::Draining);
        tokio::select! {
            () = worker.connections.empty() => {}
            () = async { while *phase.borrow_and_update() != Phase::Closing && phase.changed().await.is_ok() {} } => {
                worker.enter(Phase::Closing);
                worker.connections.empty().await;
            }
        }
        ticks.abort();
        sending.abort();
        if let Some(gathering) = &worker.gathering {
            gathering.hand_on();
        }
        if let Some(tracer) = &worker.tracer {
            tracer.hand_on();
        }
        if let Some(access_log) = &worker.access_log {
            access_log.hand_on();
        }
        worker.pools.close_idle();
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.connections.wake_all();
    }

    /// Returns what the worker is doing.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Returns what may change while the gateway runs, as it is at this moment.
    pub(crate) fn tuning(&self) -> Rc<Tuning> {
        let number = self.shared_tuning.number();
        let mut held = self.tuning.borrow_mut();
        if held.0 != number {
            *held = (number, Rc::new(self.shared_tuning.current()));
        }
        Rc::clone(&held.1)
    }

    /// Returns the routes of this moment; who holds them is not troubled by later ones.
    pub(crate) fn routes(&self) -> Rc<HeldRoutes> {
        let version = self.projection.version();
        let mut routes = self.routes.borrow_mut();
        if routes.version != version {
            let (table, policies) = (self.projection.table(), self.projection.policies());
            *routes = Rc::new(HeldRoutes { table, policies, version });
            self.limiter.forget();
            self.turns.forget();
        }
        Rc::clone(&routes)
    }

    /// Returns by what a backend is trusted.
    pub(crate) fn trust<'a>(&'a self, origin: &'a Origin) -> Option<&'a Arc<Trust>> {
        origin.trust.as_ref().or(self.upstream_tls.as_ref())
    }

    /// Returns a new request id.
    pub(crate) fn request_id(&self) -> CallId {
        let mut id = self.next_id.borrow_mut();
        let made = CallId::Made(*id);
        count_up(&mut id[MADE_BYTES / 2..]);
        made
    }
}

/// Returns the first request id of a worker.
fn first_id(random: [u8; MADE_BYTES / 4]) -> [u8; MADE_BYTES] {
    let mut digits = [b'0'; MADE_BYTES];
    hex::encode_to_slice(random, &mut digits[..MADE_BYTES / 2]).expect("two digits a byte");
    digits
}

/// Adds one to a number in hexadecimal digits; after the largest comes zero.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = match *digit {
            b'9' => b'a',
            b'f' => {
                *digit = b'0';
                continue;
            }
            digit => digit + 1,
        };
        return;
    }
}

async fn tick(worker: Rc<Worker>, mut ticks: watch::Receiver<()>) {
    let mut until_expiry = TICKS_PER_EXPIRY;
    ticks.mark_changed();
    while ticks.changed().await.is_ok() {
        worker.clock.tick();
        worker.date.tick(worker.clock.ticked());
        worker.alarms.tick();
        if let Some(gathering) = &worker.gathering {
            gathering.tick(worker.clock.ticked());
        }
        if let Some(tracer) = &worker.tracer {
            tracer.hand_on();
        }
        if let Some(access_log) = &worker.access_log {
            access_log.hand_on();
        }
        let patience = worker.settings.client.stall_timeout;
        let (given_up, below_pace) = worker.offers.expire(worker.alarms.now_ms(), patience);
        worker.counters.slow_clients.add(given_up);
        worker.counters.clients_below_pace.add(below_pace);
        until_expiry -= 1;
        if until_expiry == 0 {
            until_expiry = TICKS_PER_EXPIRY;
            worker.dynamics.expire(worker.alarms.now_ms());
            worker.pools.expire();
        }
    }
}

async fn accept(worker: Rc<Worker>, listener: StdListener, tls: Option<TlsAcceptor>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%error, "listener lost");
            return;
        }
    };
    loop {
        worker.connections.below(worker.settings.client.connections_max).await;
        match listener.accept().await {
            Ok((stream, address)) => {
                let place = Place::take(&worker);
                let (worker, tls) = (Rc::clone(&worker), tls.clone());
                tokio::task::spawn_local(connection::serve(worker, stream, address, tls, place));
            }
            Err(error) => {
                warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection's place among those that are open.
pub(crate) struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Self {
        worker.counters.client_connections.add(1);
        worker.connections.open.set(worker.connections.open.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counters.client_connections.subtract(1);
        self.0.connections.open.set(self.0.connections.open.get() - 1);
        self.0.connections.changed.notify_waiters();
    }
}

/// The open connections of a worker, so that they can be counted and woken.
#[derive(Default)]
pub(crate) struct Connections {
    open: Cell<usize>,
    changed: Notify,
    seats: RefCell<Seats>,
}

#[derive(Default)]
struct Seats {
    all: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Connections {
    /// Gives a connection a number.
    pub(crate) fn enter(&self) -> usize {
        let mut seats = self.seats.borrow_mut();
        seats.free.pop().unwrap_or_else(|| {
            seats.all.push(None);
            seats.all.len() - 1
        })
    }

    /// Notes which task serves a connection.
    pub(crate) fn seat(&self, seat: usize, waker: &Waker) {
        self.seats.borrow_mut().all[seat] = Some(waker.clone());
    }

    /// Wakes the task that serves a connection.
    pub(crate) fn wake(&self, seat: usize) {
        if let Some(Some(waker)) = self.seats.borrow().all.get(seat) {
            waker.wake_by_ref();
        }
    }

    /// Takes a connection's number back.
    pub(crate) fn leave(&self, seat: usize) {
        let mut seats = self.seats.borrow_mut();
        seats.free.push(seat);
        let waker = seats.all[seat].take();
        drop(seats);
        drop(waker);
    }

    fn wake_all(&self) {
        let wakers: Vec<Waker> = self.seats.borrow().all.iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn below(&self, max: usize) {
        while self.open.get() >= max {
            self.changed.notified().await;
        }
    }

    async fn empty(&self) {
        self.below(1).await;
    }
}

#[cfg(test)]
mod tests {
    use super::count_up;

    #[test]
    fn digits_count_as_hexadecimal_numbers_do() {
        let mut digits = *b"0000";
        for number in 1..=0x10_000_u32 {
            count_up(&mut digits);
            assert_eq!(digits, format!("{:04x}", number % 0x10_000).as_bytes());
        }
    }
}
