//! What a limit costs a call: the same calls with and without, in turn, on one node.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::load::{Tally, call};
use crate::{BenchError, Settings, table};

const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(3);

pub(crate) async fn measure(settings: &Settings) -> Result<String, BenchError> {
    let cluster = Cluster::start(&settings.program, 1).await?;
    // So large that it is never reached, and granted in blocks all the same.
    let limited = cluster.publish(&[("bench-0".to_owned(), 100_000, "sec")]).await?;
    let limited = limited.first().map(|caller| caller.token.clone()).unwrap_or_default();
    let unlimited = cluster.unlimited().await?.token;
    let waits_before = cluster.metric(0, "portcullis_gateway_grant_waits_total").await?;
    let (mut with, mut without) = (Tally::default(), Tally::default());
    let (mut lines, mut lines_unlimited) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..ROUNDS {
        for (token, tally, lines) in
            [(&limited, &mut with, &mut lines), (&unlimited, &mut without, &mut lines_unlimited)]
        {
            let until = Instant::now() + ROUND;
            while Instant::now() < until {
                call(lines, cluster.gateway(0), token, tally).await;
            }
        }
    }
    let waits = cluster.metric(0, "portcullis_gateway_grant_waits_total").await? - waits_before;
    let row = |name: &str, tally: &mut Tally, waits: String| {
        vec![
            name.to_owned(),
            tally.times.len().to_string(),
            format!("{} µs", tally.percentile(500)),
            format!("{} µs", tally.percentile(990)),
            waits,
        ]
    };
    let rows = [row("100 000 / s", &mut with, waits.to_string()), row("unlimited", &mut without, "0".to_owned())];
    let heads = ["limit", "calls", "p50", "p99", "calls that waited for a grant"];
    Ok(table("Latency of a call through one node, one connection, in turn", &heads, &rows))
}
