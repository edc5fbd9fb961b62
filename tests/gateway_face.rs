//! The original's REST API of a gateway: what one gateway serves, and that it can be told not to serve an API.

mod harness;

use harness::http::{Client, Reply};
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::Value;

const GATEWAY: &str = "/api/am/gateway/v2";

async fn get(client: &Client, path: &str) -> Reply {
    client.get(&format!("{GATEWAY}{path}")).await.expect("an answer")
}

async fn post(client: &Client, path: &str) -> Value {
    let reply = client.send("POST", &format!("{GATEWAY}{path}"), &[], String::new()).await.expect("an answer");
    reply.expect(200).json()
}

async fn call(node: &Node, client: &journey::Published, token: &str) -> u16 {
    node.gateway().with_bearer(token).get(&format!("{}/menu", client.path)).await.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_shows_what_it_serves_and_stops_serving_it_when_told() {
    let cluster = Cluster::start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let backend = harness::backend::Backend::start("pizza").await;
    let url = backend.url();
    let client = journey::publish_and_subscribe(one, &Wish::new("pizza", &url)).await;
    let token = journey::token(one, &client).await;
    let (admin, other) = (one.admin(), two.admin());
    let of_api = "apiName=pizza&version=1.0.0&tenantDomain=carbon.super";

    assert_eq!(get(&one.anonymous(), "/server-startup-healthcheck").await.expect(200).text(), "OK");
    get(&one.anonymous(), &format!("/api-artifact?{of_api}")).await.expect(401);

    let artifact = get(&other, &format!("/api-artifact?{of_api}")).await.expect(200).json();
    let artifact = text(&artifact, "api");
    assert!(artifact.contains("context=\"/pizza/1.0.0\"") && artifact.contains("url-mapping=\"/menu\""), "{artifact}");
    let endpoints = get(&other, &format!("/end-points?{of_api}")).await.expect(200).json();
    assert!(endpoints["endpoints"][0].to_string().contains(&url), "{endpoints}");
    for empty in ["/sequence", "/local-entry"] {
        get(&other, &format!("{empty}?{of_api}")).await.expect(200);
    }
    let apis = get(&other, "/apis?context=/pizza/1.0.0&version=1.0.0").await.expect(200).json();
    assert_eq!((apis["count"].as_u64(), text(&apis["list"][0], "apiUUID")), (Some(1), client.api.clone()), "{apis}");
    let api = get(&other, &format!("/apis/{}", client.api)).await.expect(200).json();
    let subscriber = &api["subscripitons"][0]["application"];
    assert_eq!(text(subscriber, "uuid"), client.application, "{api:#}");
    assert_eq!(text(&subscriber["keys"][0], "consumerKey"), client.client_id, "{api:#}");
    assert_eq!(api["urlMappings"].as_array().map(Vec::len), Some(3), "{api:#}");
    let application = get(&other, &format!("/applications?uuid={}", client.application)).await.expect(200).json();
    assert_eq!(application["list"][0], *subscriber);
    let query = format!("/subscriptions?apiUUID={}&appUUID={}", client.api, client.application);
    let subscription = get(&other, &query).await.expect(200).json();
    assert_eq!(text(&subscription, "subscriptionState"), "UNBLOCKED");

    // One gateway is told; the other goes on.
    assert_eq!(post(&admin, &format!("/undeploy-api?{of_api}")).await["deployStatus"], "UNDEPLOYED");
    assert_eq!((call(one, &client, &token).await, call(two, &client, &token).await), (404, 200));
    assert_eq!(post(&admin, &format!("/redeploy-api?{of_api}")).await["deployStatus"], "DEPLOYED");
    assert_eq!((call(one, &client, &token).await, call(two, &client, &token).await), (200, 200));

    get(&admin, "/api-artifact?apiName=pasta&version=1.0.0").await.expect(404);
    get(&admin, "/api-artifact?apiName=pizza").await.expect(400);
    get(&admin, "/apis?tenantDomain=elsewhere.example").await.expect(200);
    get(&admin, "/applications").await.expect(400);
    get(&admin, &format!("/subscriptions?apiUUID={}&appUUID=x", client.api)).await.expect(404);
}

const DEVOPS: &str = "/api/am/devops/v0";

#[tokio::test(flavor = "multi_thread")]
async fn gateways_log_as_much_of_an_apis_calls_as_is_asked_and_no_secrets() {
    let cluster = Cluster::start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let backend = harness::backend::Backend::start("pizza").await;
    let url = backend.url();
    let client = journey::publish_and_subscribe(one, &Wish::new("pizza", &url)).await;
    let token = journey::token(one, &client).await;
    let path = format!("{DEVOPS}/tenant-logs/carbon.super/apis/{}", client.api);
    let shown = one.admin().get(&format!("{DEVOPS}/tenant-logs/carbon.super/apis/")).await.expect("a list");
    assert_eq!(text(&shown.expect(200).json()["apis"][0], "logLevel"), "OFF");
    assert_eq!(call(two, &client, &token).await, 200);
    assert!(!two.log().contains("/pizza/1.0.0/menu"), "nothing is logged unless asked");

    let wanted = serde_json::json!({"logLevel": "FULL", "resourceMethod": "GET", "resourcePath": "/menu"});
    let set = one.admin().json("PUT", &path, &wanted).await.expect("an answer").expect(200).json();
    assert_eq!(text(&set["apis"][1], "resourcePath"), "/menu", "{set}");
    assert_eq!(call(two, &client, &token).await, 200);
    let line = harness::until("the call in the log", async || {
        two.log().lines().find(|line| line.contains("/pizza/1.0.0/menu")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("authorization: ***") && line.contains("content-type"), "{line}");
    assert!(!two.log().contains(&token), "the token is in the log");

    let bad = serde_json::json!({"logLevel": "LOUD"});
    one.admin().json("PUT", &path, &bad).await.expect("an answer").expect(400);
    let nowhere = serde_json::json!({"logLevel": "FULL", "resourceMethod": "GET", "resourcePath": "/nowhere"});
    one.admin().json("PUT", &path, &nowhere).await.expect("an answer").expect(400);
    one.anonymous().get(&path).await.expect("an answer").expect(401);
    let components =
        one.admin().get(&format!("{DEVOPS}/config/correlation/")).await.expect("a list").expect(200).json();
    assert_eq!(text(&components["components"][0], "name"), "http");
}
