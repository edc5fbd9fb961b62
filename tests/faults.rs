//! What happens when processes die: nothing acknowledged is lost, and the others go on.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::backend::Backend;
use harness::http::send_on;
use harness::journey::{self, Wish, text};
use harness::{Cluster, until};
use serde_json::json;

async fn create_application(client: &harness::Client, name: &str) -> Option<String> {
    let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
    let reply = client.json("POST", "/api/am/devportal/v3/applications", &body).await.ok()?;
    (reply.status == 201).then(|| text(&reply.json(), "applicationId"))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_calls_go_on_and_writes_resume_within_two_seconds() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let leader = cluster.leader().await;
    let others = cluster.followers().await;

    let is_over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let mut load = tokio::task::JoinSet::new();
    for position in others.iter().cycle().take(8) {
        let gateway = cluster.nodes[*position].gateway().with_bearer(&token);
        let (is_over, calls) = (Arc::clone(&is_over), Arc::clone(&calls));
        let menu = format!("{}/menu", published.path);
        load.spawn(async move {
            let mut connection = gateway.connect().await.expect("connect");
            while !is_over.load(Ordering::Relaxed) {
                let request = gateway.request("GET", &menu).body(http_body_util::Full::default()).expect("a request");
                send_on(&mut connection, request).await.expect("no call fails").expect(200);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    until("some calls", async || (calls.load(Ordering::Relaxed) > 100).then_some(())).await;

    cluster.nodes[leader].kill();
    let killed_at = Instant::now();
    let client = cluster.nodes[others[0]].admin();
    let mut attempt = 0;
    until("a write", async || {
        attempt += 1;
        create_application(&client, &format!("after the kill {attempt}")).await
    })
    .await;
    let gap = killed_at.elapsed();
    assert!(gap < Duration::from_secs(2), "writes resumed after {gap:?}");
    let seen = calls.load(Ordering::Relaxed);
    until("calls after the election", async || (calls.load(Ordering::Relaxed) > seen + 100).then_some(())).await;
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("no call fails on the nodes that stay");
    }

    for position in &others {
        let lines = cluster.nodes[*position].log().lines().count();
        assert!(lines < 1000, "a node that is down is no reason for {lines} lines of log");
    }

    cluster.nodes[leader].run();
    // The first call that it takes must already know what was published before.
    let gateway = cluster.nodes[leader].gateway().with_bearer(&token);
    let first = until("the first call", async || gateway.get(&format!("{}/menu", published.path)).await.ok()).await;
    first.expect(200);
    cluster.nodes[leader].wait_ready().await;
    let id = create_application(&client, "while it comes back").await.expect("a write");
    let back = cluster.nodes[leader].admin();
    until("the killed node to catch up", async || {
        let reply = back.get(&format!("/api/am/devportal/v3/applications/{id}")).await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
    back_serves_calls(&cluster, leader, &token, &published.path).await;
}

async fn back_serves_calls(cluster: &Cluster, position: usize, token: &str, path: &str) {
    let gateway = cluster.nodes[position].gateway().with_bearer(token);
    gateway.get(&format!("{path}/menu")).await.expect("call").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_after_all_nodes_are_killed_at_once() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;

    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for (writer, node) in cluster.nodes.iter().enumerate() {
        let client = node.admin();
        let (acknowledged, is_over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
        writers.spawn(async move {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(id) = create_application(&client, &format!("app {writer} {number}")).await {
                    acknowledged.lock().expect("not poisoned").push(id);
                }
            }
        });
    }
    until("some writes", async || (acknowledged.lock().expect("not poisoned").len() >= 60).then_some(())).await;
    for node in &cluster.nodes {
        node.kill();
    }
    is_over.store(true, Ordering::Relaxed);
    while writers.join_next().await.is_some() {}

    for node in &cluster.nodes {
        node.run();
    }
    for node in &cluster.nodes {
        node.wait_ready().await;
    }
    let acknowledged = acknowledged.lock().expect("not poisoned").clone();
    for (number, id) in acknowledged.iter().enumerate() {
        let client = cluster.nodes[number % 3].admin();
        client.get(&format!("/api/am/devportal/v3/applications/{id}")).await.expect("get").expect(200);
    }
    for position in 0..3 {
        back_serves_calls(&cluster, position, &token, &published.path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_writes_are_refused_and_calls_go_on() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);
    cluster.nodes[2].gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    let last = &cluster.nodes[2];
    let body = json!({"name": "lost", "throttlingPolicy": "Unlimited"});
    let reply = last.admin().json("POST", "/api/am/devportal/v3/applications", &body).await.expect("an answer");
    assert!([503, 504].contains(&reply.status), "{} {}", reply.status, reply.text());
    last.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    let health = harness::Client::plain(&format!("http://{}:9763", last.address));
    until("the node to say that it is not ready", async || {
        (health.get("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await;
    last.assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_leadership_over_and_ends_with_success() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let status = cluster.nodes[leader].terminate().await;
    assert!(status.success(), "{status}\n{}", cluster.nodes[leader].log());
    let others = cluster.followers().await;
    let client = cluster.nodes[others[0]].admin();
    create_application(&client, "after the hand-over").await.expect("a write at once");
}
