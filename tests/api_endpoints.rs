//! Endpoints of an API that have names: chosen, deployed with a revision, kept secret, and moved with the API.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster, Node};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";

fn endpoint(name: &str, url: &str) -> Value {
    json!({
        "name": name,
        "deploymentStage": "PRODUCTION",
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": {"url": url},
            "endpoint_security": {
                "production": {"enabled": true, "type": "BASIC", "username": "u", "password": "s3cret"},
            },
        },
    })
}

async fn choose(admin: &Client, api: &str, id: Option<&str>, status: u16) -> Value {
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["primaryProductionEndpointId"] = json!(id);
    admin.json("PUT", &path, &body).await.expect("update").expect(status).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_to_the_endpoint_that_the_deployed_revision_chose() {
    let cluster = Cluster::start(3).await;
    let (usual, other) = (Backend::start("usual").await, Backend::start("other").await);
    let (usual_url, other_url) = (usual.url(), other.url());
    let (first, admin) = (&cluster.nodes[0], cluster.nodes[1].admin());
    let pizza = journey::publish_and_subscribe(first, &Wish::new("pizza", &usual_url)).await;
    let token = journey::token(first, &pizza).await;
    let menu = format!("{}/menu", pizza.path);
    let call = async |node: &Node| {
        let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200).json();
        (text(&reply, "backend"), reply["headers"]["authorization"].as_str().unwrap_or_default().to_owned())
    };

    let base = format!("{PUBLISHER}/apis/{}/endpoints", pizza.api);
    let made = admin.json("POST", &base, &endpoint("eu", &other_url)).await.expect("add").expect(201).json();
    let id = text(&made, "id");
    assert_eq!(made["endpointConfig"]["endpoint_security"]["production"]["password"], "", "secrets are not shown");
    let twice = admin.json("POST", &base, &endpoint("eu", &other_url)).await.expect("add").expect(400).text();
    assert!(twice.contains("name"), "{twice}");
    let mut nowhere = endpoint("us", &other_url);
    nowhere["deploymentStage"] = json!("SANDBOX");
    let refused = admin.json("POST", &base, &nowhere).await.expect("add").expect(400).text();
    assert!(refused.contains("sandbox_endpoints"), "{refused}");
    let missing = choose(&admin, &pizza.api, Some("no-such-id"), 400).await;
    assert!(missing.to_string().contains("primaryProductionEndpointId"), "{missing}");
    let updated = choose(&admin, &pizza.api, Some(&id), 200).await;
    assert!(updated.get("apiEndpoints").is_none(), "{updated}");
    assert_eq!(call(first).await.0, "usual", "what is designed is not deployed");

    let chosen = journey::deploy(&admin, &pizza.api).await;
    for node in &cluster.nodes {
        assert_eq!(call(node).await, ("other".to_owned(), "Basic dTpzM2NyZXQ=".to_owned()));
    }
    let listed = admin.get(&format!("{PUBLISHER}/apis/{chosen}/endpoints")).await.expect("list").expect(200).json();
    assert_eq!((&listed["count"], &listed["list"][0]["id"]), (&json!(1), &json!(id)), "a revision has its own");

    // What is chosen cannot go; a blank password is the one that is there.
    let path = format!("{base}/{id}");
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(409);
    let changed = admin.json("PUT", &path, &made).await.expect("change").expect(200).json();
    assert_eq!(changed, made);
    journey::deploy(&admin, &pizza.api).await;
    assert_eq!(call(&cluster.nodes[2]).await.1, "Basic dTpzM2NyZXQ=");

    choose(&admin, &pizza.api, Some("default_production_endpoint"), 200).await;
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    admin.get(&path).await.expect("read").expect(404);
    assert_eq!(call(first).await.0, "other", "what is deployed stays as it was");
    journey::deploy(&admin, &pizza.api).await;
    for node in &cluster.nodes {
        assert_eq!(call(node).await, ("usual".to_owned(), String::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_has_backends_of_its_own() {
    let cluster = Cluster::start(3).await;
    let (usual, other) = (Backend::start("usual").await, Backend::start("other").await);
    let usual_url = usual.url();
    let (first, admin) = (&cluster.nodes[0], cluster.nodes[1].admin());
    let pizza = journey::publish_and_subscribe(first, &Wish::new("pizza", &usual_url)).await;
    let token = journey::token(first, &pizza).await;
    let menu = format!("{}/menu", pizza.path);
    let backend = async |node: &Node| {
        let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
        reply.header("x-backend").to_owned()
    };
    let base = format!("{PUBLISHER}/apis/{}/environments", pizza.api);
    let keys = format!("{base}/Default/keys");
    assert_eq!(admin.get(&keys).await.expect("read").expect(200).json(), json!({}));
    admin.json("PUT", &format!("{base}/Nowhere/keys"), &json!({})).await.expect("put").expect(404);
    let bad =
        admin.json("PUT", &keys, &json!({"productionEndpoint": "ftp://x"})).await.expect("put").expect(400).text();
    assert!(bad.contains("productionEndpoint"), "{bad}");

    let wish = json!({"productionEndpoint": other.url(), "team": "ovens"});
    assert_eq!(admin.json("PUT", &keys, &wish).await.expect("put").expect(200).json(), wish);
    for node in &cluster.nodes {
        assert_eq!(backend(node).await, "other");
    }
    journey::deploy(&admin, &pizza.api).await;
    assert_eq!(backend(first).await, "other", "it holds for the next revision too");
    assert_eq!(cluster.nodes[2].admin().get(&keys).await.expect("read").expect(200).json(), wish);
    admin.json("PUT", &keys, &json!({})).await.expect("put").expect(200);
    for node in &cluster.nodes {
        assert_eq!(backend(node).await, "usual");
    }
}
