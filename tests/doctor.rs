//! Health as supervisors, balancers and operators see it on real processes.

mod harness;

use std::time::Duration;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Client, Cluster, until};
use serde_json::Value;

fn health(cluster: &Cluster, position: usize) -> Client {
    Client::plain(&format!("http://{}:9763", cluster.nodes[position].address))
}

fn findings<'a>(body: &'a Value, check: &str) -> Vec<&'a Value> {
    body["findings"].as_array().into_iter().flatten().filter(|finding| finding["check"] == check).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_compares_all_nodes_while_writes_go_on_and_names_the_one_that_is_down() {
    let cluster = Cluster::start(3).await;
    let server = cluster.nodes[0].management_url();
    let examine = || {
        let output = cluster.cli(&["doctor", "-o", "json", "--server", &server, "--data-dir", "n1"]);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let client = cluster.nodes[1].admin();
    let writing = tokio::spawn(async move {
        for number in 0.. {
            let body = serde_json::json!({"name": format!("app {number}"), "throttlingPolicy": "Unlimited"});
            if client.json("POST", "/api/am/devportal/v3/applications", &body).await.is_err() {
                return;
            }
        }
    });
    let body = until("a comparison while writes go on", async || {
        let body = examine();
        // How full this machine's disk is has nothing to do with it.
        let is_bad = |finding: &&Value| finding["outcome"] == "failed" && finding["check"] != "disk";
        for part in ["findings", "local"] {
            assert_eq!(body[part].as_array().into_iter().flatten().find(is_bad), None, "{body:#}");
        }
        let digests = findings(&body, "state digests").first().copied()?.clone();
        (digests["outcome"] == "ok" && digests["detail"].as_str()?.contains("1, 2, 3")).then_some(body)
    })
    .await;
    writing.abort();
    for check in ["answers", "certificate", "sync time", "ports", "access matrix", "ready"] {
        assert!(findings(&body, check).iter().all(|finding| finding["outcome"] == "ok"), "{check}: {body:#}");
    }
    assert_eq!(findings(&body, "certificate").len(), 3);
    assert_eq!(body["local"][0]["check"], "node");

    let victim = cluster.followers().await[0];
    cluster.nodes[victim].kill();
    let from = cluster.nodes.iter().find(|node| node.is_running()).expect("a running node").management_url();
    let output = cluster.cli(&["doctor", "--server", &from]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{text}");
    let section = text.split(&format!("node {}\n", victim + 1)).nth(1).expect("the node is named");
    assert!(section.starts_with("  ✖ answers:") && section.contains("try"), "{text}");

    let data_dir = format!("n{}", victim + 1);
    let local = cluster.cli(&["doctor", "--data-dir", &data_dir, "--server", &from]);
    assert!(String::from_utf8_lossy(&local.stdout).contains("which does not run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_are_shown_for_every_node_and_the_pages_of_health_agree() {
    let cluster = Cluster::start(2).await;
    let server = cluster.nodes[0].management_url();
    let body = cluster.cli_ok(&["debug", "actors", "-o", "json", "--server", &server, "--data-dir", "n1"]);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let of_node = |node: u64| body["list"].as_array().expect("a list").iter().filter(|row| row["node"] == node).count();
    assert!(of_node(1) >= 4 && of_node(1) == of_node(2), "{body:#}");
    for path in ["/livez", "/readyz", "/startupz", "/healthz"] {
        health(&cluster, 0).get(path).await.expect(path).expect(200);
    }
    let verbose = health(&cluster, 0).get("/readyz?verbose").await.expect("readyz").expect(200).text();
    assert!(verbose.contains("[+]tls ok") && verbose.contains("[+]caught_up ok"), "{verbose}");
    let metrics = health(&cluster, 1).get("/metrics").await.expect("metrics").expect(200).text();
    for family in [
        "portcullis_raft_fsync_duration_seconds_bucket",
        "portcullis_raft_apply_duration_seconds_count{command=\"RecordCertificate\"}",
        "portcullis_database_bytes{database=\"apimgtdb\"}",
        "portcullis_certificate_not_after_seconds ",
    ] {
        assert!(metrics.contains(family), "{family} is missing in\n{metrics}");
    }
    assert!(cluster.cli(&["doctor", "--ping", "--data-dir", "n1"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_says_so_first_goes_on_taking_calls_and_cuts_none_off() {
    let cluster = Cluster::empty();
    cluster.configure(1, "[node]\nunready_ms = 3000\n");
    let mut cluster = cluster;
    cluster.bootstrap().await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let gateway = cluster.nodes[0].gateway().with_bearer(&token);
    let menu = format!("{}/menu", published.path);
    gateway.get(&menu).await.expect("call").expect(200);

    let pages = health(&cluster, 0);
    let unready = async {
        until("the node to say that it is not ready", async || {
            (pages.get("/readyz").await.ok()?.status == 503).then_some(())
        })
        .await;
        let reason = pages.get("/readyz").await.expect("still there").text();
        assert!(reason.contains("stopping"), "{reason}");
        // Balancers have not noticed yet: a call on a new connection still goes through.
        gateway.get(&menu).await.expect("call").expect(200);
        pages.get("/livez").await.expect("alive").expect(200);
    };
    let (status, ()) =
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(cluster.nodes[0].terminate(), unready) })
            .await
            .expect("it stops");
    assert!(status.success(), "{status}\n{}", cluster.nodes[0].log());
    assert!(gateway.get(&menu).await.is_err(), "nothing listens any more");
    let ping = cluster.cli(&["doctor", "--ping", "--data-dir", "n1"]);
    assert_eq!(ping.status.code(), Some(6), "nobody answers");
}
