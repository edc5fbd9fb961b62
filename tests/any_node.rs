//! Any node does anything: writes anywhere, reads of one's own writes anywhere, and reads that say what they promise.

mod harness;

use harness::Cluster;
use harness::journey::text;
use serde_json::json;

const APPLICATIONS: &str = "/api/am/devportal/v3/applications";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_one_node_is_read_on_every_other_at_once_by_its_index() {
    let cluster = Cluster::start(3).await;
    for (number, writer) in cluster.nodes.iter().enumerate() {
        let body = json!({"name": format!("app {number}"), "throttlingPolicy": "Unlimited"});
        let made = writer.admin().json("POST", APPLICATIONS, &body).await.expect("a write").expect(201);
        let (id, index) = (text(&made.json(), "applicationId"), made.header("x-raft-index").to_owned());
        for reader in &cluster.nodes {
            let path = format!("{APPLICATIONS}/{id}");
            let by_query = format!("{path}?consistency=stale&min_index={index}");
            let read = reader.admin().get(&by_query).await.expect("a read").expect(200);
            let seen: u64 = read.header("x-raft-index").parse().expect("an index");
            assert!(seen >= index.parse().expect("an index"), "{seen} of {index}");
            let header = [("x-raft-min-index", index.as_str())];
            reader.admin().send("GET", &path, &header, "").await.expect("a read").expect(200);
            for consistency in ["linearizable", "leader"] {
                let path = format!("{path}?consistency={consistency}");
                reader.admin().get(&path).await.expect("a read").expect(200);
            }
        }
    }
    let node = &cluster.nodes[1];
    for path in ["/nothing/here", APPLICATIONS, "/oauth2/jwks"] {
        let refused = node.anonymous().get(path).await.expect("an answer");
        assert!(!refused.header("x-raft-index").is_empty(), "{path} {}", refused.status);
    }
    node.admin().get(&format!("{APPLICATIONS}?min_index=soon")).await.expect("an answer").expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_only_reads_that_promise_nothing_are_answered_and_a_wait_has_an_end() {
    let cluster = Cluster::start(3).await;
    cluster.nodes[0].freeze();
    cluster.nodes[1].freeze();
    let left = cluster.nodes[2].admin();
    left.get(&format!("{APPLICATIONS}?consistency=stale")).await.expect("an answer").expect(200);
    for consistency in ["linearizable", "leader"] {
        let path = format!("{APPLICATIONS}?consistency={consistency}");
        left.get(&path).await.expect("an answer").expect(503);
    }
    let late = left.get(&format!("{APPLICATIONS}?min_index=1000000")).await.expect("an answer").expect(504);
    assert!(late.text().contains("has not applied index 1000000"), "{}", late.text());
    let server = cluster.nodes[2].management_url();
    let refused =
        cluster.cli(&["cluster", "node", "remove", "1", "--force", "--yes", "--server", &server, "--data-dir", "n3"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(7) && said.contains("no majority"), "{said}");
    cluster.nodes[0].thaw();
    cluster.nodes[1].thaw();
}
