//! Calls at gateways, from many clients at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Cluster;
use super::http::send_on;

/// Offers `calls` calls from `clients` connections to the given gateways in turn, and returns (admitted, refused).
pub async fn offer(
    cluster: &Cluster,
    gateways: &[usize],
    path: &str,
    token: &str,
    clients: usize,
    calls: u64,
) -> (u64, u64) {
    let admitted = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let offered = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..clients {
        let gateway = cluster.nodes[gateways[number % gateways.len()]].gateway().with_bearer(token);
        let (admitted, refused, offered) = (Arc::clone(&admitted), Arc::clone(&refused), Arc::clone(&offered));
        let path = path.to_owned();
        tasks.spawn(async move {
            let mut connection = gateway.connect().await.expect("connect");
            while offered.fetch_add(1, Ordering::Relaxed) < calls {
                let request = gateway.request("GET", &path).body(http_body_util::Full::default()).expect("a request");
                let reply = send_on(&mut connection, request).await.expect("an answer");
                match reply.status {
                    200 => admitted.fetch_add(1, Ordering::Relaxed),
                    429 => refused.fetch_add(1, Ordering::Relaxed),
                    other => panic!("{other}: {}", reply.text()),
                };
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a client ends well");
    }
    (admitted.load(Ordering::SeqCst), refused.load(Ordering::SeqCst))
}
