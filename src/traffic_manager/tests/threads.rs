//! Many threads take from one allowance while windows roll, grants arrive and unneeded ones are given back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_database::command::StateUsage;
use portcullis_database::counters::statement::take_in;
use portcullis_database::{State, codec};
use portcullis_model::counter::CounterSubject;
use portcullis_model::port::{Quotas as _, Taken};
use portcullis_model::{
    ApplicationId, CounterKey, NodeId, PolicyLevel, QuotaPolicy, TimeUnit, Timestamp, Username, Window,
};
use portcullis_traffic_manager::{Ledger, Opening};

use state::{key, state_of};

const LIMIT: u64 = 2000;
/// What a log entry may be long.
const ENTRY_BYTES_MAX: usize = 1 << 20;

fn state() -> State {
    state_of(LIMIT, Window { length: 1, unit: TimeUnit::Second })
}

#[test]
fn threads_that_race_with_windows_and_grants_never_pass_the_limit_and_every_take_is_counted_once() {
    let ledger = Ledger::new(NodeId(1));
    ledger.begin(1);
    ledger.raise_ceiling(Timestamp(u64::MAX));
    let mut state = state();
    ledger.learn(&state);
    let clock = AtomicU64::new(5_000_000);
    let is_over = AtomicBool::new(false);
    let in_all = AtomicU64::new(0);
    let mut sequence = 0;
    let allowance = ledger.allowance(&key()).unwrap();
    let mut admitted: BTreeMap<u64, i64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let take = || {
            let mut taken: BTreeMap<u64, i64> = BTreeMap::new();
            let mut turn = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                turn += 1;
                match allowance.try_take(1, Timestamp(clock.load(Ordering::SeqCst))) {
                    Taken::Yes { window } if turn.is_multiple_of(7) => allowance.give_back(1, window),
                    Taken::Yes { window } => {
                        *taken.entry(window).or_default() += 1;
                        in_all.fetch_add(1, Ordering::SeqCst);
                    }
                    Taken::Dry | Taken::Exhausted { .. } => std::thread::yield_now(),
                    Taken::Over { .. } => panic!("the policy stops"),
                }
            }
            taken
        };
        let takers: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        // However the machine schedules the threads: until several windows' worth was taken.
        while sequence < 4000 || (in_all.load(Ordering::SeqCst) < 3 * LIMIT && sequence < 10_000_000) {
            sequence += 1;
            let now = Timestamp(clock.fetch_add(3, Ordering::SeqCst) + 3);
            report(&ledger, &mut state, now, sequence);
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::SeqCst);
        for taker in takers {
            for (window, count) in taker.join().unwrap() {
                *admitted.entry(window).or_default() += count;
            }
        }
    });
    let now = Timestamp(clock.load(Ordering::SeqCst));
    for _ in 0..100 {
        sequence += 1;
        report(&ledger, &mut state, now, sequence);
    }
    for (window, count) in &admitted {
        assert!(*count <= i64::try_from(LIMIT).unwrap(), "{count} in window {window}");
    }
    let all: i64 = admitted.values().sum();
    assert_eq!(state.counters.usage[&key()], u64::try_from(all).unwrap());
    assert!(all > i64::try_from(LIMIT).unwrap(), "{all}");
}

fn report(ledger: &Ledger, state: &mut State, now: Timestamp, sequence: u64) {
    if let Some(statement) = ledger.compose(now, sequence, Opening::default()) {
        state.applied_index += 1;
        take_in(state, &statement, now);
        ledger.note_contact(statement.report.time);
        ledger.learn(state);
    }
}

/// A key with texts as long as they may be.
fn long_key(number: usize) -> CounterKey {
    let user = Username(format!("{number:0>255}"));
    let subject = CounterSubject::Application { application: ApplicationId::from_random([1; 16]), user };
    CounterKey { subject, policy: "p".repeat(255), ..key() }
}

#[test]
fn a_report_of_thousands_of_counters_is_cut_to_what_a_log_entry_holds_and_says_everything_in_the_end() {
    const COUNTERS: usize = 3000;
    let mut state = state();
    let known = state.deployed.policies.get(&key().policy_key().unwrap()).unwrap().as_ref().clone();
    let policy = QuotaPolicy { level: PolicyLevel::Application, name: "p".repeat(255), ..known };
    state.deployed.policies.insert(long_key(0).policy_key().unwrap(), Arc::new(policy));
    let ledger = Ledger::new(NodeId(1));
    ledger.begin(1);
    ledger.raise_ceiling(Timestamp(u64::MAX));
    ledger.learn(&state);
    report(&ledger, &mut state, Timestamp(5_000_000), 1);
    let now = Timestamp(5_001_000);
    for number in 0..COUNTERS {
        let allowance = ledger.allowance(&long_key(number)).unwrap();
        assert!(matches!(allowance.try_take(1, now), Taken::Yes { .. }));
    }
    let mut said = 0;
    for sequence in 2..20 {
        let Some(statement) = ledger.compose(now, sequence, Opening::default()) else { break };
        said += statement.report.items.len();
        assert!(codec::encode(&StateUsage { statement }).unwrap().len() < ENTRY_BYTES_MAX);
    }
    assert_eq!(said, COUNTERS);
}
