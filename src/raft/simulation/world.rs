//! The world around the nodes of one schedule: makes them, makes faults, heals, and looks whether all is as promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use portcullis_database::digest;
use portcullis_model::{NodeId, NodeRecord};
use tempfile::TempDir;
use turmoil::{Builder, Sim};

use super::home::{self, addresses};
use super::node::{Place, Shared, Wish, live, writes_in};
use super::plan::{self, Event, below, between_ms};
use super::runtime::with_seed;
use super::totals::Totals;
use crate::core::Core;

const TICK: Duration = Duration::from_millis(10);
/// Leaders are looked at so often.
const LOOK_TICKS: u32 = 2;
/// How long a cluster may take to form, or to come back to what it should be, in its own time.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// How long anything that was asked may still happen, in the cluster's own time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// Events of a schedule.
const EVENTS: usize = 7;

/// What came of a schedule in which no promise was broken.
#[derive(Debug)]
pub(super) struct Done {
    #[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "schedules are compared where they can be the same"))]
    pub(super) trace: Vec<String>,
    pub(super) totals: Totals,
}

/// Runs the schedule of a seed.
///
/// # Errors
/// The promise that was broken.
pub(super) fn run(seed: u64) -> Result<Done, String> {
    with_seed(seed, || {
        let mut world = World::new(seed)?;
        world.form(if below(3) == 0 { 5 } else { 3 })?;
        for _ in 0..EVENTS {
            world.happen(plan::next())?;
        }
        world.settle()?;
        Ok(world.done())
    })
}

/// Asks a node whose Raft has ended, and returns what it was heard to do.
///
/// # Errors
/// The promise that was broken.
pub(super) fn ask_after_the_end() -> Result<Vec<String>, String> {
    with_seed(9, || {
        let mut world = World::new(9)?;
        world.form(1)?;
        world.shared.is_over.store(true, Ordering::Relaxed);
        world.wish(Wish::AskAfterTheEnd);
        world.pass(Duration::from_secs(12))?;
        Ok(world.shared.history.trace())
    })
}

/// Names the host that a node lives on.
pub(super) fn host(place: usize) -> String {
    format!("h{place}")
}

/// A simulated cluster and what is around it.
pub(super) struct World {
    pub(super) sim: Sim<'static>,
    pub(super) shared: Arc<Shared>,
    pub(super) places: Vec<Arc<Place>>,
    /// Places that were asked for a node that is not there yet.
    wanted: BTreeSet<usize>,
    root: TempDir,
    ticks: u32,
    pub(super) events: BTreeMap<Event, u64>,
}

impl World {
    fn new(seed: u64) -> Result<Self, String> {
        let mut builder = Builder::new();
        let latest = between_ms(2, 60);
        builder.rng_seed(seed).tick_duration(TICK).simulation_duration(Duration::from_secs(3600)).tcp_capacity(4096);
        builder.min_message_latency(Duration::from_millis(1)).max_message_latency(latest).enable_random_order();
        // Memory where it can be had: nothing here tests the machine's disk.
        let root = TempDir::with_prefix_in("portcullis-simulation", "/dev/shm").or_else(|_| tempfile::tempdir());
        let mut world = Self {
            sim: builder.build(),
            shared: Arc::default(),
            places: Vec::new(),
            wanted: BTreeSet::new(),
            root: root.map_err(|e| e.to_string())?,
            ticks: 0,
            events: BTreeMap::new(),
        };
        let home = world.reserve().home.clone();
        home::make_first(&home).map_err(|e| e.to_string())?;
        world.bring_up(0);
        Ok(world)
    }

    /// Adds a place for a node that is not there yet.
    fn reserve(&mut self) -> &Arc<Place> {
        let number = self.places.len();
        self.places.push(Arc::new(Place::new(self.root.path().join(host(number)))));
        &self.places[number]
    }

    fn bring_up(&mut self, place: usize) {
        let (shared, at) = (Arc::clone(&self.shared), Arc::clone(&self.places[place]));
        self.sim.host(host(place), move || live(Arc::clone(&shared), Arc::clone(&at)));
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|e| format!("a node did not start: {e}"))?;
        self.ticks += 1;
        self.bring_up_admitted()?;
        for place in 0..self.places.len() {
            // Its process has ended, and with it all that it had begun.
            if self.places[place].has_left.load(Ordering::Relaxed) && self.places[place].core().is_some() {
                self.sim.crash(host(place));
            }
        }
        if self.ticks.is_multiple_of(LOOK_TICKS) {
            for core in self.cores() {
                let metrics = core.metrics();
                if metrics.state.is_leader() {
                    self.shared.history.leads(metrics.current_term, core.node());
                }
            }
        }
        self.shared.history.broken().map_or(Ok(()), Err)
    }

    pub(super) fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.step()?;
        }
        Ok(())
    }

    /// Lets time pass until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        let until = self.sim.elapsed() + SETTLED_WITHIN;
        while !holds(self) {
            if self.sim.elapsed() > until {
                self.print_trace();
                return Err(format!("not in time: {what}, within {} s; {}", SETTLED_WITHIN.as_secs(), self.describe()));
            }
            self.pass(5 * TICK)?;
        }
        Ok(())
    }

    /// Prints what happened, where a single schedule is looked at.
    fn print_trace(&self) {
        if super::number("PORTCULLIS_SIMULATIONS") == Some(1) {
            eprintln!("{}", self.shared.history.trace().join("\n"));
        }
    }

    fn cores(&self) -> Vec<Arc<Core>> {
        self.places.iter().filter_map(|place| place.core()).collect()
    }

    /// Returns whom a node follows, by its own clock.
    fn followed_by(&self, core: &Core) -> Option<NodeId> {
        self.places.iter().find(|place| place.core().is_some_and(|its| its.node() == core.node()))?.follows()
    }

    fn describe(&self) -> String {
        let of = |core: Arc<Core>| {
            let metrics = core.metrics();
            let (node, term, leader) = (core.node(), metrics.current_term, metrics.current_leader);
            let ready = core.was_ready.load(Ordering::Relaxed);
            format!(
                "node {node}: term {term}, leader {leader:?}, log to {:?}, committed {:?}, applied {}, members {:?}, voters \
                 {:?}, ready {ready}, steady {:?}, snapshot to {:?}, replicated {:?}",
                metrics.last_log_index,
                metrics.local_committed.map(|log_id| log_id.index),
                core.cell.applied(),
                core.members(),
                core.voters(),
                self.followed_by(&core),
                metrics.snapshot.map(|log_id| log_id.index),
                metrics
                    .replication
                    .map(|all| all.into_iter().map(|(id, at)| (id, at.map(|at| at.index))).collect::<Vec<_>>())
            )
        };
        self.cores().into_iter().map(of).collect::<Vec<_>>().join("; ")
    }

    /// Makes the data directories of nodes that were admitted, and starts them.
    fn bring_up_admitted(&mut self) -> Result<(), String> {
        let admitted = std::mem::take(&mut *self.shared.admitted.lock().unwrap_or_else(PoisonError::into_inner));
        for (place, node) in admitted {
            let (name, at) = (host(place), addresses(self.sim.lookup(host(place))));
            home::make(&self.places[place].home, node, &name, at).map_err(|e| e.to_string())?;
            self.wanted.remove(&place);
            self.bring_up(place);
        }
        Ok(())
    }

    pub(super) fn admit(&mut self) {
        self.reserve();
        let place = self.places.len() - 1;
        let at = addresses(self.sim.lookup(host(place)));
        self.wanted.insert(place);
        self.wish(Wish::Admit(place, at));
    }

    /// Asks any node that runs.
    fn wish(&self, wish: Wish) {
        let running: Vec<&Arc<Place>> = self.places.iter().filter(|place| place.core().is_some()).collect();
        if !running.is_empty() {
            running[below(running.len())].wish(wish);
        }
    }

    fn form(&mut self, size: usize) -> Result<(), String> {
        let is_ready = |world: &Self| world.cores().iter().any(|core| core.was_ready.load(Ordering::Relaxed));
        self.until("the first node is ready", is_ready)?;
        for count in 2..=size {
            self.admit();
            let votes = |core: &Arc<Core>| core.voters().len() == count;
            self.until("a node votes", |world| world.cores().iter().filter(|core| votes(core)).count() == count)?;
        }
        Ok(())
    }

    /// Waits until the cluster is what it should be, and looks whether everything acknowledged is there.
    fn settle(&mut self) -> Result<(), String> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.until("a leader", |world| world.leader().is_some())?;
        if !self.wanted.is_empty() {
            // Nobody waits any more for an answer to what was asked before.
            self.pass(ANSWERED_WITHIN)?;
        }
        self.remove_unborn()?;
        self.until("every node has the same and the role it should have", Self::is_settled)?;
        let digests: BTreeSet<_> = self
            .cores()
            .iter()
            .filter(|core| core.cell.applied() > 0)
            .map(|core| digest::digest(&core.cell.load()).ok())
            .collect();
        if digests.len() != 1 {
            return Err(format!("nodes hold different states at the same index; {}", self.describe()));
        }
        let must = self.shared.history.there();
        for core in self.cores().iter().filter(|core| core.cell.applied() > 0) {
            self.shared.history.end_read(&must, &writes_in(&core.cell.load()), core.node());
        }
        self.shared.history.broken().map_or(Ok(()), Err)
    }

    fn leader(&self) -> Option<Arc<Core>> {
        self.cores().into_iter().find(|core| core.leads() && self.followed_by(core) == Some(core.node()))
    }

    /// Removes nodes that were admitted where the answer was lost: nobody has what they need to live.
    fn remove_unborn(&mut self) -> Result<(), String> {
        let unborn: BTreeSet<String> = self.wanted.iter().map(|place| host(*place)).collect();
        let is_unborn = |record: &NodeRecord| record.removed_at.is_none() && unborn.contains(&record.name);
        let asked = |world: &Self| {
            let Some(leader) = world.leader() else { return true };
            let state = leader.cell.load();
            let left: Vec<NodeId> =
                state.system.nodes.values().filter(|record| is_unborn(record)).map(|record| record.id).collect();
            left.iter().for_each(|node| world.wish(Wish::Remove(*node)));
            !left.is_empty()
        };
        let until = self.sim.elapsed() + SETTLED_WITHIN;
        while asked(self) && self.sim.elapsed() < until {
            self.pass(Duration::from_secs(2))?;
        }
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let cores = self.cores();
        let Some(leader) = self.leader() else { return false };
        let state = leader.cell.load();
        let records = || state.system.nodes.values().filter(|record| record.removed_at.is_none());
        let members: BTreeSet<NodeId> = records().map(|record| record.id).collect();
        let voters: BTreeSet<NodeId> = records().filter(|record| record.is_voter).map(|record| record.id).collect();
        let is_with_it = |core: &Arc<Core>| {
            core.was_ready.load(Ordering::Relaxed)
                && self.followed_by(core) == Some(leader.node())
                && core.cell.applied() == leader.cell.applied()
        };
        // One that was removed must hear of it and end.
        // One that was removed before anybody reached it knows nobody whom it could ask, and waits.
        let knows_nobody = |core: &Arc<Core>| core.cell.applied() == 0 && !members.contains(&core.node());
        let cores: Vec<Arc<Core>> = cores.into_iter().filter(|core| !knows_nobody(core)).collect();
        let running: BTreeSet<NodeId> = cores.iter().map(|core| core.node()).collect();
        leader.members() == members && leader.voters() == voters && running == members && cores.iter().all(is_with_it)
    }

    fn done(self) -> Done {
        let (writes, reads, leaders) = self.shared.history.counts();
        let totals = Totals { schedules: 1, writes, reads, leaders, events: self.events };
        Done { trace: self.shared.history.trace(), totals }
    }
}
