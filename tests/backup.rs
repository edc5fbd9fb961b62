//! A cluster that is backed up comes back as a new one, with everything in it: keys and tokens of callers go on working.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::fs;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, Node, until};

/// A node of a restored or recovered cluster, at an address that no other node of the test has.
async fn start(cluster: &Cluster, name: &str, number: usize) -> Node {
    Node::start(cluster.path(name), cluster.address(number)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_and_administrators_had_works_on_the_restored_cluster() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[1], &published).await;
    fs::write(cluster.path("passphrase"), "a passphrase of several words\n").unwrap();

    let server = cluster.nodes[2].management_url();
    let create = ["cluster", "backup", "create", "--server", &server, "--data-dir", "n1", "--output", "a.backup"];
    cluster.cli_ok(&[&create[..], &["--passphrase-file", "passphrase"]].concat());
    let again = cluster.cli(&create);
    assert_eq!(again.status.code(), Some(5), "a backup never takes the place of a file");
    let listed = cluster.cli_ok(&["cluster", "backup", "list", ".", "-o", "json"]);
    assert!(listed.contains("\"whole\": \"yes\"") && listed.contains("\"encrypted\": \"yes\""), "{listed}");
    let checked = cluster.cli_ok(&["cluster", "backup", "verify", "a.backup", "--passphrase-file", "passphrase"]);
    assert!(checked.contains("subscriptions") && checked.contains("clients"), "{checked}");

    let whole = fs::read(cluster.path("a.backup")).unwrap();
    fs::write(cluster.path("cut.backup"), &whole[..whole.len() - 40]).unwrap();
    let cut = cluster.cli(&["cluster", "backup", "verify", "cut.backup"]);
    let told = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(!cut.status.success() && told.contains("cut off") && told.contains("PC-2041"), "{told}");

    // All of the old cluster is gone.
    for node in &cluster.nodes {
        node.kill();
    }
    let address = cluster.address(4).to_string();
    let restore = ["cluster", "restore", "--bind", &address, "--passphrase-file", "passphrase", "a.backup"];
    let used = cluster.cli(&[&restore[..], &["--data-dir", "n1"]].concat());
    assert!(!used.status.success(), "only into an empty directory");
    cluster.cli_ok(&[&restore[..], &["--data-dir", "r1"]].concat());
    let node = start(&cluster, "r1", 4).await;
    let menu = format!("{}/menu", published.path);
    let gateway = node.gateway().with_bearer(&token);
    until("the first call", async || gateway.get(&menu).await.ok().filter(|reply| reply.status == 200)).await;
    // A new token: the consumer secret can be opened.
    let fresh = journey::token(&node, &published).await;
    node.gateway().with_bearer(&fresh).get(&menu).await.unwrap().expect(200);
    let status = node.admin().get("/api/portcullis/v1/cluster/status").await.unwrap().json();
    assert_eq!(status["nodes"].as_array().unwrap().len(), 1, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_survivor_of_a_lost_majority_goes_on_after_the_clusters_name_is_given() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let recover = ["cluster", "recover", "--data-dir", "n3", "--yes", "--name"];
    let running = cluster.cli(&[&recover[..], &["portcullis"]].concat());
    assert!(String::from_utf8_lossy(&running.stderr).contains("in use"), "not while it runs");
    for node in &cluster.nodes {
        node.kill();
    }
    let other = cluster.cli(&[&recover[..], &["another"]].concat());
    assert!(String::from_utf8_lossy(&other.stderr).contains("nothing was changed"));
    let done = cluster.cli(&[&recover[..], &["portcullis"]].concat());
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    assert!(told.contains("goes on without: node 1, node 2") && told.contains("will be lost"), "{told}");

    cluster.nodes[2].run();
    cluster.nodes[2].wait_ready().await;
    let menu = format!("{}/menu", published.path);
    let gateway = cluster.nodes[2].gateway().with_bearer(&token);
    until("a call", async || gateway.get(&menu).await.ok().filter(|reply| reply.status == 200)).await;
    journey::publish(&cluster.nodes[2], &Wish::new("pasta", &url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_listed_and_looked_into() {
    let cluster = Cluster::start(1).await;
    let server = cluster.nodes[0].management_url();
    let remote = ["--server", &server, "--data-dir", "n1"];
    let made = cluster.cli_ok(&[&["cluster", "snapshot", "create", "-o", "name"], &remote[..]].concat());
    let listed = cluster.cli_ok(&[&["cluster", "snapshot", "list"], &remote[..]].concat());
    assert!(listed.contains(made.trim()), "{listed}");
    let file = format!("n1/raft/snapshots/{}", made.trim());
    let shown = cluster.cli_ok(&["cluster", "snapshot", "inspect", &file]);
    assert!(shown.contains("feature level 2") && shown.contains("policies"), "{shown}");
    let level = cluster.cli_ok(&[&["cluster", "upgrade", "check", "-o", "name"], &remote[..]].concat());
    assert_eq!(level.trim(), "2");
}
