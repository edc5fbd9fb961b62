//! Policies as callers of a cluster meet them: on every node at once, by whatever they count.

mod harness;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::minute::wait_for_room_in_minute;
use harness::{Cluster, Node, chat};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const ADMIN: &str = "/api/am/admin/v4/throttling";

/// Makes a business plan.
async fn make_plan(node: &Node, name: &str, limit: serde_json::Value) {
    let policy = json!({
        "policyName": name, "displayName": name, "description": name, "defaultLimit": limit,
        "stopOnQuotaReach": true, "billingPlan": "FREE", "customAttributes": [],
    });
    let path = format!("{ADMIN}/policies/subscription");
    node.admin().json("POST", &path, &policy).await.expect("plan").expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_policy_is_in_force_on_every_node_when_its_call_returns() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);
    let admin = cluster.nodes[1].admin();
    for (kind, value) in [("API", json!("/pizza/1.0.0")), ("IP", json!({"fixedIp": "127.0.0.1", "invert": false}))] {
        for node in &cluster.nodes {
            node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
        }
        let denial = json!({"conditionType": kind, "conditionValue": value, "conditionStatus": true});
        let made = admin.json("POST", &format!("{ADMIN}/deny-policies"), &denial).await.expect("deny").expect(201);
        for node in &cluster.nodes {
            let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(403);
            assert_eq!(reply.json()["code"], "900805", "{}", reply.text());
        }
        let id = text(&made.json(), "conditionId");
        admin.send("DELETE", &format!("{ADMIN}/deny-policy/{id}"), &[], "").await.expect("allow").expect(200);
    }
    for node in &cluster.nodes {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_group_limits_the_calls_that_meet_it_across_the_cluster() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = cluster.nodes[0].admin();
    let count = |count: u64| json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": count}});
    let policy = json!({
        "policyName": "Robots", "displayName": "Robots", "description": "few for robots", "defaultLimit": count(1000),
        "conditionalGroups": [{
            "description": "robots", "limit": count(6),
            "conditions": [{"type": "HEADERCONDITION", "invertCondition": false,
                "headerCondition": {"headerName": "x-kind", "headerValue": "robot"}}],
        }],
    });
    admin.json("POST", &format!("{ADMIN}/policies/advanced"), &policy).await.expect("policy").expect(201);
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let path = format!("/api/am/publisher/v4/apis/{}", published.api);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    api["apiThrottlingPolicy"] = json!("Robots");
    admin.json("PUT", &path, &api).await.expect("update").expect(200);
    journey::deploy(&admin, &published.api).await;

    wait_for_room_in_minute(Duration::from_secs(20)).await;
    let menu = format!("{}/menu", published.path);
    let mut admitted = 0;
    for number in 0..30 {
        let gateway = cluster.nodes[number % 3].gateway().with_bearer(&token);
        let reply = gateway.send("GET", &menu, &[("x-kind", "robot")], "").await.expect("call");
        match reply.status {
            200 => admitted += 1,
            _ => assert_eq!(reply.expect(429).json()["code"], "900800"),
        }
        gateway.send("GET", &menu, &[("x-kind", "person")], "").await.expect("call").expect(200);
    }
    assert_eq!(admitted, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandwidth_quota_is_passed_by_what_is_in_flight_at_most() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let limit = json!({"type": "BANDWIDTHLIMIT",
        "bandwidth": {"timeUnit": "min", "unitTime": 1, "dataAmount": 200, "dataUnit": "KB"}});
    make_plan(&cluster.nodes[0], "TwoHundredKB", limit).await;
    let published = {
        let wish = Wish { plan: "TwoHundredKB", ..Wish::new("pizza", &url) };
        journey::publish_and_subscribe(&cluster.nodes[0], &wish).await
    };
    let token = journey::token(&cluster.nodes[0], &published).await;
    wait_for_room_in_minute(Duration::from_secs(25)).await;
    let order = format!("{}/order", published.path);
    let body = "x".repeat(10_000);
    let mut moved = 0;
    let mut refused = 0;
    for number in 0..60 {
        // One after the other, so no more than one call is in flight.
        let gateway = cluster.nodes[number % 3].gateway().with_bearer(&token);
        let reply = gateway.send("POST", &order, &[], body.clone()).await.expect("call");
        match reply.status {
            200 => moved += body.len() + reply.body.len(),
            _ => {
                assert_eq!(reply.expect(429).json()["code"], "900804");
                refused += 1;
            }
        }
    }
    let limit = 200 << 10;
    assert!(refused > 0, "{moved} bytes of {limit} and never refused");
    // What a node has counted is known to the others with its next report.
    assert!(moved <= limit + 4 * 11_000, "{moved} bytes of {limit}");
    assert!(moved >= limit / 2, "only {moved} bytes of {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_websockets_at_all_nodes_share_one_quota() {
    let cluster = Cluster::start(3).await;
    let backend = chat::echo().await;
    let admin = cluster.nodes[0].admin();
    let limit = json!({"type": "EVENTCOUNTLIMIT", "eventCount": {"timeUnit": "min", "unitTime": 1, "eventCount": 20}});
    make_plan(&cluster.nodes[0], "TwentyEvents", limit).await;
    let api = json!({
        "name": "chat", "context": "/chat", "version": "1.0.0", "type": "WS", "policies": ["TwentyEvents"],
        "endpointConfig": {"endpoint_type": "ws", "production_endpoints": {"url": backend}},
        "operations": [
            {"target": "/rooms", "verb": "SUBSCRIBE", "authType": "Application & Application User"},
            {"target": "/rooms", "verb": "PUBLISH", "authType": "Application & Application User"},
        ],
    });
    let made = admin.json("POST", "/api/am/publisher/v4/apis", &api).await.expect("api").expect(201).json();
    assert_eq!((made["type"].as_str(), &made["transport"]), (Some("WS"), &json!(["ws", "wss"])));
    let id = text(&made, "id");
    journey::deploy(&admin, &id).await;
    let publish = format!("/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let wish = Wish { plan: "TwentyEvents", ..Wish::new("chat", &backend) };
    let published = journey::subscribe(&cluster.nodes[0], &wish, id).await;
    let token = journey::token(&cluster.nodes[0], &published).await;

    wait_for_room_in_minute(Duration::from_secs(25)).await;
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(chat::open(node, "/chat/1.0.0/rooms", &token).await);
    }
    // Each message is an event on its way up and, as an echo, one on its way down.
    let (mut echoed, mut dropped) = (0, 0);
    for number in 0..15 {
        for socket in &mut sockets {
            socket.send(Message::text(format!("hello {number}"))).await.expect("send");
            let answer = tokio::time::timeout(harness::PATIENCE, socket.next()).await.expect("an answer in time");
            match answer.expect("open").expect("a message") {
                Message::Text(text) if text.as_str() == "Websocket frame throttled out" => dropped += 1,
                Message::Text(_) => echoed += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(echoed <= 10, "{echoed} echoed with 20 events");
    assert!(echoed >= 9, "only {echoed} echoed with 20 events, {dropped} dropped");
    let revoke = cluster.nodes[1].anonymous().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    revoke.send("POST", "/oauth2/revoke", &form, format!("token={token}")).await.expect("revoke").expect(200);
    for socket in &mut sockets {
        let answer = tokio::time::timeout(harness::PATIENCE, socket.next()).await.expect("an answer in time");
        match answer.expect("a close frame").expect("a message") {
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 4001),
            other => panic!("{other:?}"),
        }
    }
}
