//! A cluster as values: nodes, their clocks, the log, the network, and callers who want more than there is.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::FutureExt as _;
use portcullis_database::command::{Command as _, Moment, Numbered as _, ResetCounters, StateUsage, apply};
use portcullis_database::counters::Statement;
use portcullis_database::{Entry, State, codec};
use portcullis_model::counter::{CounterSelector, CounterSubject};
use portcullis_model::id::PolicyId;
use portcullis_model::port::{Allowance, Quotas as _, Taken};
use portcullis_model::{
    ApiId, ApplicationId, CounterKey, NodeAddresses, NodeId, NodeRecord, PolicyLevel, PolicyRules, Principal, Quota,
    QuotaPolicy, TenantDomain, Timestamp, Window, WindowKind,
};
use portcullis_traffic_manager::{Ledger, Opening};

/// A repeatable source of chance (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn is_once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub delay_ms_max: u64,
    /// One message in so many is lost; 0 for none.
    pub loss: u64,
    /// One proposal in so many arrives again, up to two seconds later; 0 for none.
    pub repeats: u64,
}

pub const GOOD: Network = Network { delay_ms_max: 3, loss: 0, repeats: 0 };
pub const BAD: Network = Network { delay_ms_max: 40, loss: 5, repeats: 5 };

pub struct Node {
    pub id: NodeId,
    pub skew_ms: i64,
    pub is_cut_off: bool,
    pub is_running: bool,
    ledger: Arc<Ledger>,
    allowances: BTreeMap<CounterKey, Arc<dyn Allowance>>,
    /// Durable: survives a crash.
    incarnation: u64,
    ceiling: u64,
    stored: VecDeque<Statement>,
    /// Lost in a crash.
    opening: Opening,
    sequence: u64,
    resend_at: u64,
    /// When it made its last report.
    made_at: u64,
    hurry_at: Option<u64>,
    waiting: BTreeMap<CounterKey, VecDeque<Wait>>,
    applied: usize,
}

/// A call that was admitted.
#[derive(Clone, Debug)]
pub struct Take {
    pub key: CounterKey,
    pub window: u64,
    /// The newest time of any node then.
    pub newest: u64,
}

/// A request that waits, as a gateway's does.
struct Wait {
    until: u64,
    changed: Pin<Box<dyn Future<Output = ()>>>,
}

impl Wait {
    fn begin(until: u64, allowance: &Arc<dyn Allowance>) -> Self {
        let allowance = Arc::clone(allowance);
        let mut wait = Self { until, changed: Box::pin(async move { allowance.changed().await }) };
        wait.is_woken();
        wait
    }

    fn is_woken(&mut self) -> bool {
        self.changed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

pub struct World {
    pub now: u64,
    pub chance: Chance,
    pub network: Network,
    pub nodes: Vec<Node>,
    /// The state after each entry; the first is the one before all.
    pub log: Vec<Arc<State>>,
    on_the_way: BTreeMap<u64, Vec<Entry>>,
    pub admitted: BTreeMap<(CounterKey, u64), u64>,
    pub denied: u64,
    /// The newest time of any node: the log's is not newer.
    pub newest: u64,
    /// What was admitted, in order, with the newest time then.
    pub takes: Vec<Take>,
    /// What was admitted when counters were reset, each time.
    pub resets: Vec<BTreeMap<(CounterKey, u64), u64>>,
    /// The most that a call turns out to cost beyond one, up to half a second later; 0 where all cost one.
    pub late_cost_max: u64,
    debits: BTreeMap<u64, Vec<(usize, CounterKey, u64)>>,
    /// What calls turned out to cost, by the window in which that was.
    pub debited: BTreeMap<u64, u64>,
    /// Its clock stands still, so that real time does not end a wait.
    runtime: tokio::runtime::Runtime,
    /// Whether one request in fifty is refused by another limit and given back.
    pub gives_back: bool,
}

pub fn key(number: u8) -> CounterKey {
    CounterKey {
        tenant: TenantDomain::super_tenant(),
        policy: "Tested".to_owned(),
        subject: CounterSubject::Subscription {
            application: ApplicationId::from_random([number; 16]),
            api: ApiId::from_random([7; 16]),
        },
    }
}

pub fn policy(limit: u64, window: Window) -> QuotaPolicy {
    QuotaPolicy {
        id: PolicyId::from_random([9; 16]),
        tenant: TenantDomain::super_tenant(),
        level: PolicyLevel::Subscription,
        name: "Tested".to_owned(),
        display_name: String::new(),
        description: String::new(),
        quota: Quota::Requests(limit),
        window,
        burst: None,
        stops_on_quota_reach: true,
        billing_plan: "FREE".to_owned(),
        other_fields: "{}".to_owned(),
        version: 1,
    }
}

fn record(id: NodeId) -> NodeRecord {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    NodeRecord {
        id,
        name: id.to_string(),
        addresses: NodeAddresses {
            cluster: address,
            management: address,
            gateway_http: address,
            gateway_https: address,
        },
        components: Vec::new(),
        is_voter: true,
        admitted_at: Timestamp(0),
        removed_at: None,
    }
}

impl World {
    pub fn new(seed: u64, nodes: u64, limit: u64, window: Window, network: Network) -> Self {
        Self::under(seed, nodes, policy(limit, window), WindowKind::Fixed, network)
    }

    /// Makes a world of `nodes` nodes under `policy`, whose windows follow each other as `window_kind` says.
    pub fn under(seed: u64, nodes: u64, policy: QuotaPolicy, window_kind: WindowKind, network: Network) -> Self {
        let window = policy.window;
        let mut state = State::default();
        for id in 1..=nodes {
            state.system.nodes.insert(NodeId(id), Arc::new(record(NodeId(id))));
        }
        let policy = Arc::new(policy);
        let policy_key = (policy.tenant.clone(), policy.level, policy.name.clone());
        state.deployed.policies.insert(policy_key.clone(), policy);
        let rules = PolicyRules { window_kind, ..PolicyRules::default() };
        state.deployed.policy_rules.insert(policy_key, Arc::new(rules));
        let mut world = Self {
            now: 1_000_000_000 * window.millis().min(1000) / 1000,
            chance: Chance(seed),
            network,
            nodes: Vec::new(),
            log: vec![Arc::new(state)],
            on_the_way: BTreeMap::new(),
            admitted: BTreeMap::new(),
            denied: 0,
            newest: 0,
            takes: Vec::new(),
            resets: Vec::new(),
            late_cost_max: 0,
            debits: BTreeMap::new(),
            debited: BTreeMap::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap(),
            gives_back: true,
        };
        for id in 1..=nodes {
            world.add(NodeId(id));
        }
        world
    }

    fn add(&mut self, id: NodeId) {
        let node = Node {
            id,
            skew_ms: 0,
            is_cut_off: false,
            is_running: false,
            ledger: Ledger::new(id),
            allowances: BTreeMap::new(),
            incarnation: 0,
            ceiling: 0,
            stored: VecDeque::new(),
            opening: Opening::default(),
            sequence: 0,
            resend_at: 0,
            made_at: 0,
            hurry_at: None,
            waiting: BTreeMap::new(),
            applied: 0,
        };
        self.nodes.push(node);
        self.start(self.nodes.len() - 1);
    }

    /// Changes the state through the log, as another component's command would.
    pub fn change(&mut self, change: impl FnOnce(&mut State, u64)) {
        let mut state = self.log.last().unwrap().as_ref().clone();
        state.applied_index += 1;
        let index = state.applied_index;
        change(&mut state, index);
        self.log.push(Arc::new(state));
    }

    pub fn join(&mut self) {
        let id = NodeId(self.nodes.len() as u64 + 1);
        self.change(|state, _| {
            state.system.nodes.insert(id, Arc::new(record(id)));
        });
        self.add(id);
    }

    pub fn remove(&mut self, at: usize) {
        let id = self.nodes[at].id;
        self.change(|state, _| {
            let removed = NodeRecord { removed_at: Some(Timestamp(1)), ..record(id) };
            state.system.nodes.insert(id, Arc::new(removed));
        });
    }

    /// Stops a node at once; what it had not stored is gone.
    pub fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.is_running = false;
        node.allowances.clear();
        node.waiting.clear();
    }

    /// Starts a node from what it had stored, with an older state than it had before.
    pub fn start(&mut self, at: usize) {
        let back = usize::try_from(self.chance.below(20)).unwrap();
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.is_running {
            return;
        }
        node.is_running = true;
        node.ledger = Ledger::new(node.id);
        node.opening = Opening { reserve_from: Timestamp(node.ceiling), is_store_new: node.incarnation == 0 };
        node.incarnation += 1;
        node.sequence = 0;
        node.applied = node.applied.saturating_sub(back);
        for statement in &mut node.stored {
            for item in &mut statement.report.items {
                item.ask = 0;
            }
        }
        node.ledger.begin(node.incarnation);
        node.ledger.learn(&self.log[node.applied]);
        node.made_at = now;
        node.resend_at = now;
    }

    /// Callers want `count` more at a node.
    pub fn demand(&mut self, at: usize, key: &CounterKey, count: u64) {
        if self.nodes[at].is_running {
            for _ in 0..count {
                if !self.try_one(at, key) {
                    self.wait_for(at, key, self.now + 25);
                }
            }
        }
    }

    fn wait_for(&mut self, at: usize, key: &CounterKey, until: u64) {
        let _entered = self.runtime.enter();
        let node = &mut self.nodes[at];
        let wait = Wait::begin(until, &node.allowances[key]);
        node.waiting.entry(key.clone()).or_default().push_back(wait);
    }

    /// Tries to admit one request; returns whether it was decided.
    fn try_one(&mut self, at: usize, key: &CounterKey) -> bool {
        let now = self.wall(at);
        let gives_back = self.gives_back && self.chance.is_once_in(50);
        let node = &mut self.nodes[at];
        if !node.allowances.contains_key(key) {
            let Some(allowance) = node.ledger.allowance(key) else { return true };
            node.allowances.insert(key.clone(), allowance);
        }
        let allowance = &node.allowances[key];
        match allowance.try_take(1, now) {
            Taken::Yes { window } if gives_back => allowance.give_back(1, window),
            Taken::Yes { window } => {
                self.newest = self.newest.max(node.ledger.advance(now).0);
                *self.admitted.entry((key.clone(), window)).or_default() += 1;
                self.takes.push(Take { key: key.clone(), window, newest: self.newest });
                self.debit_later(at, key);
            }
            Taken::Exhausted { .. } => self.denied += 1,
            Taken::Dry => return false,
            Taken::Over { .. } => panic!("the policy stops"),
        }
        true
    }

    /// What a call costs beyond one is known later.
    fn debit_later(&mut self, at: usize, key: &CounterKey) {
        if self.late_cost_max > 0 {
            let due = self.now + 1 + self.chance.below(500);
            let cost = self.chance.below(self.late_cost_max + 1);
            self.debits.entry(due).or_default().push((at, key.clone(), cost));
        }
    }

    fn debit(&mut self) {
        for (at, key, cost) in self.debits.remove(&self.now).unwrap_or_default() {
            let now = self.wall(at);
            let node = &mut self.nodes[at];
            if let Some(allowance) = node.allowances.get(&key).filter(|_| node.is_running) {
                allowance.debit(cost, now);
                let length = self.log[0].deployed.policies.values().next().unwrap().window.millis();
                *self.debited.entry(node.ledger.advance(now).0 / length).or_default() += cost;
            }
        }
    }

    /// Resets all counters, through the log.
    pub fn reset(&mut self) {
        let tenant = TenantDomain::super_tenant();
        let selector = CounterSelector { tenant, level: None, policy: None, application: None, user: None };
        self.change(|state, index| {
            let moment = Moment { now: state.now(), index, random: [0; 32], principal: Principal::system() };
            ResetCounters { selector, after: None }.apply(state, &moment).unwrap();
        });
        self.resets.push(self.admitted.clone());
    }

    fn wall(&self, at: usize) -> Timestamp {
        Timestamp(self.now.saturating_add_signed(self.nodes[at].skew_ms))
    }

    /// One millisecond passes.
    pub fn step(&mut self) {
        self.now += 1;
        self.debit();
        let due: Vec<u64> = self.on_the_way.range(..=self.now).map(|(at, _)| *at).collect();
        for at in due {
            for entry in self.on_the_way.remove(&at).unwrap() {
                let mut state = self.log.last().unwrap().as_ref().clone();
                let index = state.applied_index + 1;
                apply(&mut state, index, &entry).unwrap().result.unwrap();
                self.log.push(Arc::new(state));
            }
        }
        for at in 0..self.nodes.len() {
            if self.nodes[at].is_running {
                self.learn(at);
                self.wait(at);
                self.tick(at);
                self.send(at);
            }
        }
    }

    /// A node applies some of what it has not.
    fn learn(&mut self, at: usize) {
        let is_slow = !self.chance.is_once_in(self.network.delay_ms_max);
        let node = &mut self.nodes[at];
        if node.is_cut_off || is_slow || node.applied + 1 >= self.log.len() {
            return;
        }
        let behind = self.log.len() - 1 - node.applied;
        let steps = usize::try_from(self.chance.below(behind as u64)).unwrap() + 1;
        node.applied += steps;
        let state = &self.log[node.applied];
        node.ledger.learn(state);
        let Some(source) = state.counters.sources.get(&node.id) else { return };
        while let Some(first) = node.stored.front().map(|statement| &statement.report) {
            if (first.incarnation, first.sequence) > (source.incarnation, source.sequence) {
                break;
            }
            node.ledger.note_contact(if first.incarnation == node.incarnation { first.time } else { Timestamp(0) });
            node.stored.pop_front();
            node.resend_at = 0;
        }
    }

    fn wait(&mut self, at: usize) {
        let keys: Vec<CounterKey> = self.nodes[at].waiting.keys().cloned().collect();
        for key in keys {
            for _ in 0..self.nodes[at].waiting[&key].len() {
                let mut wait = self.nodes[at].waiting.get_mut(&key).unwrap().pop_front().unwrap();
                let is_late = self.now >= wait.until;
                if !is_late && !wait.is_woken() {
                    self.nodes[at].waiting.get_mut(&key).unwrap().push_back(wait);
                    continue;
                }
                let until = wait.until;
                drop(wait);
                match self.try_one(at, &key) {
                    true => {}
                    false if is_late => self.denied += 1,
                    false => self.wait_for(at, &key, until),
                }
            }
        }
    }

    fn tick(&mut self, at: usize) {
        let wall = self.wall(at);
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.ledger.hurried().now_or_never().is_some() {
            node.hurry_at = node.hurry_at.or(Some(now + 1));
        }
        let tick = match node.stored.len() {
            0..2 if node.ledger.is_calm() => 100,
            0..2 => 20,
            _ => 200,
        };
        let is_due =
            now >= node.made_at + tick || (node.stored.len() < 2 && node.hurry_at.is_some_and(|hurry| now >= hurry));
        let is_replayed = node.stored.iter().all(|one| one.report.incarnation == node.incarnation);
        if !is_due || !is_replayed || node.stored.len() >= 64 {
            return;
        }
        node.made_at = now;
        node.hurry_at = None;
        let time = node.ledger.advance(wall);
        if time.0 + 5_000 > node.ceiling {
            node.ceiling = time.0 + 15_000;
            node.ledger.raise_ceiling(Timestamp(node.ceiling));
        }
        if let Some(statement) = node.ledger.compose(wall, node.sequence + 1, node.opening) {
            node.sequence += 1;
            node.stored.push_back(statement);
        }
    }

    fn send(&mut self, at: usize) {
        let wall = self.wall(at);
        let node = &mut self.nodes[at];
        let Some(statement) = node.stored.front().cloned() else { return };
        if node.is_cut_off || self.now < node.resend_at {
            return;
        }
        node.resend_at = self.now + 100;
        let entry = Entry {
            command: StateUsage::NUMBER,
            proposed_at: wall,
            random: [0; 32],
            principal: Principal::system(),
            idempotency: None,
            payload: codec::encode(&StateUsage { statement }).unwrap(),
        };
        self.newest = self.newest.max(wall.0);
        let arrives = self.now + 1 + self.chance.below(self.network.delay_ms_max);
        if self.network.repeats > 0 && self.chance.is_once_in(self.network.repeats) {
            let again = arrives + self.chance.below(2000);
            self.on_the_way.entry(again).or_default().push(entry.clone());
        }
        if self.network.loss == 0 || !self.chance.is_once_in(self.network.loss) {
            self.on_the_way.entry(arrives).or_default().push(entry);
        }
    }

    pub fn state(&self) -> &State {
        self.log.last().unwrap()
    }

    /// Lets all that is under way arrive, with no more demand.
    pub fn settle(&mut self, millis: u64) {
        for _ in 0..millis {
            self.step();
        }
    }
}
