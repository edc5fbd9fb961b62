//! What it costs a gateway to have a key validated: in its own process, by HTTP and by Thrift. One caller calls with tokens
//! that the gateway has never seen, and with each a second time; what lies between the two is the validation. What a known
//! key costs is too little for that, and measured in this process.

use std::net::SocketAddr;
use std::time::Instant;

use portcullis_gateway::measure;
use portcullis_http::client::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::load::Line;
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
/// Keys that a worker knows, and how often one of them is looked for.
const KNOWN: u32 = 10_000;
const LOOKS: u32 = 2_000_000;
/// Characters of keys: an opaque token, a signed one.
const KEY_CHARS: [(&str, usize); 2] = [("opaque", 60), ("signed", 900)];

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
        rows.push(measure_way(&cluster, at, way, &client).await?);
    }
    drop(cluster);
    let heads =
        ["validation", "first call, p50", "p99", "second call, p50", "p99", "between the medians", "asking, mean"];
    let title = "Calls with tokens that a gateway sees for the first and the second time, one caller";
    let unknown = table(title, &heads, &rows);
    let mut rows = Vec::new();
    for (kind, chars) in KEY_CHARS {
        note(&format!("known keys, {kind} …"));
        let wrong = |missed| BenchError::Node(format!("{missed} of {LOOKS} looks found nothing"));
        let took = measure::known_keys(KNOWN, chars, LOOKS).map_err(wrong)?;
        rows.push(vec![format!("{kind}, {chars} characters"), format!("{} ns", took.as_nanos())]);
    }
    let title = format!("A key that is one of {KNOWN} which a worker knows: found and checked");
    Ok(format!("{unknown}\n{}", table(&title, &["key", "each"], &rows)))
}

async fn measure_way(cluster: &Cluster, at: usize, way: &str, client: &Client) -> Result<Vec<String>, BenchError> {
    // One line for all tokens: what it takes to connect, and the first call of a connection, are not counted.
    let mut line = open(cluster.gateway(at)).await?;
    let mut known = token(client).await?;
    let before = asked(cluster, at).await?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..TOKENS {
        let unknown = token(client).await?;
        // The gateway slept while the token was made. A call with the last one wakes it, and is not counted.
        line.show(&known);
        time_of_call(&mut line).await?;
        line.show(&unknown);
        first.push(time_of_call(&mut line).await?);
        second.push(time_of_call(&mut line).await?);
        known = unknown;
    }
    let [first, second] = [first, second].map(|mut times| {
        times.sort_unstable();
        (times[TOKENS / 2], times[TOKENS * 99 / 100])
    });
    let between = first.0.saturating_sub(second.0);
    let after = asked(cluster, at).await?;
    let inside = (after.seconds - before.seconds) / (after.count - before.count) * 1e6;
    let shown = [first.0, first.1, second.0, second.1, between].map(|micros| format!("{micros} µs"));
    Ok([way.to_owned()].into_iter().chain(shown).chain([format!("{inside:.0} µs")]).collect())
}

/// What a gateway says of the tokens it asked its key manager about.
struct AskedOf {
    count: f64,
    seconds: f64,
}

async fn asked(cluster: &Cluster, at: usize) -> Result<AskedOf, BenchError> {
    Ok(AskedOf {
        count: cluster.metric(at, r#"portcullis_token_validations_total{result="asked"}"#).await?,
        seconds: cluster.metric(at, "portcullis_token_validation_seconds_total").await?,
    })
}

async fn token(client: &Client) -> Result<String, BenchError> {
    let reply: Value = client.post_form("/oauth2/token", &[("grant_type", "client_credentials")]).await?;
    let token = reply["access_token"].as_str().ok_or_else(|| BenchError::Node(format!("no token in {reply}")))?;
    Ok(token.to_owned())
}

async fn open(gateway: SocketAddr) -> Result<Line, BenchError> {
    Line::open(gateway, "").await.map_err(|error| BenchError::Node(format!("no connection to {gateway}: {error}")))
}

async fn time_of_call(line: &mut Line) -> Result<u128, BenchError> {
    let began = Instant::now();
    let answer = line.call().await.map_err(|error| BenchError::Node(format!("a call failed: {error}")))?;
    match answer.status {
        200 => Ok(began.elapsed().as_micros()),
        other => Err(BenchError::Node(format!("a call was answered with {other}"))),
    }
}
