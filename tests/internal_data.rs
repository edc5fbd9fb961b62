//! The original's internal API: scripts that read what its control plane tells gateways find it here.

mod harness;

use harness::backend::Backend;
use harness::http::{Client, Reply};
use harness::journey::{self, Published, Wish, text};
use harness::{Cluster, Node};
use serde_json::{Value, json};

const INTERNAL: &str = "/internal/data/v1";
const THROTTLING: &str = "/api/am/admin/v4/throttling";

async fn get(client: &Client, path: &str) -> Reply {
    client.get(&format!("{INTERNAL}{path}")).await.expect("an answer")
}

async fn list(client: &Client, path: &str) -> Vec<Value> {
    let body = get(client, path).await.expect(200).json();
    body["list"].as_array().unwrap_or_else(|| panic!("no list in {body}")).clone()
}

/// Publishes an API and subscribes to it by a plan of two calls in a year.
async fn two_a_year(node: &Node, backend: &str) -> Published {
    let plan = json!({"policyName": "Two", "stopOnQuotaReach": true, "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
        "requestCount": {"requestCount": 2, "timeUnit": "days", "unitTime": 365}}});
    let path = format!("{THROTTLING}/policies/subscription");
    node.admin().json("POST", &path, &plan).await.expect("an answer").expect(201);
    journey::publish_and_subscribe(node, &Wish { plan: "Two", ..Wish::new("pizza", backend) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_find_what_the_originals_control_plane_tells_gateways() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("pizza").await;
    let client = two_a_year(node, &backend.url()).await;

    let apis = list(&admin, "/apis?context=/pizza/1.0.0").await;
    assert_eq!((apis.len(), text(&apis[0], "uuid")), (1, client.api.clone()), "{apis:?}");
    assert_eq!(apis[0]["urlMappings"].as_array().map(Vec::len), Some(3), "{apis:?}");
    let applications = list(&admin, &format!("/applications?appId={}", client.application)).await;
    assert_eq!((applications.len(), text(&applications[0], "subName")), (1, "admin".to_owned()));
    let subscriptions = list(&admin, &format!("/subscriptions?apiId={}", client.api)).await;
    assert_eq!(text(&subscriptions[0], "applicationUUID"), client.application, "{subscriptions:?}");
    assert_eq!(text(&subscriptions[0], "policyId"), "Two");
    let keys = list(&admin, &format!("/application-key-mappings?consumerKey={}", client.client_id)).await;
    assert_eq!((keys.len(), text(&keys[0], "applicationUUID")), (1, client.application.clone()), "{keys:?}");
    let plans = list(&admin, "/subscription-policies?policyName=Two").await;
    assert_eq!(plans[0]["defaultLimit"]["requestCount"]["requestCount"], 2, "{plans:?}");
    assert_eq!(plans[0]["stopOnQuotaReach"], true);
    for all in ["/application-policies", "/api-policies"] {
        assert!(!list(&admin, all).await.is_empty(), "{all} is empty");
    }
    for none in ["/global-policies", "/scopes", "/webhooks-subscriptions", "/apis?apiId=none", "/apis?offset=1"] {
        assert_eq!(list(&admin, none).await, Vec::<Value>::new(), "{none}");
    }
    let managers = get(&admin, "/keymanagers").await.expect(200).json();
    assert_eq!(text(&managers[0], "name"), "Resident Key Manager");

    // The tenant is named as everywhere else, and only administrators are told.
    let in_tenant = admin.get(&format!("/t/carbon.super{INTERNAL}/apis")).await.expect("an answer").expect(200).json();
    assert_eq!(in_tenant["list"], json!(apis));
    get(&node.anonymous(), "/apis").await.expect(401);
    get(&admin, "/isThrottled").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_see_who_is_throttled_and_who_is_turned_away() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("pizza").await;
    let client = two_a_year(node, &backend.url()).await;
    let token = journey::token(node, &client).await;
    let key = format!("{}:/pizza/1.0.0:1.0.0", client.application);
    assert_eq!(get(&admin, &format!("/isThrottled?query={key}")).await.expect(200).text(), "false");
    let caller = node.gateway().with_bearer(&token);
    for status in [200, 200, 429] {
        caller.get(&format!("{}/menu", client.path)).await.expect("an answer").expect(status);
    }
    harness::until("the counter is known to have nothing left", async || {
        (get(&admin, &format!("/isThrottled?query={key}")).await.expect(200).text() == "true").then_some(())
    })
    .await;
    assert_eq!(get(&admin, "/throttleAsString").await.expect(200).text(), key);
    let spent = get(&admin, "/throttle").await.expect(200).json();
    assert!(spent[&key].as_u64().is_some(), "{spent}");

    let denial = json!({"conditionType": "IP", "conditionValue": {"fixedIp": "192.0.2.7", "invert": false}});
    admin.json("POST", &format!("{THROTTLING}/deny-policies"), &denial).await.expect("an answer").expect(201);
    let denial = json!({"conditionType": "API", "conditionValue": "/pizza/1.0.0"});
    admin.json("POST", &format!("{THROTTLING}/deny-policies"), &denial).await.expect("an answer").expect(201);
    let denied = get(&admin, "/block").await.expect(200).json();
    assert_eq!(denied["api"], json!(["/pizza/1.0.0"]));
    assert!(text(&denied["ip"][0], "fixedIp").starts_with("192.0.2.7"), "{denied}");
}
