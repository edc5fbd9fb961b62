//! The bundle for who helps, of real processes: what is in it, and that no secret is.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Cluster, PASSWORD};
use serde_json::{Value, json};

/// Returns the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_tells_of_every_node_and_holds_none_of_the_secrets_that_were_planted() {
    let mut cluster = Cluster::empty();
    cluster.configure(
        1,
        "[alerts]\nwebhook_url = \"https://hooks.example.com/T0/planted-hook\"\n\
         [events]\nwebhook_url = \"http://127.0.0.1:9/planted-events\"\ngoogle_url = \"http://127.0.0.1:9/planted-google\"\n\
         [telemetry]\notlp_endpoint = \"http://127.0.0.1:9/planted-collector\"\n[log]\nlevel = \"debug\"\n",
    );
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.wait_for_voters(2).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let token = journey::token(node, &published).await;
    let menu = format!("{}/menu", published.path);
    node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    let keys = format!("/api/am/devportal/v3/applications/{}/api-keys/PRODUCTION/generate", published.application);
    let issued =
        node.admin().json("POST", &keys, &json!({"validityPeriod": 3600})).await.expect("a key").expect(200).json();
    let api_key = text(&issued, "apikey");
    // A backend's password, sealed in the state; one in the address of a call that is refused; one of a failed sign-in.
    let path = format!("/api/am/publisher/v4/apis/{}", published.api);
    let mut body = node.admin().get(&path).await.expect("get").expect(200).json();
    body["endpointConfig"]["endpoint_security"] = json!({"production": {
        "enabled": true, "type": "BASIC", "username": "backend-user", "password": "planted-backend"}});
    node.admin().json("PUT", &path, &body).await.expect("update").expect(200);
    node.gateway().get(&format!("{menu}?apikey=planted-query-key")).await.expect("call").expect(401);
    node.as_user("admin", "planted-wrong-password").get(&path).await.expect("an answer").expect(401);
    let join_token = cluster.join_token();

    let file = cluster.path("bundle.tar.gz");
    let server = node.management_url();
    let ask = || {
        let to = file.to_str().expect("a path");
        cluster.cli(&["debug", "bundle", "--data-dir", "n1", "--server", &server, "--audit", "100", "--output", to])
    };
    let output = ask();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = ask();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("cannot be written"));

    let into = cluster.path("unpacked");
    fs::create_dir(&into).expect("a folder");
    let unpacked = Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&into).status().expect("tar runs");
    assert!(unpacked.success());
    let top = fs::read_dir(&into).expect("a folder").next().expect("one folder").expect("an entry").path();
    let read = |name: &str| fs::read_to_string(top.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = |name: &str| serde_json::from_str::<Value>(&read(name)).expect("JSON");

    let manifest = value("manifest.json");
    assert_eq!((&manifest["nodes"], &manifest["missing"]), (&json!([1, 2]), &json!([])), "{manifest:#}");
    let doctor = value("cluster/doctor.json");
    assert!(doctor["nodes"][1]["facts"]["raft"]["applied_index"].as_u64().is_some_and(|index| index > 0), "{doctor:#}");
    assert!(doctor["findings"].as_array().expect("findings").iter().any(|one| one["check"] == "state digests"));
    assert!(!value("cluster/audit.json")["list"].as_array().expect("records").is_empty());
    for id in [1, 2] {
        assert!(read(&format!("nodes/{id}/metrics.txt")).contains("portcullis_raft_term"));
        // The first one logs much more than is kept.
        assert!(read(&format!("nodes/{id}/log.txt")).contains(if id == 1 { " DEBUG " } else { "gateway listens" }));
        let surroundings = value(&format!("nodes/{id}/surroundings.json"));
        assert!(surroundings["limits"].as_str().expect("limits").contains("Max open files"));
        let list = value(&format!("nodes/{id}/files.json"));
        assert!(list["tls/node.key"].as_u64().is_some_and(|bytes| bytes > 0), "{list:#}");
    }
    let keys = value("nodes/1/configuration.json");
    let shown = |name: &str| {
        let key = keys.as_array().expect("keys").iter().find(|key| key["key"] == name).expect("the key");
        text(key, "value")
    };
    assert_eq!(shown("alerts.webhook_url"), "\"https://hooks.example.com/…\"");
    for name in ["events.webhook_url", "events.google_url", "telemetry.otlp_endpoint"] {
        assert_eq!(shown(name), "\"http://127.0.0.1:9/…\"", "{name}");
    }

    let pem = fs::read_to_string(node.data_dir.join("tls/node.key")).expect("the node's key");
    let of_pem = pem.lines().nth(1).expect("a line of base64").to_owned();
    let cluster_key = fs::read(node.data_dir.join("cluster.key")).expect("the cluster's key");
    let planted = [
        PASSWORD.to_owned(),
        "planted-".to_owned(),
        token,
        api_key,
        published.client_secret.clone(),
        STANDARD.encode(format!("admin:{PASSWORD}")),
        STANDARD.encode(format!("{}:{}", published.client_id, published.client_secret)),
        STANDARD.encode(format!("admin:{}", "planted-wrong-password")),
        join_token,
        of_pem,
        String::from_utf8_lossy(&cluster_key).trim().to_owned(),
    ];
    let all = files(&top);
    assert!(all.len() > 18, "{all:?}");
    for path in all {
        let text = fs::read_to_string(&path).expect("text");
        for secret in &planted {
            assert!(!text.contains(secret.as_str()), "{} holds {secret}", path.display());
        }
    }
}
