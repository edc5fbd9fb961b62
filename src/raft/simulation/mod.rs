//! Whole clusters in one thread on a simulated network, disks and clock (turmoil), each a function of its seed: this crate's
//! own code from proposals and reads to membership and the log's files, openraft, and the database's state machine, while
//! nodes crash, lose power, are cut off, slow or removed.
//!
//! Not simulated are TLS, threads and the kernel: for those, real nodes are put through faults by `jepsen/`.
//!
//! A test run has a few schedules; `scripts/simulate.sh` has thousands, and there a seed gives the very same schedule again:
//! tokio wakes those who wait for the same thing in an order of chance, which comes from the seed only in a build with
//! `--cfg tokio_unstable`, and it numbers the tasks of a process, so that there a process runs one schedule at a time.

mod faults;
mod history;
mod home;
mod node;
mod plan;
mod runtime;
mod totals;
mod world;

pub(crate) use self::runtime::{Immediate, Runtime, is_here};

use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules of every test run.
const SCHEDULES: u64 = 24;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn no_simulated_schedule_breaks_a_promise() {
    let first = number("PORTCULLIS_SIMULATION_SEED").unwrap_or(1);
    let seeds = first..first + number("PORTCULLIS_SIMULATIONS").unwrap_or(SCHEDULES);
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let (mut broken, mut all) = (Vec::new(), totals::Totals::default());
    let threads = if cfg!(tokio_unstable) { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    std::thread::scope(|scope| {
        let work = || {
            let (mut broken, mut all) = (Vec::new(), totals::Totals::default());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return (broken, all);
                }
                match world::run(seed) {
                    Ok(done) => all.add(&done.totals),
                    Err(why) => broken.push(format!("seed {seed}: {why}")),
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (mine, totals) = worker.join().expect("a simulation does not panic");
            broken.extend(mine);
            all.add(&totals);
        }
    });
    broken.sort();
    assert!(broken.is_empty(), "{} schedules: {}", broken.len(), broken.join("\n"));
    all.assert_covers(end - seeds.start);
}

/// A simulated node that asked without a pause would never come to the end of its tick.
#[test]
fn a_simulated_node_whose_raft_has_ended_pauses_between_two_tries() {
    let trace = world::ask_after_the_end().expect("no broken promise");
    assert!(trace.iter().any(|event| event == "1 was to AskAfterTheEnd: true"), "{trace:?}");
}

#[cfg(tokio_unstable)]
#[test]
fn a_seed_gives_the_same_simulated_schedule_again() {
    for seed in [3, 4] {
        let (first, again) = (world::run(seed), world::run(seed));
        let (first, again) = (first.expect("no broken promise"), again.expect("no broken promise"));
        assert!(first.trace.len() > 100, "{}", first.trace.len());
        let differ = first.trace.iter().zip(&again.trace).position(|(one, other)| one != other);
        if let Some(place) = differ {
            panic!("seed {seed}, event {place}: {} and {}", first.trace[place], again.trace[place]);
        }
        assert_eq!(first.trace.len(), again.trace.len());
    }
}
