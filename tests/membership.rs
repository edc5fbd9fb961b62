//! Nodes come and go by the CLI.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, Node, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_serves_what_was_there_before_and_one_that_is_removed_is_gone() {
    let mut cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let menu = format!("{}/menu", published.path);
    for node in &cluster.nodes {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }

    let server = cluster.nodes[0].management_url();
    let table = cluster.cli_ok(&["cluster", "status", "--server", &server, "--data-dir", "n1"]);
    assert!(table.contains("leader") && table.lines().count() >= 4, "{table}");
    cluster.cli_ok(&["cluster", "node", "remove", "3", "--server", &server, "--data-dir", "n1", "--yes"]);
    cluster.wait_for_voters(2).await;
    let ended = cluster.nodes[2].wait_ended().await;
    assert!(!ended.success(), "a removed node stops and says so");
    assert!(cluster.nodes[2].log().contains("removed"), "{}", cluster.nodes[2].log());
    cluster.nodes[0].gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);

    // One that was admitted, and removed before it ever ran, hears of it too.
    let late = Node::elsewhere(cluster.path("n4"), cluster.address(4));
    let (token, address) = (cluster.join_token(), late.address.to_string());
    cluster.cli_ok(&["cluster", "join", "--data-dir", "n4", "--bind", &address, "--token", &token]);
    cluster.cli_ok(&["cluster", "node", "remove", "4", "--server", &server, "--data-dir", "n1", "--yes"]);
    late.run();
    assert!(!late.wait_ended().await.success());
    assert!(late.log().contains("node 4 was removed from the cluster"), "{}", late.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_node_that_would_break_the_majority_is_refused_unless_forced() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let others = cluster.followers().await;
    cluster.nodes[others[0]].kill();
    let server = cluster.nodes[leader].management_url();
    let victim = (others[1] + 1).to_string();
    until("the dead node to be noticed", async || {
        let status = cluster.status().await?;
        status["nodes"].as_array()?.iter().any(|node| node["health"] == "unreachable").then_some(())
    })
    .await;
    let refused =
        cluster.cli(&["cluster", "node", "remove", &victim, "--server", &server, "--data-dir", "n1", "--yes"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("majority"), "{said}");
    // The dead node itself may go: that makes the cluster stronger.
    let dead = (others[0] + 1).to_string();
    cluster.cli_ok(&["cluster", "node", "remove", &dead, "--server", &server, "--data-dir", "n1", "--yes"]);
    cluster.wait_for_voters(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_voter_cannot_be_removed() {
    let cluster = Cluster::start(1).await;
    let server = cluster.nodes[0].management_url();
    let refused = cluster.cli(&["cluster", "node", "remove", "1", "--server", &server, "--data-dir", "n1", "--yes"]);
    assert!(!refused.status.success());
    cluster.nodes[0].assert_running();
    assert_eq!(cluster.status().await.expect("status")["nodes"].as_array().map(Vec::len), Some(1));
}
