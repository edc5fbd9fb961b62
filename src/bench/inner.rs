//! What deciding costs, measured in this process with the real ledger: time per decision, entries and bytes of the log,
//! memory per counter.

use std::sync::Arc;
use std::time::Instant;

use portcullis_database::counters::statement::take_in;
use portcullis_database::{State, codec};
use portcullis_model::counter::CounterSubject;
use portcullis_model::id::PolicyId;
use portcullis_model::port::{Allowance, Quotas as _};
use portcullis_model::{
    ApplicationId, CounterKey, NodeAddresses, NodeId, NodeRecord, PolicyLevel, Quota, QuotaPolicy, TenantDomain,
    TimeUnit, Timestamp, Username, Window,
};
use portcullis_traffic_manager::{Ledger, Opening};

use crate::table;

/// Levels of one call: those of the original.
const LEVELS: usize = 6;
const DECISIONS: u32 = 500_000;
const TICK_MS: u64 = 20;
const POLICY: &str = "Measured";

struct Node {
    ledger: Arc<Ledger>,
    state: State,
    now: u64,
    sequence: u64,
}

fn key(number: usize) -> CounterKey {
    let user = Username(format!("user-{number}@example.com"));
    let subject = CounterSubject::Application { application: ApplicationId::from_random([1; 16]), user };
    CounterKey { tenant: TenantDomain::super_tenant(), policy: POLICY.to_owned(), subject }
}

impl Node {
    fn new(limit: u64) -> Self {
        let mut state = State::default();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let node = NodeRecord {
            id: NodeId(1),
            name: "one".to_owned(),
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
        };
        state.system.nodes.insert(node.id, Arc::new(node));
        let policy = QuotaPolicy {
            id: PolicyId::from_random([9; 16]),
            tenant: TenantDomain::super_tenant(),
            level: PolicyLevel::Application,
            name: POLICY.to_owned(),
            display_name: String::new(),
            description: String::new(),
            quota: Quota::Requests(limit),
            window: Window { length: 1, unit: TimeUnit::Hour },
            burst: None,
            stops_on_quota_reach: true,
            billing_plan: "FREE".to_owned(),
            other_fields: "{}".to_owned(),
            version: 1,
        };
        let policy_key = (policy.tenant.clone(), policy.level, policy.name.clone());
        state.deployed.policies.insert(policy_key, Arc::new(policy));
        let ledger = Ledger::new(NodeId(1));
        ledger.begin(1);
        ledger.raise_ceiling(Timestamp(u64::MAX));
        ledger.learn(&state);
        let mut node = Self { ledger, state, now: 3_600_000 * 100, sequence: 0 };
        node.tick();
        node.now += 3_600_000;
        node
    }

    /// Reports once; returns the bytes of the log's entry, 0 where there was none.
    fn tick(&mut self) -> usize {
        self.sequence += 1;
        let now = Timestamp(self.now);
        let Some(statement) = self.ledger.compose(now, self.sequence, Opening::default()) else { return 0 };
        let bytes = codec::encoded_len(&statement);
        self.state.applied_index += 1;
        take_in(&mut self.state, &statement, now);
        self.ledger.note_contact(statement.report.time);
        self.ledger.learn(&self.state);
        bytes
    }

    fn allowance(&self, number: usize) -> Option<Arc<dyn Allowance>> {
        self.ledger.allowance(&key(number))
    }

    fn take(&self, number: usize) {
        if let Some(allowance) = self.allowance(number) {
            allowance.try_take(1, Timestamp(self.now));
        }
    }
}

pub(crate) fn measure() -> String {
    let mut text = table(
        "Deciding, in one process",
        &["what", "figure"],
        &[vec![format!("{LEVELS} levels with grants in hand, per call"), format!("{} ns", decision_ns())]],
    );
    text.push('\n');
    let heads = [
        "active counters (each called once a second)",
        "entries/s",
        "bytes/s",
        "largest entry",
        "CPU of reporting and applying",
    ];
    let rows: Vec<_> = [10, 1_000, 100_000].map(entries).into_iter().collect();
    text.push_str(&table("Raft entries of one node", &heads, &rows));
    text.push('\n');
    text.push_str(&table("Memory", &["counters", "per counter on the node", "per counter in the state"], &[memory()]));
    text
}

/// Times taking from all levels of a call, with what is needed in hand.
fn decision_ns() -> u128 {
    let mut node = Node::new(1_000_000_000);
    let allowances: Vec<_> = (0..LEVELS).filter_map(|number| node.allowance(number)).collect();
    let call = |now: u64| {
        for allowance in &allowances {
            std::hint::black_box(allowance.try_take(1, Timestamp(now)));
        }
    };
    call(node.now);
    node.tick();
    let began = Instant::now();
    for _ in 0..DECISIONS {
        call(node.now);
    }
    began.elapsed().as_nanos() / u128::from(DECISIONS)
}

fn entries(counters: usize) -> Vec<String> {
    let mut node = Node::new(1_000_000);
    for number in 0..counters {
        node.take(number);
    }
    while node.tick() > 0 {
        node.now += 1;
    }
    let (mut count, mut bytes, mut largest, mut next) = (0, 0, 0, 0);
    let seconds = 2;
    let began = Instant::now();
    let mut calling = std::time::Duration::ZERO;
    for tick in 0..seconds * 1000 / TICK_MS {
        let due = counters * usize::try_from(tick + 1).unwrap_or(0) / usize::try_from(1000 / TICK_MS).unwrap_or(1);
        let called = Instant::now();
        while next < due {
            node.take(next % counters);
            next += 1;
        }
        calling += called.elapsed();
        node.now += TICK_MS;
        // More than one report holds waits for the next tick, as on a node.
        let entry = node.tick();
        count += u64::from(entry > 0);
        bytes += entry;
        largest = largest.max(entry);
    }
    let busy = (began.elapsed() - calling).as_millis() * 100 / u128::from(seconds * 1000);
    let seconds_of = usize::try_from(seconds).unwrap_or(1);
    vec![
        counters.to_string(),
        (count / seconds).to_string(),
        (bytes / seconds_of).to_string(),
        largest.to_string(),
        format!("{busy} % of one core"),
    ]
}

/// Measures a million counters; the node's part first, then the state's.
fn memory() -> Vec<String> {
    const COUNTERS: usize = 1_000_000;
    let mut node = Node::new(1_000_000);
    let before = resident_bytes();
    for number in 0..COUNTERS {
        node.take(number);
    }
    let with_node = resident_bytes();
    while node.tick() > 0 {
        node.now += 1;
    }
    let with_state = resident_bytes();
    let held = node.state.counters.counters.len();
    vec![
        held.to_string(),
        format!("{} B", with_node.saturating_sub(before) / COUNTERS as u64),
        format!("{} B", with_state.saturating_sub(with_node) / COUNTERS as u64),
    ]
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
