//! Admitted ÷ limit in windows of a second.
//!
//! An answer does not tell which of these windows it belongs to, so they are counted together: the calls begin with the
//! first and end with the last.

use std::time::Duration;

use tokio::time::Instant;

use crate::accuracy::percent;
use crate::cluster::Cluster;
use crate::load::{Load, Spread};
use crate::{BenchError, Settings, now_ms, table};

/// Limits per second, with what is offered of each: as much as two cores carry beside five nodes. Each is called alone,
/// evenly.
const LIMITS: [(u64, f64); 4] = [(100, 1.1), (100, 2.0), (1_000, 2.0), (10_000, 1.1)];
/// How many windows of a second are counted.
const WINDOWS: u64 = 10;

/// How long calls go on before, so that connections and verdicts are there.
const BEFORE: Duration = Duration::from_millis(300);

/// How long before the last window's end no more calls are made: those under way are not to end in the next.
const END: Duration = Duration::from_millis(30);

pub(crate) const LEAST_TIME: Duration = Duration::from_secs(75);

pub(crate) async fn measure(settings: &Settings, nodes: usize) -> Result<String, BenchError> {
    let cluster = Cluster::start(&settings.program, nodes).await?;
    let plan = |(number, (limit, _)): (usize, &(u64, f64))| (format!("bench-{number}"), *limit, "sec");
    let callers = cluster.publish(&LIMITS.iter().enumerate().map(plan).collect::<Vec<_>>()).await?;
    let mut rows = Vec::new();
    for ((limit, offer), caller) in LIMITS.into_iter().zip(callers) {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let per_second = limit as f64 * offer;
        let load = Load { gateways: cluster.gateways(), token: caller.token, per_second, spread: Spread::Even };
        drop(load.offer(Instant::now() + BEFORE).await);
        tokio::time::sleep(Duration::from_millis(1000 - now_ms() % 1000)).await;
        let tally = load.offer(Instant::now() + Duration::from_secs(WINDOWS) - END).await;
        let whole = limit * WINDOWS;
        rows.push(vec![
            limit.to_string(),
            format!("{offer} ×"),
            format!("{} of {whole}", tally.admitted()),
            percent(tally.admitted(), whole),
            (tally.in_doubt + tally.others + tally.unmade).to_string(),
        ]);
    }
    let heads = ["limit / s", "offered", "admitted", "mean", "no answer"];
    Ok(table(&format!("Admitted ÷ limit, {nodes} node(s), {WINDOWS} windows of a second"), &heads, &rows))
}
