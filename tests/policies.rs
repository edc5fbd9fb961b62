//! Policies of every kind over REST and the command line, and in force on every node when the answer comes.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, Node};
use serde_json::{Value, json};

const ADMIN: &str = "/api/am/admin/v4/throttling";

async fn test(node: &Node, body: &Value) -> Value {
    let reply = node.admin().json("POST", "/api/portcullis/v1/throttling/test", body).await.expect("an answer");
    reply.expect(200).json()
}

fn requests(count: u64) -> Value {
    json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": count}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_each_level_and_a_deny_policy_are_in_force_on_every_node_when_the_answer_comes() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("policies").await;
    let url = backend.url();
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    let wish = Wish { plan: "Gold", application_policy: "50PerMin", ..Wish::new("policies", &url) };
    let published = journey::publish_and_subscribe(first, &wish).await;
    let post = async |path: &str, body: Value| {
        let reply = second.admin().json("POST", &format!("{ADMIN}{path}"), &body).await.expect("an answer");
        reply.expect(201).json()
    };
    let custom = json!({"policyName": "PerAddress", "keyTemplate": "$clientIp", "defaultLimit": requests(7),
        "expression": "headers['x-kind'] == 'beta'"});
    post("/policies/custom", custom).await;
    let call = json!({"api": "policies:1.0.0", "path": "/menu", "application": published.application,
        "client_ip": "192.0.2.7", "headers": {"x-kind": "beta"}});
    let meets = |tested: &Value| -> Vec<(String, u64)> {
        let limits = tested["list"].as_array().expect("a list").iter();
        limits.map(|one| (one["level"].as_str().unwrap().to_owned(), one["limit"].as_u64().unwrap())).collect()
    };
    let wanted = [("subscription", 5000), ("application", 50), ("custom", 7)].map(|(level, n)| (level.to_owned(), n));
    for node in &cluster.nodes {
        let tested = test(node, &call).await;
        assert_eq!(meets(&tested), wanted, "{tested}");
        assert_eq!(tested["list"][2]["key"], "192.0.2.7");
        assert_eq!(tested["denied_by"], Value::Null);
    }
    let address = json!({"conditionType": "IP", "conditionValue": {"fixedIp": "192.0.2.0/24", "invert": false}});
    let denied = post("/deny-policies", address).await;
    for node in &cluster.nodes {
        assert_eq!(test(node, &call).await["denied_by"], denied["conditionId"]);
    }
    let one = format!("{ADMIN}/deny-policy/{}", denied["conditionId"].as_str().unwrap());
    first.admin().json("PATCH", &one, &json!({"conditionStatus": false})).await.expect("an answer").expect(200);
    for node in &cluster.nodes {
        assert_eq!(test(node, &call).await["denied_by"], Value::Null, "switched off everywhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_made_changed_tested_reset_and_deleted_on_the_command_line() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("quotas").await;
    let url = backend.url();
    let node = &cluster.nodes[0];
    let server = node.management_url();
    let ca = node.data_dir.join("tls/ca.pem");
    let ca = ca.to_str().expect("UTF-8");
    let run = |words: &str, file: &[&str]| {
        let mut words: Vec<&str> = words.split(' ').collect();
        words.extend(file);
        words.extend(["--server", &server, "--ca-file", ca]);
        words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let ok = |words: &str, file: &[&str]| {
        let words = run(words, file);
        cluster.cli_ok(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let code = |words: &str| {
        let words = run(words, &[]);
        cluster.cli(&words.iter().map(String::as_str).collect::<Vec<_>>()).status.code()
    };
    let plans = ok("policy plan list", &[]);
    for name in ["Gold", "AsyncBronze", "AsyncWHGold", "AIGold"] {
        assert!(plans.contains(name), "{plans}");
    }
    ok("policy plan create Tiny --requests 3 --per hour --dry-run", &[]);
    assert_eq!(code("policy plan show Tiny"), Some(3), "a dry run changes nothing");
    ok("policy plan create Tiny --requests 3 --per hour --burst 2 --burst-per min", &[]);
    assert_eq!(code("policy plan create Tiny --requests 3"), Some(5));
    assert!(ok("policy plan show Tiny", &[]).contains("3 requests per hour"));
    ok("policy plan update Tiny --requests 4 --per hour", &[]);
    let shown: Value = serde_json::from_str(&ok("policy plan show Tiny -o json", &[])).expect("JSON");
    assert_eq!(
        (&shown["defaultLimit"]["requestCount"]["requestCount"], &shown["rateLimitCount"]),
        (&json!(4), &json!(2))
    );

    let exported = cluster.path("tiny.json");
    std::fs::write(&exported, ok("policy export Tiny", &[])).expect("a file");
    let file = exported.to_str().expect("UTF-8");
    assert_eq!(code("policy plan delete Tiny"), Some(2), "nobody can be asked");
    ok("policy plan delete Tiny --yes", &[]);
    ok("policy import -f", &[file]);

    let wish = Wish { plan: "Tiny", ..Wish::new("quotas", &url) };
    let published = journey::publish_and_subscribe(node, &wish).await;
    assert_eq!(code("policy plan delete Tiny --yes"), Some(5), "it is in use");
    let tested = ok(&format!("policy test quotas:1.0.0 --path /menu --app {}", published.application), &[]);
    assert!(tested.contains("subscription-burst") && tested.contains(":/quotas/1.0.0:1.0.0"), "{tested}");
    ok("stats reset --policy Tiny", &[]);

    ok("policy deny create user mia --expires-at 2099-01-01T00:00:00Z", &[]);
    let id = ok("policy deny list -o name", &[]);
    ok(&format!("policy deny update {} --off", id.trim()), &[]);
    assert!(ok("policy deny list", &[]).contains("mia@carbon.super"));
    ok(&format!("policy deny delete {} --yes", id.trim()), &[]);
    assert_eq!(code(&format!("policy deny show {}", id.trim())), Some(3));
    assert_eq!(code("policy deny create ip nowhere"), Some(1));
}
