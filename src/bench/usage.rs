//! Usage: what clients saw admitted against what the cluster counted, after each node was killed and came back.

use std::time::Duration;

use portcullis_http::client::Client;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::load::{Load, Spread};
use crate::{BenchError, Settings, table};

const PER_SECOND: f64 = 300.0;
/// How long the callers call; each node is killed and restarted in it.
const CALLING: Duration = Duration::from_secs(36);
const BETWEEN_KILLS: Duration = Duration::from_secs(10);
/// How long the counters may take to settle.
const SETTLE: Duration = Duration::from_secs(20);

pub(crate) async fn measure(settings: &Settings) -> Result<String, BenchError> {
    let mut cluster = Cluster::start(&settings.program, 3).await?;
    let callers = cluster.publish(&[("bench-0".to_owned(), 10_000_000, "min")]).await?;
    let token = callers.first().map(|caller| caller.token.clone()).unwrap_or_default();
    let load = Load { gateways: cluster.gateways(), token, per_second: PER_SECOND, spread: Spread::Even };
    let until = Instant::now() + CALLING;
    let calls = tokio::spawn(async move { load.offer(until).await });
    for at in 0..3 {
        tokio::time::sleep(BETWEEN_KILLS).await;
        cluster.kill(at);
        cluster.run(at).await?;
    }
    let tally = calls.await.map_err(|_| BenchError::Node("the callers failed".to_owned()))?;
    let admitted = tally.admitted();
    let counted = settle(&cluster.admin(0)?, admitted).await?;
    let row = vec![
        admitted.to_string(),
        tally.in_doubt.to_string(),
        counted.to_string(),
        (i128::from(admitted) - i128::from(counted)).to_string(),
    ];
    let heads = ["admitted, as clients saw", "no answer: may be admitted", "counted", "admitted − counted"];
    Ok(table("Usage after kill -9 of each of three nodes in turn", &heads, &[row]))
}

/// Waits until the counters stand still, and returns what they say.
async fn settle(admin: &Client, admitted: u64) -> Result<u64, BenchError> {
    let deadline = Instant::now() + SETTLE;
    let mut counted = 0;
    while Instant::now() < deadline && counted < admitted {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let body: Value = admin.get("/api/portcullis/v1/throttling/usage?policy=bench-0").await?;
        counted = body["list"][0]["used_in_all"].as_u64().unwrap_or(0);
    }
    Ok(counted)
}
