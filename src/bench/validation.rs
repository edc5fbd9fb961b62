//! What it costs a gateway to have a key validated: in its own process, by HTTP and by Thrift. One caller calls with tokens
//! that the gateway has never seen, and with each a second time; what lies between the two is the validation.

use std::collections::BTreeMap;

use portcullis_http::client::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::load::{Tally, call};
use crate::{BenchError, table};

/// The gateways: what each is called, by the position of its node.
const WAYS: [&str; 3] = ["in the process", "HTTP", "Thrift"];
/// What each node is told, and what it serves.
const NODES: [(&str, &str); 3] = [
    ("[key_manager]\nthrift = true\n", "publisher,store,admin,traffic-manager,key-manager,gateway"),
    ("", "gateway"),
    ("[gateway]\nkey_validator_client = \"thrift\"\n", "gateway"),
];
/// Tokens for each way.
const TOKENS: usize = 1_000;

/// Measures each way.
///
/// # Errors
/// What could not be measured.
pub(crate) async fn run(program: &std::path::Path, note: &(dyn Fn(&str) + Sync)) -> Result<String, BenchError> {
    let cluster = Cluster::start_apart(program, &NODES).await?;
    let client = cluster.subscribed_client().await?;
    let mut rows = Vec::new();
    for (at, way) in WAYS.into_iter().enumerate() {
        note(&format!("validation {way} …"));
        rows.push(measure(&cluster, at, way, &client).await?);
    }
    let heads = ["validation", "first call, p50", "p99", "second call, p50", "p99", "between the medians"];
    Ok(table("Calls with tokens that a gateway sees for the first and the second time, one caller", &heads, &rows))
}

async fn measure(cluster: &Cluster, at: usize, way: &str, client: &Client) -> Result<Vec<String>, BenchError> {
    let gateway = cluster.gateway(at);
    let (mut first, mut second) = (Tally::default(), Tally::default());
    for _ in 0..TOKENS {
        let reply: Value = client.post_form("/oauth2/token", &[("grant_type", "client_credentials")]).await?;
        let token = reply["access_token"].as_str().ok_or_else(|| BenchError::Node(format!("no token in {reply}")))?;
        // Each token has a line of its own; what it takes to connect is not counted.
        let mut lines = BTreeMap::new();
        call(&mut lines, gateway, token, &mut first).await;
        call(&mut lines, gateway, token, &mut second).await;
    }
    let failed = 2 * TOKENS - first.times.len() - second.times.len();
    if failed > 0 {
        return Err(BenchError::Node(format!("{failed} calls of {} failed", 2 * TOKENS)));
    }
    let [first, second] = [first, second].map(|tally| {
        let mut times = tally.times;
        times.sort_unstable();
        (times[TOKENS / 2], times[TOKENS * 99 / 100])
    });
    let between = first.0.saturating_sub(second.0);
    let shown = [first.0, first.1, second.0, second.1, between].map(|micros| format!("{micros} µs"));
    Ok([way.to_owned()].into_iter().chain(shown).collect())
}
