//! Admitted ÷ limit while something fails in the middle of a window: four clusters of three nodes at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Caller, Cluster};
use crate::load::{Load, Spread, Tally, WINDOW_MS, next_window};
use crate::{BenchError, Settings, table};

const LIMIT: u64 = 1000;
const OFFER: f64 = 2.0;
/// When in the window something fails.
const MIDDLE: Duration = Duration::from_secs(12);
/// How long a frozen node stays frozen.
const FROZEN: Duration = Duration::from_secs(20);

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillFollower,
    KillLeader,
    Freeze,
    Join,
}

const FAULTS: [(Fault, &str); 4] = [
    (Fault::KillFollower, "a follower is killed"),
    (Fault::KillLeader, "the leader is killed"),
    (Fault::Freeze, "a follower is frozen for 20 s"),
    (Fault::Join, "a node joins"),
];

pub(crate) async fn measure(settings: &Settings) -> Result<String, BenchError> {
    let mut clusters = Vec::new();
    for (fault, name) in FAULTS {
        let size = if matches!(fault, Fault::Join) { 2 } else { 3 };
        let cluster = Cluster::start(&settings.program, size).await?;
        let callers = cluster.publish(&[("bench-0".to_owned(), LIMIT, "min")]).await?;
        clusters.push((fault, name, cluster, callers));
    }
    let first = next_window().await;
    let until = Instant::now() + Duration::from_millis(2 * WINDOW_MS - 100);
    let all = clusters
        .into_iter()
        .map(|(fault, name, cluster, callers)| async move { (name, run(fault, cluster, callers, until).await) });
    let mut rows = Vec::new();
    for (name, tally) in futures_util::future::join_all(all).await {
        rows.push(row(name, &tally?, first));
    }
    let heads =
        ["in the middle of the first window", "admitted / limit", "the window after", "no answer: may be admitted"];
    Ok(table(&format!("With faults: three nodes, {LIMIT} / min, offered {OFFER} ×, evenly"), &heads, &rows))
}

fn row(name: &str, tally: &Tally, first: u64) -> Vec<String> {
    let admitted = |window| tally.windows.get(&window).map_or(0, |(admitted, _)| *admitted);
    vec![
        name.to_owned(),
        format!("{} / {LIMIT}", admitted(first)),
        format!("{} / {LIMIT}", admitted(first + 1)),
        tally.in_doubt.to_string(),
    ]
}

async fn run(fault: Fault, mut cluster: Cluster, callers: Vec<Caller>, until: Instant) -> Result<Tally, BenchError> {
    let leader = cluster.leader().await?;
    let follower = (1..3).find(|at| *at != leader).unwrap_or(1);
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let per_second = LIMIT as f64 * OFFER / 60.0;
    let token = callers.first().map(|caller| caller.token.clone()).unwrap_or_default();
    let load = Load { gateways: cluster.gateways(), token, per_second, spread: Spread::Even };
    let calls = tokio::spawn(async move { load.offer(until).await });
    tokio::time::sleep(MIDDLE).await;
    match fault {
        Fault::KillFollower => cluster.kill(follower),
        Fault::KillLeader => cluster.kill(leader),
        Fault::Freeze => {
            cluster.signal(follower, "STOP");
            tokio::time::sleep(FROZEN).await;
            cluster.signal(follower, "CONT");
        }
        Fault::Join => cluster.join().await?,
    }
    calls.await.map_err(|_| BenchError::Node("the callers failed".to_owned()))
}
