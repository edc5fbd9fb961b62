//! Admitted ÷ limit in whole windows, for many limits, loads and offers at once in one cluster.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::load::{Load, Spread, Tally, WINDOW_MS, next_window};
use crate::{BenchError, Settings, table};

const LIMITS: [u64; 4] = [5, 100, 2500, 5000];
const OFFERS: [f64; 3] = [1.1, 2.0, 20.0];
const SPREADS: [Spread; 3] = [Spread::Even, Spread::OneNode, Spread::Moving];
/// Calls per second of one caller, in all: what two cores carry beside five nodes.
const PER_SECOND_MAX: f64 = 1_700.0;

/// One row of the table.
struct Case {
    limit: u64,
    spread: Spread,
    offer: f64,
}

pub(crate) fn least_time(windows: u64) -> Duration {
    Duration::from_secs(90) + Duration::from_millis(WINDOW_MS * windows)
}

/// A limit is offered 20 × in one way only where that is much: otherwise the callers would be what is measured.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for limit in LIMITS {
        for offer in OFFERS {
            for spread in SPREADS {
                let is_much = offer > 2.0 && limit > 100;
                if !is_much || spread == Spread::Even {
                    cases.push(Case { limit, spread, offer });
                }
            }
        }
    }
    cases
}

pub(crate) async fn measure(settings: &Settings, nodes: usize) -> Result<String, BenchError> {
    let cluster = Cluster::start(&settings.program, nodes).await?;
    let cases = cases();
    let plan = |(number, case): (usize, &Case)| (format!("bench-{number}"), case.limit, "min");
    let plans: Vec<_> = cases.iter().enumerate().map(plan).collect();
    let callers = cluster.publish(&plans).await?;
    let first = next_window().await;
    let until = Instant::now() + Duration::from_millis(WINDOW_MS * settings.windows - 100);
    let mut loads = JoinSet::new();
    for (number, (case, caller)) in cases.iter().zip(callers).enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let per_second = (case.limit as f64 * case.offer / 60.0).min(PER_SECOND_MAX);
        let load = Load { gateways: cluster.gateways(), token: caller.token, per_second, spread: case.spread };
        loads.spawn(async move { (number, load.offer(until).await) });
    }
    let mut tallies: Vec<Tally> = cases.iter().map(|_| Tally::default()).collect();
    while let Some(ended) = loads.join_next().await {
        if let Ok((number, tally)) = ended {
            tallies[number] = tally;
        }
    }
    let last = first + settings.windows;
    let rows: Vec<_> = cases.iter().zip(&tallies).map(|(case, tally)| row(case, tally, first..last)).collect();
    let heads = ["limit / min", "load", "offered", "admitted in each window", "worst", "mean", "no answer"];
    Ok(table(&format!("Admitted ÷ limit, {nodes} node(s), {} windows of a minute", settings.windows), &heads, &rows))
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls")]
pub(crate) fn percent(count: u64, of: u64) -> String {
    format!("{:.2} %", count as f64 * 100.0 / of.max(1) as f64)
}

fn row(case: &Case, tally: &Tally, windows: std::ops::Range<u64>) -> Vec<String> {
    let admitted: Vec<u64> =
        windows.map(|window| tally.windows.get(&window).map_or(0, |(admitted, _)| *admitted)).collect();
    let worst = admitted.iter().max().copied().unwrap_or(0);
    let (sum, whole) = (admitted.iter().sum(), case.limit * admitted.len() as u64);
    vec![
        case.limit.to_string(),
        case.spread.name().to_owned(),
        format!("{} ×", case.offer),
        admitted.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        percent(worst, case.limit),
        percent(sum, whole),
        (tally.in_doubt + tally.others + tally.unmade).to_string(),
    ]
}
