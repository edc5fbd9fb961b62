//! The model of throttling: the real decisions and the real ledgers in a simulated cluster. A limit is never passed,
//! whatever fails; in a healthy cluster little of it is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::BTreeMap;

use portcullis_database::command::{Command as _, Moment, PutPolicy};
use portcullis_database::counters::window::reserve_total;
use portcullis_model::{CounterKey, Principal, TimeUnit, Window, WindowKind};
use proptest::prelude::*;
use world::{BAD, Chance, GOOD, Network, World, key, policy};

const SECOND: Window = Window { length: 1, unit: TimeUnit::Second };
const MINUTE: Window = Window { length: 1, unit: TimeUnit::Minute };

fn assert_never_over(world: &World, limit: u64) {
    for ((key, window), admitted) in &world.admitted {
        // A reset gives the limit anew.
        let mut before = 0;
        for reset in &world.resets {
            let then = reset.get(&(key.clone(), *window)).copied().unwrap_or(0);
            assert!(then - before <= limit, "{key}: {then} less {before} of {limit} in window {window}");
            before = then;
        }
        assert!(admitted - before <= limit, "{key}: {admitted} less {before} of {limit} in window {window}");
    }
}

/// Fails where at any moment the calls of a window, and those of the window before by the part of it that was less
/// than a window's length back, were more than the limit.
fn assert_never_over_sliding(world: &World, limit: u64, length: u64) {
    let mut so_far: BTreeMap<(CounterKey, u64), u64> = BTreeMap::new();
    for take in &world.takes {
        let before = world.admitted.get(&(take.key.clone(), take.window - 1)).copied().unwrap_or(0);
        let begins = take.window * length;
        let still = length - (take.newest.clamp(begins, begins + length) - begins);
        let weight = (before * still).div_ceil(length);
        let own = so_far.entry((take.key.clone(), take.window)).or_default();
        *own += 1;
        assert!(*own + weight <= limit, "{own} and {weight} (of {before}) of {limit} in window {}", take.window);
    }
}

/// Where the demand arrives.
#[derive(Clone, Copy, Debug)]
enum Load {
    Even,
    OneNode,
    Moving,
}

/// Demand above the limit on a healthy cluster.
#[derive(Clone, Copy, Debug)]
struct Rush {
    nodes: u64,
    limit: u64,
    window: Window,
    load: Load,
    /// Of the limit.
    percent: u64,
    windows: u64,
    /// The longest time a message takes, and the mean time until a node has applied what is in the log.
    delay_ms: u64,
    seed: u64,
}

/// Runs a healthy cluster with demand above the limit, spread evenly over the window; returns what was admitted in
/// each whole window but the first.
fn admitted_in_each_window(rush: &Rush) -> Vec<u64> {
    let Rush { nodes, limit, window, load, percent, windows, delay_ms, seed } = *rush;
    let mut world = World::new(limit ^ nodes ^ seed, nodes, limit, window, Network { delay_ms_max: delay_ms, ..GOOD });
    for (at, node) in world.nodes.iter_mut().enumerate() {
        node.skew_ms = [0, 30, -40, 15, -10][at];
    }
    world.gives_back = false;
    let length = window.millis();
    let wanted = limit * percent;
    let begun = world.now;
    let mut asked = 0;
    let mut turn = 0;
    while world.now < begun + length * windows {
        let passed = world.now - begun;
        let due = u64::try_from(u128::from(passed) * u128::from(wanted) / u128::from(length * 100)).unwrap();
        for _ in asked..due {
            let at = match load {
                Load::Even => turn % nodes,
                Load::OneNode => 0,
                Load::Moving => (passed / (length / 4).max(1)) % nodes,
            };
            turn += 1;
            world.demand(usize::try_from(at).unwrap(), &key(1), 1);
        }
        asked = due;
        world.step();
    }
    assert_never_over(&world, limit);
    let first = begun / length + 1;
    let of_window = |index| world.admitted.get(&(key(1), index)).copied().unwrap_or(0);
    (first..begun / length + windows - 1).map(of_window).collect()
}

/// Fails where less than 99.5 % of the limit was admitted, 99 % of limits below a thousand.
fn assert_little_left(rush: &Rush) {
    let permille = if rush.limit < 1000 { 990 } else { 995 };
    let least = (rush.limit * permille).div_ceil(1000);
    let admitted = admitted_in_each_window(rush);
    assert!(admitted.iter().all(|admitted| *admitted >= least), "{rush:?}: {admitted:?}");
}

const LOADS: [Load; 3] = [Load::Even, Load::OneNode, Load::Moving];

#[test]
fn in_a_healthy_cluster_little_is_left_of_a_limit_per_second() {
    for (limit, delay_ms) in [(5, 3), (50, 3), (1000, 3), (20_000, 3), (50, 5), (1000, 5)] {
        for percent in [110, 200] {
            for load in LOADS {
                for nodes in [1, 3, 5] {
                    let seed = 0;
                    let rush = Rush { nodes, limit, window: SECOND, load, percent, windows: 6, delay_ms, seed };
                    assert_little_left(&rush);
                }
            }
        }
    }
}

#[test]
fn in_a_healthy_cluster_little_is_left_of_a_hundred_thousand_per_second() {
    for load in LOADS {
        for percent in [110, 200] {
            let (nodes, limit, window) = (3, 100_000, SECOND);
            assert_little_left(&Rush { nodes, limit, window, load, percent, windows: 4, delay_ms: 3, seed: 0 });
        }
    }
}

#[test]
fn in_a_healthy_cluster_little_is_left_of_a_limit_per_minute() {
    for (limit, delay_ms) in [(5, 3), (50, 10), (5000, 10)] {
        for load in LOADS {
            for nodes in [1, 3, 5] {
                let window = MINUTE;
                let rush = Rush { nodes, limit, window, load, percent: 110, windows: 3, delay_ms, seed: 0 };
                assert_little_left(&rush);
            }
        }
    }
}

/// The same for a sliding window, which has room again little by little.
#[test]
fn in_a_healthy_cluster_little_is_left_of_a_sliding_limit() {
    for (limit, window, length) in [(50, SECOND, 1000), (1000, SECOND, 1000), (600, MINUTE, 60_000)] {
        for nodes in [1, 3, 5] {
            let mut world = World::under(3, nodes, policy(limit, window), WindowKind::Sliding, GOOD);
            world.gives_back = false;
            let begun = world.now;
            let mut turn = 0;
            while world.now < begun + 5 * length {
                let due = (world.now - begun) * limit * 12 / (length * 10);
                while turn < due {
                    turn += 1;
                    world.demand(usize::try_from(turn % nodes).unwrap(), &key(1), 1);
                }
                world.step();
            }
            assert_never_over_sliding(&world, limit, length);
            let whole: u64 = (2..5).map(|at| world.admitted[&(key(1), begun / length + at)]).sum();
            assert!(whole >= 3 * limit * 95 / 100, "{whole} of {} at {nodes} nodes", 3 * limit);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    CutOff(usize),
    Heal(usize),
    Crash(usize),
    Start(usize),
    Skew(usize, i64),
    Join,
    Remove(usize),
    BadNetwork,
    GoodNetwork,
    HoursPass,
    Reset,
    Limit(u64),
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let node = 0..4_usize;
    prop_oneof![
        3 => node.clone().prop_map(Fault::CutOff),
        4 => node.clone().prop_map(Fault::Heal),
        2 => node.clone().prop_map(Fault::Crash),
        4 => node.clone().prop_map(Fault::Start),
        2 => (node.clone(), -3000..3000_i64).prop_map(|(node, skew)| Fault::Skew(node, skew)),
        2 => Just(Fault::Join),
        1 => node.prop_map(Fault::Remove),
        2 => Just(Fault::BadNetwork),
        1 => Just(Fault::GoodNetwork),
        1 => Just(Fault::HoursPass),
    ]
}

fn strike(world: &mut World, fault: Fault) {
    let count = world.nodes.len();
    match fault {
        Fault::CutOff(at) => world.nodes[at % count].is_cut_off = true,
        Fault::Heal(at) => world.nodes[at % count].is_cut_off = false,
        Fault::Crash(at) => world.crash(at % count),
        Fault::Start(at) => world.start(at % count),
        Fault::Skew(at, skew) => world.nodes[at % count].skew_ms = skew,
        Fault::Join if count < 6 => world.join(),
        Fault::Join => {}
        Fault::Remove(at) => world.remove(at % count),
        Fault::BadNetwork => world.network = BAD,
        Fault::GoodNetwork => world.network = GOOD,
        Fault::Reset => world.reset(),
        Fault::HoursPass => world.now += 80 * 60 * 1000 + 137,
        Fault::Limit(limit) => world.change(|state, index| {
            let moment = Moment { now: state.now(), index, random: [0; 32], principal: Principal::system() };
            let key = key(1).policy_key().unwrap();
            let known = state.deployed.policies.get(&key).unwrap().as_ref().clone();
            state.apimgt.policies.insert(key, std::sync::Arc::new(known.clone()));
            PutPolicy { policy: policy(limit, known.window), is_new: false }.apply(state, &moment).unwrap();
        }),
    }
}

/// Lets faults strike, one every `gap` milliseconds, under demand that moves about.
fn run(world: &mut World, faults: &[Fault], gap: u64, per_ms: u64) {
    let mut place = Chance(faults.len() as u64 + gap);
    for fault in faults {
        strike(world, *fault);
        for _ in 0..gap {
            let at = usize::try_from(place.below(world.nodes.len() as u64)).unwrap();
            let count = place.below(per_ms * 2 + 1);
            world.demand(at, &key(1), count);
            if place.is_once_in(20) {
                world.demand(at, &key(2), 1);
            }
            world.step();
        }
    }
}

proptest! {
    // `PROPTEST_CASES` runs more of them.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_limit_is_never_passed_whatever_fails(
        seed in any::<u64>(),
        nodes in 1..5_u64,
        limit in prop_oneof![Just(5_u64), Just(37), Just(300), Just(3000)],
        seconds in prop_oneof![Just(1_u32), Just(3), Just(12)],
        gap in 50..700_u64,
        faults in prop::collection::vec(any_fault(), 1..24),
    ) {
        let mut world = World::new(seed, nodes, limit, Window { length: seconds, unit: TimeUnit::Second }, GOOD);
        run(&mut world, &faults, gap, (limit / 400).max(1));
        assert_never_over(&world, limit);
    }

    #[test]
    fn a_reset_gives_the_limit_anew_and_no_more(
        seed in any::<u64>(),
        limit in prop_oneof![Just(7_u64), Just(60), Just(900)],
        faults in prop::collection::vec(prop_oneof![3 => any_fault(), 2 => Just(Fault::Reset)], 2..20),
    ) {
        let mut world = World::new(seed, 3, limit, Window { length: 3, unit: TimeUnit::Second }, GOOD);
        run(&mut world, &faults, 300, (limit / 300).max(1));
        assert_never_over(&world, limit);
    }

    #[test]
    fn a_sliding_limit_is_never_passed_whatever_fails(
        seed in any::<u64>(),
        nodes in 1..5_u64,
        limit in prop_oneof![Just(5_u64), Just(37), Just(300), Just(3000)],
        seconds in prop_oneof![Just(1_u32), Just(3), Just(12)],
        gap in 50..700_u64,
        faults in prop::collection::vec(any_fault(), 1..24),
    ) {
        let window = Window { length: seconds, unit: TimeUnit::Second };
        let mut world = World::under(seed, nodes, policy(limit, window), WindowKind::Sliding, GOOD);
        run(&mut world, &faults, gap, (limit / 400).max(1));
        assert_never_over_sliding(&world, limit, window.millis());
    }

    #[test]
    fn costs_known_late_are_paid_by_the_windows_that_follow(
        seed in any::<u64>(),
        nodes in 1..5_u64,
        limit in prop_oneof![Just(50_u64), Just(400), Just(3000)],
        late_cost_max in 1..40_u64,
        per_ms in 1..4_u64,
    ) {
        let mut world = World::new(seed, nodes, limit, SECOND, GOOD);
        world.late_cost_max = late_cost_max;
        let first = world.now / 1000;
        run(&mut world, &[Fault::GoodNetwork; 6], 1000, per_ms);
        world.settle(1500);
        // What was admitted in half a second, each at its dearest, may be under way when the limit is reached.
        let most_at_once = limit * 2;
        let mut used = 0;
        for window in first..first + 7 {
            let admitted: u64 = world.admitted.iter().filter(|((_, of), _)| *of == window).map(|(_, count)| count).sum();
            used += admitted + world.debited.get(&window).copied().unwrap_or(0);
            // Both keys of the load have the limit.
            let allowed = 2 * limit * (window - first + 1);
            prop_assert!(used <= allowed + most_at_once * (late_cost_max + 1), "{used} of {allowed} up to window {window}");
        }
        let counted: u64 = world.state().counters.usage.values().sum();
        prop_assert_eq!(counted, used, "every cost is counted once");
    }

    #[test]
    fn a_changed_limit_holds_from_the_next_window_on(
        seed in any::<u64>(),
        limits in prop::collection::vec(prop_oneof![Just(5_u64), Just(40), Just(400), Just(2000)], 1..5),
        faults in prop::collection::vec(any_fault(), 4..12),
    ) {
        let mut world = World::new(seed, 3, 200, SECOND, GOOD);
        let mut most = 200;
        for (limit, faults) in limits.iter().zip(faults.chunks(3)) {
            most = most.max(*limit);
            strike(&mut world, Fault::Limit(*limit));
            run(&mut world, faults, 400, 3);
        }
        let mut opened_with: BTreeMap<u64, u64> = BTreeMap::new();
        for state in &world.log {
            if let Some(counter) = state.counters.counters.get(&key(1)) {
                opened_with.insert(counter.window.index, counter.limit);
            }
        }
        for ((_, window), admitted) in world.admitted.iter().filter(|((counter, _), _)| *counter == key(1)) {
            // A node that is cut off keeps to the policy it knows: to its share of the old limit's reserve.
            let known = opened_with.get(window).copied().unwrap_or(0).max(reserve_total(most, 1000));
            prop_assert!(*admitted <= known, "{admitted} of {known} in window {window}");
        }
    }
}

/// Counts what callers saw admitted, and what the log says was used.
fn admitted_and_used(world: &World) -> (u64, u64) {
    (world.admitted.values().sum(), world.state().counters.usage.values().sum())
}

#[test]
fn usage_in_the_log_is_what_was_admitted_once_the_dust_has_settled() {
    let mut world = World::new(11, 3, 500, SECOND, BAD);
    run(&mut world, &[Fault::CutOff(1), Fault::Skew(2, 700), Fault::Heal(1), Fault::Skew(0, -400)], 1500, 1);
    world.settle(5000);
    let (admitted, used) = admitted_and_used(&world);
    assert!(admitted > 500, "{admitted}");
    assert_eq!(admitted, used);
}

#[test]
fn a_crash_loses_at_most_what_was_not_yet_stored() {
    let mut world = World::new(12, 3, 500, SECOND, BAD);
    for _ in 0..5 {
        run(&mut world, &[Fault::CutOff(0)], 300, 1);
        let (before, _) = admitted_and_used(&world);
        run(&mut world, &[Fault::GoodNetwork], 30, 1);
        world.crash(0);
        let (after, _) = admitted_and_used(&world);
        assert!(after - before < 100);
        run(&mut world, &[Fault::Heal(0), Fault::Start(0)], 700, 1);
    }
    world.settle(5000);
    let (admitted, used) = admitted_and_used(&world);
    assert!(used <= admitted, "{used} used of {admitted}");
    assert!(admitted - used < 5 * 150, "{used} used of {admitted}");
}

#[test]
fn a_cut_off_node_goes_on_with_its_reserve() {
    let mut world = World::new(13, 3, 300, SECOND, GOOD);
    run(&mut world, &[Fault::GoodNetwork], 2500, 1);
    world.nodes[0].is_cut_off = true;
    for _ in 0..4000 {
        world.demand(0, &key(1), 1);
        world.step();
    }
    let last = world.now / 1000 - 1;
    let admitted = world.admitted.get(&(key(1), last)).copied().unwrap_or(0);
    assert!((28..=30).contains(&admitted), "{admitted}: a third of 30 % of 300 each second, less what was given back");
}
