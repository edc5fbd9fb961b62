//! AsyncAPI documents: imported, read, replaced, and shown to subscribers with the gateway's addresses.

mod harness;

use harness::backend::Backend;
use harness::http::{Reply, multipart};
use harness::journey::{self, text};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEVPORTAL: &str = "/api/am/devportal/v3";
const CHAT: &str = "asyncapi: 2.6.0\ninfo: {title: chat, version: 1.0.0}\nservers:\n  one: {url: 'ws://inside.example/chat', protocol: ws}\n\
    channels:\n  rooms/{room}:\n    subscribe: {message: {name: said}}\n    publish: {}\n  news:\n    subscribe: {}\n";

async fn send(client: &Client, verb: &str, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Reply {
    let (body, content_type) = multipart(parts);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("a reply")
}

fn operations(api: &Value) -> Vec<String> {
    let all = api["operations"].as_array().expect("operations").iter();
    all.map(|one| format!("{} {}", text(one, "verb"), text(one, "target"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_becomes_an_api_of_its_channels() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let validate = format!("{PUBLISHER}/apis/validate-asyncapi");
    let wrong = send(&admin, "POST", &validate, &[("file", Some("a"), "asyncapi: 1.0.0")]).await.expect(200).json();
    assert_eq!(wrong["isValid"], false);
    assert!(text(&wrong["errors"][0], "description").contains("asyncapi: is 1.0.0"), "{wrong}");
    let good = send(&admin, "POST", &format!("{validate}?returnContent=true"), &[("file", Some("a"), CHAT)]).await;
    let good = good.expect(200).json();
    assert_eq!((&good["isValid"], &good["content"]), (&json!(true), &json!(CHAT)));
    let info = &good["info"];
    assert_eq!((&info["protocol"], &info["asyncAPIVersion"]), (&json!("WS"), &json!("2.6.0")));
    assert_eq!(info["endpoints"], json!(["ws://inside.example/chat"]));

    let properties = json!({"context": "/chat", "policies": ["Unlimited"]}).to_string();
    let parts = [("file", Some("chat.yml"), CHAT), ("additionalProperties", None, properties.as_str())];
    let made = send(&admin, "POST", &format!("{PUBLISHER}/apis/import-asyncapi"), &parts).await.expect(201).json();
    assert_eq!((&made["type"], &made["name"], &made["version"]), (&json!("WS"), &json!("chat"), &json!("1.0.0")));
    let all = ["SUBSCRIBE /rooms/{room}", "PUBLISH /rooms/{room}", "SUBSCRIBE /news"];
    assert_eq!(operations(&made), all);
    let path = format!("{PUBLISHER}/apis/{}", text(&made, "id"));
    let get = async |tail: &str| admin.get(&format!("{path}{tail}")).await.expect("get").expect(200).json();
    assert_eq!(get("/asyncapi").await["channels"]["news"], json!({"subscribe": {}}));

    let topics = json!({"list": [{"name": "news", "mode": "PUBLISH", "description": ""}, {"name": "rooms/{room}", "mode": "SUBSCRIBE", "description": ""}]});
    let changed = admin.json("PUT", &format!("{path}/topics"), &topics).await.expect("topics").expect(200).json();
    assert_eq!(operations(&changed), ["PUBLISH /news", "SUBSCRIBE /rooms/{room}"]);
    let document = get("/asyncapi").await;
    assert_eq!(document["channels"]["news"], json!({"publish": {}}));
    assert_eq!(document["channels"]["rooms/{room}"]["subscribe"]["message"]["name"], "said", "the rest stays");
    let wrong = json!({"list": [{"name": "news", "mode": "SHOUT", "description": ""}]});
    admin.json("PUT", &format!("{path}/topics"), &wrong).await.expect("topics").expect(400);

    let replaced = send(&admin, "PUT", &format!("{path}/asyncapi"), &[("apiDefinition", None, CHAT)]).await;
    assert_eq!(replaced.expect(200).json()["asyncapi"], "2.6.0");
    assert_eq!(operations(&get("").await), all);
    send(&admin, "PUT", &format!("{path}/asyncapi"), &[("apiDefinition", None, "openapi: 3.0.0")]).await.expect(400);

    journey::deploy(&admin, &text(&made, "id")).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={}", text(&made, "id"));
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let of_store = format!("{DEVPORTAL}/apis/{}", text(&made, "id"));
    let seen = node.anonymous().get(&format!("{of_store}/async-api-specification")).await.expect("get").expect(200);
    assert!(!seen.text().contains("inside.example"), "the backend is not told: {}", seen.text());
    assert!(text(&seen.json()["servers"]["wss"], "url").ends_with("/chat/1.0.0"), "{}", seen.text());
    let topics = node.anonymous().get(&format!("{of_store}/topics")).await.expect("get").expect(200).json();
    assert_eq!((&topics["count"], &topics["list"][2]["name"]), (&json!(3), &json!("/news")));
    assert_eq!(topics["list"][1]["type"], "publish");
    let archive = admin.get(&format!("{PUBLISHER}/apis/export?apiId={}", text(&made, "id"))).await.expect("export");
    assert!(String::from_utf8_lossy(&archive.expect(200).body).contains("chat-1.0.0/Definitions/asyncapi.yaml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_is_imported_too_and_one_made_without_a_document_has_one() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("news").await;
    let url = backend.url();
    let properties = json!({
        "name": "news", "context": "/news", "type": "SSE", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": url}},
    });
    let parts = [("file", Some("a"), CHAT), ("additionalProperties", None, &properties.to_string())];
    let made = send(&admin, "POST", &format!("{PUBLISHER}/apis/import-asyncapi"), &parts).await.expect(201).json();
    assert_eq!(operations(&made), ["SUBSCRIBE /rooms/{room}", "SUBSCRIBE /news"], "streams are read");
    let webhook = json!({"name": "w", "context": "/w", "type": "WEBHOOK"}).to_string();
    let parts = [("file", Some("a"), CHAT), ("additionalProperties", None, webhook.as_str())];
    let refused = send(&admin, "POST", &format!("{PUBLISHER}/apis/import-asyncapi"), &parts).await.expect(400);
    assert!(refused.text().contains("WEBHOOK"), "{}", refused.text());

    let plain = json!({
        "name": "plain", "context": "/plain", "version": "1", "type": "WS",
        "endpointConfig": {"endpoint_type": "ws", "production_endpoints": {"url": "ws://inside.example"}},
    });
    let plain = admin.json("POST", &format!("{PUBLISHER}/apis"), &plain).await.expect("create").expect(201).json();
    let path = format!("{PUBLISHER}/apis/{}/asyncapi", text(&plain, "id"));
    let document = admin.get(&path).await.expect("get").expect(200).json();
    assert_eq!(
        (&document["info"]["title"], &document["channels"]["/*"]),
        (&json!("plain"), &json!({"subscribe": {}, "publish": {}}))
    );
    let rest = journey::publish(node, &journey::Wish::new("pizza", &url)).await;
    admin.get(&format!("{PUBLISHER}/apis/{rest}/asyncapi")).await.expect("get").expect(404);
}
