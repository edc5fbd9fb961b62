//! A cluster grows and shrinks, and its nodes are drained and replaced, while it works.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::backend::Backend;
use harness::http::send_on;
use harness::journey::{self, Published, Wish};
use harness::{Client, Cluster, until};
use serde_json::json;
use tokio::task::JoinSet;

/// API calls over standing connections and writes, none of which may fail.
struct Load {
    is_over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Load {
    fn new() -> Self {
        Self { is_over: Arc::default(), calls: Arc::default(), writes: Arc::default(), tasks: JoinSet::new() }
    }

    /// Calls the API on a gateway, one call after the other on one connection.
    fn call(&mut self, gateway: Client, path: &str) {
        let (is_over, calls, path) = (Arc::clone(&self.is_over), Arc::clone(&self.calls), path.to_owned());
        self.tasks.spawn(async move {
            let mut connection = gateway.connect().await.expect("connect");
            while !is_over.load(Ordering::Relaxed) {
                let request = gateway.request("GET", &path).body(http_body_util::Full::default()).expect("a request");
                send_on(&mut connection, request).await.expect("no call fails").expect(200);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Creates applications on a node, one after the other.
    fn write(&mut self, admin: Client, name: &str) {
        let (is_over, writes, name) = (Arc::clone(&self.is_over), Arc::clone(&self.writes), name.to_owned());
        self.tasks.spawn(async move {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let body = json!({"name": format!("{name} {number}"), "throttlingPolicy": "Unlimited"});
                let made = admin.json("POST", "/api/am/devportal/v3/applications", &body).await;
                made.expect("no write fails").expect(201);
                writes.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Waits until more calls and writes have gone well.
    async fn goes_on(&self) {
        let (calls, writes) = (self.calls.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed));
        until("calls and writes to go on", async || {
            let is_more =
                self.calls.load(Ordering::Relaxed) > calls + 50 && self.writes.load(Ordering::Relaxed) > writes + 5;
            is_more.then_some(())
        })
        .await;
    }

    async fn end(mut self) {
        self.goes_on().await;
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no call and no write fails on the nodes that stay");
        }
    }
}

async fn published(cluster: &Cluster, backend: &Backend) -> (Published, String) {
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    (published, token)
}

fn operate(cluster: &Cluster, arguments: &[&str]) -> std::process::Output {
    let server = cluster.nodes.iter().find(|node| node.is_running()).expect("a running node").management_url();
    let mut all = vec!["cluster"];
    all.extend(arguments);
    all.extend(["--server", &server, "--data-dir", "n1"]);
    cluster.cli(&all)
}

#[track_caller]
fn operate_ok(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = operate(cluster, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cluster {arguments:?} failed: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

#[tokio::test(flavor = "multi_thread")]
async fn from_one_to_three_to_five_to_three_nodes_without_a_failed_call_on_those_that_stay() {
    let mut cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let (published, token) = published(&cluster, &backend).await;
    let menu = format!("{}/menu", published.path);
    let mut load = Load::new();
    for _ in 0..2 {
        load.call(cluster.nodes[0].gateway().with_bearer(&token), &menu);
    }
    load.write(cluster.nodes[0].admin(), "by node 1");
    load.goes_on().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    load.goes_on().await;
    // Nodes 3, 4 and 5 stay too; 1, which may lead, and 2 leave.
    load.call(cluster.nodes[2].gateway().with_bearer(&token), &menu);
    load.write(cluster.nodes[2].admin(), "by node 3");
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(5).await;
    load.goes_on().await;
    load.end().await;

    let mut load = Load::new();
    for position in 2..5 {
        load.call(cluster.nodes[position].gateway().with_bearer(&token), &menu);
    }
    load.write(cluster.nodes[2].admin(), "by node 3 again");
    load.write(cluster.nodes[4].admin(), "by node 5");
    // Whoever leads is among those that leave: it hands over first.
    operate_ok(&cluster, &["transfer-leader", "1"]);
    operate_ok(&cluster, &["node", "remove", "2", "--yes"]);
    load.goes_on().await;
    operate_ok(&cluster, &["node", "remove", "1", "--yes"]);
    for position in 0..2 {
        cluster.nodes[position].wait_ended().await;
    }
    cluster.wait_for_voters(3).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_replaced_and_changes_are_planned_by_the_command_line() {
    let mut cluster = Cluster::start(3).await;
    cluster.join().await;
    cluster.wait_for_voters(4).await;
    let shown = operate_ok(&cluster, &["node", "set-role", "4", "learner"]);
    assert!(shown.contains("node 4: learner"), "{shown}");
    cluster.nodes[2].kill();
    let said = operate_ok(&cluster, &["node", "replace", "3", "4"]);
    assert!(said.contains("node 4 has taken the place of node 3"), "{said}");
    cluster.wait_for_voters(3).await;

    let nothing = operate_ok(&cluster, &["plan", "show"]);
    assert!(nothing.contains("nothing is planned"), "{nothing}");
    operate_ok(&cluster, &["node", "set-role", "2", "learner", "--plan"]);
    operate_ok(&cluster, &["node", "remove", "4", "--plan"]);
    let plan = operate_ok(&cluster, &["plan", "show"]);
    assert!(plan.contains("make node 2 a learner") && plan.contains("then 1: 1"), "{plan}");
    let stale = operate(&cluster, &["plan", "apply", "--version", "1"]);
    assert_eq!(stale.status.code(), Some(5), "{}", String::from_utf8_lossy(&stale.stderr));
    operate_ok(&cluster, &["plan", "apply", "--version", "2"]);
    cluster.wait_for_voters(1).await;
    let list = operate_ok(&cluster, &["node", "list", "-o", "name"]);
    assert_eq!(list.lines().collect::<Vec<_>>(), ["1", "2"]);
    let last = operate(&cluster, &["node", "remove", "1", "--yes"]);
    let said = String::from_utf8_lossy(&last.stderr).into_owned();
    assert!(last.status.code() == Some(5) && said.contains("last-voter"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_is_not_ready_does_not_lead_and_stays_so_over_a_restart() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let (published, token) = published(&cluster, &backend).await;
    let menu = format!("{}/menu", published.path);
    let leader = cluster.leader().await;
    let drained = &cluster.nodes[leader];
    let id = (leader + 1).to_string();
    let said = operate_ok(&cluster, &["node", "drain", &id]);
    assert!(said.contains("is drained"), "{said}");
    assert_ne!(cluster.leader().await, leader);
    let health = Client::plain(&format!("http://{}:9763", drained.address));
    let is_out = async || {
        let reply = health.get("/readyz?noleader").await.ok()?;
        (reply.status == 503 && reply.text().contains("drained by admin")).then_some(())
    };
    until("the node to say that it takes no traffic", is_out).await;
    drained.gateway().with_bearer(&token).get(&menu).await.expect("calls that still come are answered").expect(200);

    drained.terminate().await;
    drained.run();
    until("the restarted node to say so again", is_out).await;
    drained.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    operate_ok(&cluster, &["node", "undrain", &id]);
    drained.wait_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_joining_node_sees_how_it_becomes_a_voter() {
    let mut cluster = Cluster::start(1).await;
    let token = cluster.join_token();
    let address = cluster.address(2).to_string();
    let arguments =
        ["cluster", "join", "--data-dir", "n2", "--bind", &address, "--token", &token, "--wait", "--wait-time", "60s"];
    // The observability port is on the node's own loopback address.
    let waiting = cluster.spawn_cli(&arguments);
    until("the data directory", async || cluster.path("n2/identity.json").exists().then_some(())).await;
    cluster.start_joined(2).await;
    let output =
        tokio::task::spawn_blocking(move || waiting.wait_with_output()).await.expect("no panic").expect("ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("node 2: admitted") && said.contains("node 2: voter"), "{said}");
    cluster.wait_for_voters(2).await;
}
