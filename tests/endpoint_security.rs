//! Secrets for backends: from the publisher's document to every gateway, and shown to nobody.

mod harness;

use std::path::Path;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const SECRET: &str = "s3cret-of-the-backend";

/// Says whether a file below a directory holds the secret.
fn is_on_disk(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("the directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path);
        }
        // A file may be gone, or be locked, by the time it is read.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_for_the_backend_is_kept_sealed_shown_to_nobody_and_used_by_every_gateway() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = cluster.nodes[1].admin();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let path = format!("{PUBLISHER}/apis/{}", published.api);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    let security = |password: &str| json!({"production": {"enabled": true, "type": "BASIC", "username": "gate", "password": password}});

    api["endpointConfig"]["endpoint_security"] = security("");
    let refused = admin.json("PUT", &path, &api).await.expect("update").expect(400).text();
    assert!(refused.contains("endpoint_security.production.password"), "{refused}");
    api["endpointConfig"]["endpoint_security"] = security(SECRET);
    let updated = admin.json("PUT", &path, &api).await.expect("update").expect(200).json();
    assert_eq!(updated["endpointConfig"]["endpoint_security"], security(""));
    // What was read is sent back, as clients do: the password stays.
    let mut read = admin.get(&path).await.expect("api").expect(200).json();
    read["description"] = json!("with a password");
    admin.json("PUT", &path, &read).await.expect("update").expect(200);
    journey::deploy(&admin, &published.api).await;

    for node in &cluster.nodes {
        let reply = node.gateway().with_bearer(&token).get(&format!("{}/menu", published.path)).await.expect("call");
        let seen: Value = reply.expect(200).json();
        assert_eq!(seen["headers"]["authorization"], "Basic Z2F0ZTpzM2NyZXQtb2YtdGhlLWJhY2tlbmQ=");
    }
    for (node, number) in cluster.nodes.iter().zip(1..) {
        assert!(!node.log().contains(SECRET), "the log of node {number} shows the password");
        assert!(!is_on_disk(&cluster.path(&format!("n{number}"))), "node {number} keeps the password as it is");
    }
    for path in [path.clone(), format!("{path}/revisions"), format!("{path}/swagger")] {
        let shown = admin.get(&path).await.expect("document").expect(200).text();
        assert!(!shown.contains(SECRET) && !shown.contains("sealed:"), "{path}: {shown}");
    }
}
