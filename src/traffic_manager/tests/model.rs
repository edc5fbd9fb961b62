//! The model of throttling, small and whole: every order of events in a cluster of two nodes is tried, within bounds.
//!
//! The log is the real state machine and takes in real statements; what a node may do is bounded only by the rules of
//! its books (it spends what it was allowed, and no more), so it covers every choice of the real ledger: what to ask,
//! what to give back, when to report. Messages are lost, delayed, reordered and repeated; nodes crash and come back;
//! clocks differ; counters are reset.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use portcullis_database::counters::reserve::share_of;
use portcullis_database::counters::reset::reset;
use portcullis_database::counters::statement::take_in;
use portcullis_database::counters::window::reserve_total;
use portcullis_database::counters::{Item, Owed, Report, Statement, WindowId};
use portcullis_database::{State, codec};
use portcullis_model::counter::CounterSelector;
use portcullis_model::{NodeId, NodeRecord, TenantDomain, TimeUnit, Timestamp, Window};
use stateright::{Checker, Model, Property};

use state::{key, state_of};

const LIMIT: u64 = 7;
const LENGTH_MS: u64 = 1000;
/// Time passes in steps of this.
const STEP_MS: u64 = 500;
const BEGIN_MS: u64 = 10_000;

/// What is tried beside reports and calls, and how much of everything.
#[derive(Clone, Copy)]
struct Bounds {
    steps: u64,
    reports: u64,
    crashes: u64,
    resets: u64,
    has_late_costs: bool,
    has_skew: bool,
    /// Statements may be lost, and arrive more than once.
    is_lossy: bool,
    /// Nodes give back what they hold, and report without asking.
    gives_back: bool,
    /// What is looked for is not that the limit is kept, but that all of it can be used.
    seeks_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A node spends everything in hand: whatever it could spend in part it can spend whole.
    Spend(usize),
    /// A call costs more than was taken for it.
    Owe(usize),
    /// A node reports, asks for this much and gives back what it holds, or not.
    Report(usize, u64, bool),
    /// A statement arrives, and may arrive again.
    Arrive(usize),
    /// A statement is lost, with all its repetitions.
    Lose(usize),
    /// A node takes in the log as it is.
    Learn(usize),
    Pass,
    Crash(usize),
    Reset,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    incarnation: u64,
    sequence: u64,
    /// The window it spends in.
    window: u64,
    reserve: u64,
    granted: u64,
    returned: u64,
    spent: u64,
    reported: u64,
    owed: u64,
    /// What it has applied of the log.
    log: usize,
    /// Where its next start may use the reserve from: noted durably.
    ceiling: u64,
    skew_ms: u64,
}

#[derive(Clone, Debug)]
struct World {
    now: u64,
    nodes: Vec<Node>,
    /// Every state that the log has had. Only the newest and those that nodes have seen matter.
    logs: Vec<State>,
    flight: BTreeSet<Vec<u8>>,
    admitted: BTreeMap<u64, u64>,
    admitted_at_reset: BTreeMap<u64, u64>,
    left: (u64, u64, u64, u64),
}

/// What makes two worlds the same: of the log only what somebody has seen, and the newest.
#[derive(PartialEq, Eq, Hash)]
struct Fingerprint<'a> {
    now: u64,
    nodes: &'a [Node],
    logs: Vec<Vec<u8>>,
    flight: &'a BTreeSet<Vec<u8>>,
    admitted: &'a BTreeMap<u64, u64>,
    left: (u64, u64, u64, u64),
}

fn bytes_of(state: &State) -> Vec<u8> {
    let counters = &state.counters;
    let rows = (
        counters.counters.iter().collect::<Vec<_>>(),
        counters.balances.iter().collect::<Vec<_>>(),
        counters.sources.iter().collect::<Vec<_>>(),
        counters.reserve_table(),
        state.now(),
    );
    codec::encode(&rows).unwrap()
}

impl World {
    fn fingerprint(&self) -> Fingerprint<'_> {
        let Self { now, nodes, logs, flight, admitted, left, .. } = self;
        let seen = nodes.iter().map(|node| node.log).chain([logs.len() - 1]);
        let logs = seen.map(|at| bytes_of(&logs[at])).collect();
        Fingerprint { now: *now, nodes, logs, flight, admitted, left: *left }
    }

    fn log(&self) -> &State {
        self.logs.last().unwrap()
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for World {}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.fingerprint().hash(hasher);
    }
}

/// A state of two nodes and one policy.
fn first_state() -> State {
    let mut state = state_of(LIMIT, Window { length: 1, unit: TimeUnit::Second });
    let second = NodeRecord { id: NodeId(2), ..state.system.nodes[&NodeId(1)].as_ref().clone() };
    state.system.nodes.insert(second.id, Arc::new(second));
    state
}

fn apply(state: &State, statement: &Statement, now: u64) -> State {
    let mut state = state.clone();
    state.applied_index += 1;
    let now = Timestamp(now).max(state.now());
    state.system.clock.insert((), now);
    take_in(&mut state, statement, now);
    state
}

impl Node {
    fn time(&self, now: u64) -> u64 {
        (now + self.skew_ms).max(self.window * LENGTH_MS)
    }

    fn held(&self) -> u64 {
        (self.reserve + self.granted) - self.returned - self.spent
    }

    /// Opens a window by what the node knows: its share of the reserve, as the real node finds it.
    fn open(&mut self, id: NodeId, seen: &State, window: u64) {
        let start = Timestamp(window * LENGTH_MS);
        let table = seen.counters.reserve_table();
        let share = table.holders.get(&id).map_or((0, 0), |holder| holder.share_at(start));
        let has_right = share.1 == self.incarnation && start.0 <= self.ceiling;
        self.window = window;
        self.reserve = if has_right { share_of(reserve_total(LIMIT, LENGTH_MS), share.0) } else { 0 };
        (self.granted, self.returned, self.spent, self.reported, self.owed) = (0, 0, 0, 0, 0);
    }

    /// Takes in what the log says: only what it granted to this start, in this window.
    fn take_in(&mut self, id: NodeId, seen: &State) {
        let Some(counter) = seen.counters.counters.get(&key()) else { return };
        if counter.window.index > self.window {
            self.open(id, seen, counter.window.index);
        }
        let holding = counter.holdings.get(id).filter(|holding| holding.incarnation == self.incarnation);
        if let Some(holding) = holding.filter(|_| counter.window.index == self.window) {
            self.granted = self.granted.max(holding.granted);
        }
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        // Both nodes have reported once, so that both have their shares.
        let mut state = first_state();
        for turn in 0..3 {
            for id in [1, 2] {
                let target = state.counters.reserve_table().target;
                let report = Report {
                    node: NodeId(id),
                    incarnation: 1,
                    sequence: turn + 1,
                    time: Timestamp(BEGIN_MS - 100 + turn),
                    applied_index: 0,
                    reserve_from: Timestamp(0),
                    is_store_new: false,
                    adopted: Some((target, Timestamp(BEGIN_MS - 99 + turn))),
                    items: Vec::new(),
                };
                state = apply(&state, &Statement::from(report), BEGIN_MS - 100 + turn);
            }
        }
        let node = |id: u64| {
            let mut node = Node {
                incarnation: 1,
                sequence: 3,
                window: 0,
                reserve: 0,
                granted: 0,
                returned: 0,
                spent: 0,
                reported: 0,
                owed: 0,
                log: 0,
                ceiling: BEGIN_MS + 10 * LENGTH_MS,
                skew_ms: if self.has_skew && id == 2 { STEP_MS } else { 0 },
            };
            node.open(NodeId(id), &state, BEGIN_MS / LENGTH_MS);
            node
        };
        vec![World {
            now: BEGIN_MS,
            nodes: vec![node(1), node(2)],
            logs: vec![state.clone()],
            flight: BTreeSet::new(),
            admitted: BTreeMap::new(),
            admitted_at_reset: BTreeMap::new(),
            left: (self.steps, self.reports, self.crashes, self.resets),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let (steps, reports, crashes, resets) = world.left;
        for at in 0..world.nodes.len() {
            let node = &world.nodes[at];
            if node.held() > 0 {
                actions.push(Action::Spend(at));
            }
            if self.has_late_costs && node.owed == 0 && node.spent > 0 {
                actions.push(Action::Owe(at));
            }
            if node.log + 1 < world.logs.len() {
                actions.push(Action::Learn(at));
            }
            if reports > 0 {
                actions.push(Action::Report(at, LIMIT, false));
            }
            if reports > 0 && self.gives_back {
                actions.push(Action::Report(at, 0, node.held() > 0));
            }
            if crashes > 0 {
                actions.push(Action::Crash(at));
            }
        }
        for at in 0..world.flight.len() {
            actions.push(Action::Arrive(at));
            if self.is_lossy {
                actions.push(Action::Lose(at));
            }
        }
        if steps > 0 {
            actions.push(Action::Pass);
        }
        if resets > 0 {
            actions.push(Action::Reset);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Spend(at) => spend(&mut world, at),
            Action::Owe(at) => world.nodes[at].owed = 3,
            Action::Report(at, ask, gives_back) => report(&mut world, at, ask, gives_back),
            Action::Arrive(at) => {
                arrive(&mut world, at);
                if !self.is_lossy {
                    let arrived = world.flight.iter().nth(at)?.clone();
                    world.flight.remove(&arrived);
                }
            }
            Action::Lose(at) => {
                let lost = world.flight.iter().nth(at)?.clone();
                world.flight.remove(&lost);
            }
            Action::Learn(at) => {
                let newest = world.logs.len() - 1;
                let id = NodeId(at as u64 + 1);
                let seen = world.logs[newest].clone();
                world.nodes[at].log = newest;
                world.nodes[at].take_in(id, &seen);
            }
            Action::Pass => {
                world.now += STEP_MS;
                world.left.0 -= 1;
            }
            Action::Crash(at) => crash(&mut world, at),
            Action::Reset => {
                let mut state = world.log().clone();
                state.applied_index += 1;
                let tenant = TenantDomain::super_tenant();
                let selector = CounterSelector { tenant, level: None, policy: None, application: None, user: None };
                let now = state.now();
                reset(&mut state, &selector, None, now);
                world.logs.push(state);
                world.admitted_at_reset = world.admitted.clone();
                world.left.3 -= 1;
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let never_over = Property::always("never over", |_, world: &World| {
            world.admitted.iter().all(|(window, admitted)| {
                let before = world.admitted_at_reset.get(window).copied().unwrap_or(0);
                before <= LIMIT && admitted - before <= LIMIT
            })
        });
        let all_used = Property::sometimes("the whole limit is used", |_, world: &World| {
            world.admitted.values().any(|admitted| *admitted == LIMIT)
        });
        // One alone, so that the search ends where it is met.
        vec![if self.seeks_all { all_used } else { never_over }]
    }
}

fn spend(world: &mut World, at: usize) {
    let id = NodeId(at as u64 + 1);
    let now = world.now;
    let seen = world.logs[world.nodes[at].log].clone();
    let node = &mut world.nodes[at];
    let window = node.time(now) / LENGTH_MS;
    if window > node.window {
        node.open(id, &seen, window);
        node.take_in(id, &seen);
    }
    let held = node.held();
    node.spent += held;
    *world.admitted.entry(node.window).or_default() += held;
}

fn report(world: &mut World, at: usize, ask: u64, gives_back: bool) {
    let now = world.now;
    let node = &mut world.nodes[at];
    node.sequence += 1;
    let returned = if gives_back { node.held() } else { 0 };
    node.returned += returned;
    let item = Item {
        key: key(),
        window: WindowId { length_ms: LENGTH_MS, index: node.window },
        reserve: node.reserve,
        spent: i64::try_from(node.spent - node.reported).unwrap(),
        over: 0,
        returned,
        ask,
        granted: node.granted,
        demand: 0,
        answers_dry: None,
    };
    node.reported = node.spent;
    let report = Report {
        node: NodeId(at as u64 + 1),
        incarnation: node.incarnation,
        sequence: node.sequence,
        time: Timestamp(node.time(now)),
        applied_index: 0,
        reserve_from: Timestamp(if node.incarnation > 1 { node.ceiling } else { 0 }),
        is_store_new: false,
        adopted: None,
        items: vec![item],
    };
    let owed = if node.owed > 0 { vec![Owed { item: 0, amount: node.owed }] } else { Vec::new() };
    node.owed = 0;
    world.flight.insert(codec::encode(&Statement { report, owed }).unwrap());
    world.left.1 -= 1;
}

fn arrive(world: &mut World, at: usize) {
    let statement: Statement = codec::decode(world.flight.iter().nth(at).unwrap()).unwrap();
    let state = apply(world.log(), &statement, statement.report.time.0);
    // A repetition that changes nothing would only make the world larger.
    if bytes_of(&state) != bytes_of(world.log()) {
        world.logs.push(state);
    }
}

/// The node ends at once and comes back with a new number, an older log and what it noted.
fn crash(world: &mut World, at: usize) {
    let node = &mut world.nodes[at];
    node.incarnation += 1;
    node.sequence = 0;
    node.log = node.log.saturating_sub(1);
    let (window, seen) = (world.now / LENGTH_MS, world.logs[node.log].clone());
    node.open(NodeId(at as u64 + 1), &seen, window);
    world.left.2 -= 1;
}

/// Tries everything within the bounds.
fn check(bounds: Bounds) {
    let checker = bounds.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let (worlds, depth) = (checker.unique_state_count(), checker.max_depth());
    assert!(worlds > 5_000 && depth > 8, "only {worlds} worlds were tried, {depth} deep");
}

const CALM: Bounds = Bounds {
    steps: 0,
    reports: 3,
    crashes: 0,
    resets: 0,
    has_late_costs: false,
    has_skew: false,
    is_lossy: false,
    gives_back: false,
    seeks_all: false,
};

#[test]
fn never_over_when_messages_are_lost_delayed_reordered_and_repeated() {
    check(Bounds { is_lossy: true, gives_back: true, ..CALM });
}

#[test]
fn never_over_across_windows_with_clocks_that_differ() {
    check(Bounds { steps: 2, has_skew: true, ..CALM });
}

#[test]
fn never_over_when_nodes_crash_and_come_back() {
    check(Bounds { crashes: 2, ..CALM });
}

#[test]
fn never_over_but_for_what_a_reset_gives_anew() {
    check(Bounds { resets: 1, gives_back: true, ..CALM });
}

#[test]
fn what_is_owed_gives_nobody_more() {
    check(Bounds { has_late_costs: true, ..CALM });
}

#[test]
fn the_whole_limit_can_be_used_where_all_is_well() {
    let bounds = Bounds { reports: 8, seeks_all: true, ..CALM };
    bounds.checker().target_state_count(200_000).spawn_dfs().join().assert_properties();
}
