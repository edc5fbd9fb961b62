//! Certificates on real processes: renewed and replaced without a restart, and plain words for those not accepted.

mod harness;

use std::sync::Arc;

use harness::{Cluster, Node, until};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Life of a certificate where a test waits for its end, in seconds.
const SHORT: &str = "[cluster]\ncertificate_life_s = 12\n";

/// Returns the certificate that a port of a node shows to whoever trusts the node's `ca.pem`.
async fn shown(node: &Node, port: u16) -> Option<Vec<u8>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(node.data_dir.join("tls/ca.pem")).ok()? {
        roots.add(authority.ok()?).ok()?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((node.address, port)).await.ok()?;
    let name = ServerName::try_from(node.address.to_string()).expect("an address");
    // In TLS 1.3 the server's certificate is known before it asks for one.
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

fn listed(cluster: &Cluster, server: &str) -> Value {
    let text =
        cluster.cli_ok(&["cluster", "certificate", "list", "-o", "json", "--server", server, "--data-dir", "n1"]);
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_by_every_port_at_once() {
    let cluster = Cluster::start(2).await;
    let node = &cluster.nodes[1];
    let mut before = Vec::new();
    for port in [7443, 8243, 9443] {
        before.push(shown(node, port).await.expect("a certificate"));
    }
    assert!(before.windows(2).all(|pair| pair[0] == pair[1]));
    let server = cluster.nodes[0].management_url();
    cluster.cli_ok(&["cluster", "certificate", "renew", "2", "--server", &server, "--data-dir", "n1"]);
    for port in [7443, 8243, 9443] {
        let now = until("the new certificate", async || shown(node, port).await.filter(|now| *now != before[0])).await;
        assert_eq!(Some(now), shown(node, 9443).await, "port {port}");
    }
    node.assert_running();
    assert_eq!(listed(&cluster, &server)["count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_replaced_under_running_nodes_and_open_join_tokens_stay_good_until_it_is_retired() {
    let mut cluster = Cluster::start(2).await;
    let server = cluster.nodes[0].management_url();
    let (early, too_late) = (cluster.join_token(), cluster.join_token());
    let old_ca = std::fs::read(cluster.path("n1/tls/ca.pem")).expect("ca.pem");
    std::fs::write(cluster.path("old.pem"), old_ca).expect("old.pem");

    cluster.cli_ok(&["cluster", "certificate", "rotate-ca", "--server", &server, "--data-dir", "n1"]);
    let body = listed(&cluster, &server);
    assert_eq!(body["rotation"]["step"], "moved");
    assert_eq!(body["authorities"].as_array().map(Vec::len), Some(2));
    // Whoever believes only the former authority still gets in.
    let old_fashioned = harness::Client::secure(&server, &cluster.path("old.pem"));
    old_fashioned.get("/oauth2/jwks").await.expect("believed").expect(200);
    cluster.join_by(&early, &[]).await;
    cluster.wait_for_voters(3).await;

    cluster.cli_ok(&[
        "cluster",
        "certificate",
        "rotate-ca",
        "--retire",
        "--yes",
        "--server",
        &server,
        "--data-dir",
        "n1",
    ]);
    until("the former authority is gone from every node", async || {
        let bundles = ["n1", "n2", "n3"].map(|node| std::fs::read_to_string(cluster.path(node).join("tls/ca.pem")));
        bundles.iter().all(|text| text.as_ref().is_ok_and(|text| text.matches("BEGIN").count() == 1)).then_some(())
    })
    .await;
    until("the former authority is believed no more", async || {
        // A new client each time: one that was here before goes on with its session.
        let old_fashioned = harness::Client::secure(&server, &cluster.path("old.pem"));
        old_fashioned.get("/oauth2/jwks").await.err()
    })
    .await;
    assert_eq!(listed(&cluster, &server)["rotation"], Value::Null);
    let address = cluster.address(4).to_string();
    let refused = cluster.cli(&["cluster", "join", "--data-dir", "n4", "--bind", &address, "--token", &too_late]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("cluster token create"), "{said}");
    cluster.join().await;
    cluster.wait_for_voters(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_an_expired_certificate_is_named_on_both_sides_and_comes_back_after_an_offline_renewal() {
    let mut cluster = Cluster::empty();
    for number in 1..=3 {
        cluster.configure(number, SHORT);
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let late = &cluster.nodes[2];
    late.kill();
    let text = std::fs::read(cluster.path("n3/tls/node.pem")).expect("node.pem");
    until("the certificate of node 3 expired", async || {
        let reply = cluster.nodes[0].admin().get("/api/portcullis/v1/cluster/certificates").await.ok()?;
        let ends = reply.json()["list"][2]["not_after"].as_str()?.parse::<jiff::Timestamp>().ok()?;
        // To the second: in the second in which it ends it is still good.
        (ends.as_second() + 1 < jiff::Timestamp::now().as_second()).then_some(())
    })
    .await;
    assert_eq!(std::fs::read(cluster.path("n3/tls/node.pem")).expect("node.pem"), text, "nobody renewed it");

    late.run();
    until("both sides to say so", async || {
        let refuses = |log: &str| log.contains("the certificate of another node is not accepted");
        let is_refused = |log: &str| log.contains("another node does not accept this node's certificate");
        let logs = [cluster.nodes[0].log(), cluster.nodes[1].log()];
        let says = |line: &&str| line.contains("node-3.") && line.contains("expired at") && line.contains("--offline");
        let theirs = logs.iter().flat_map(|log| log.lines()).filter(says).any(refuses);
        let log = late.log();
        let ours = log.lines().filter(says).any(is_refused);
        (theirs && ours).then_some(())
    })
    .await;
    let running = cluster.cli(&["cluster", "certificate", "renew", "--offline", "--data-dir", "n3"]);
    assert!(!running.status.success(), "not while it runs");
    late.kill();
    cluster.cli_ok(&["cluster", "certificate", "renew", "--offline", "--data-dir", "n3"]);
    late.run();
    late.wait_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_of_another_cluster_is_named_on_both_sides() {
    let cluster = Cluster::start(3).await;
    let other = Cluster::start(1).await;
    let stray = &cluster.nodes[2];
    stray.kill();
    for file in ["ca.pem", "node.pem", "node.key"] {
        std::fs::copy(other.path("n1/tls").join(file), cluster.path("n3/tls").join(file)).expect("copied");
    }
    stray.run();
    until("both sides to say so", async || {
        let logs = [cluster.nodes[0].log(), cluster.nodes[1].log()];
        let says = |line: &&str| line.contains("no authority of") && line.contains("signed by");
        let theirs = logs.iter().flat_map(|log| log.lines()).filter(says).any(|line| line.contains("is not accepted"));
        let log = stray.log();
        let ours = log.lines().filter(says).any(|line| line.contains("this node's certificate"));
        (theirs && ours).then_some(())
    })
    .await;
    // Nodes dial again and again: the same is said once a minute.
    let says_so = |node: &Node| node.log().matches("is not accepted").count();
    assert!(says_so(&cluster.nodes[0]) <= 4, "{}", cluster.nodes[0].log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_listed_with_its_uses_and_lets_nobody_in_once_it_is_revoked() {
    let cluster = Cluster::start(1).await;
    let server = cluster.nodes[0].management_url();
    let on = ["--server", server.as_str(), "--data-dir", "n1"];
    let cli = |words: &[&str]| cluster.cli_ok(&[&["cluster", "token"], words, &on].concat());
    let token = cli(&["create", "--ttl", "2h", "--uses", "3"]).trim().to_owned();
    let table = cli(&["list"]);
    assert!(table.contains("USES LEFT") && !table.contains(&token), "{table}");
    let body: Value = serde_json::from_str(&cli(&["list", "-o", "json"])).expect("JSON");
    assert_eq!((&body["count"], &body["list"][0]["uses_left"]), (&1.into(), &3.into()));
    let id = cli(&["list", "-o", "name"]).trim().to_owned();
    cli(&["revoke", &id]);
    assert_eq!(cli(&["list", "-o", "name"]), "");
    let address = cluster.address(2).to_string();
    let refused = cluster.cli(&["cluster", "join", "--data-dir", "n2", "--bind", &address, "--token", &token]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("used up or expired"), "{said}");
    let unknown = cluster.cli(&[&["cluster", "token", "revoke", &id][..], &on].concat());
    assert_eq!(unknown.status.code(), Some(3), "not found");
}
