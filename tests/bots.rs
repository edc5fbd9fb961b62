//! Calls that lead to no API: noted on every node, without secrets, bounded, and mailed to who asks for it.

mod harness;

use harness::backend::Backend;
use harness::http::send_on;
use harness::journey::{self, Wish};
use harness::mail::receive_mail;
use harness::{Cluster, Node, until};
use http_body_util::Full;
use serde_json::{Value, json};

const DATA: &str = "/api/am/admin/v4/bot-detection-data";
const SUBSCRIPTIONS: &str = "/api/am/admin/v4/alert-subscriptions/bot-detection";

async fn stray(node: &Node, verb: &str, path: &str) {
    let headers = [("user-agent", "scan/1"), ("x-api-key", "s3cret"), ("authorization", "Bearer s3cret")];
    node.gateway().send(verb, path, &headers, "").await.expect("call").expect(404);
}

/// Waits until a node shows what is wanted of the calls.
async fn shown(node: &Node, what: &str, is_there: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until(what, async || {
        let body = node.admin().get(DATA).await.ok()?.expect(200).json();
        let list = body["list"].as_array().expect("a list").clone();
        assert_eq!(body["count"], list.len());
        is_there(&list).then_some(list)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_no_api_are_shown_on_every_node_and_mailed_to_who_asks_for_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut cluster = Cluster::empty();
    let file = cluster.path("mail-url");
    std::fs::write(&file, format!("smtp://{}\n", listener.local_addr().expect("an address"))).expect("a file");
    let mailed = tokio::spawn(async move { receive_mail(&listener).await });
    let mail = format!(
        "mail_url_file = \"{}\"\nmail_from = \"gate@example.com\"\nmail_to = [\"ops@example.com\"]\n",
        file.display()
    );
    for number in 1..=3 {
        let text = format!("[statistics]\ngather_ms = 200\nstrays_max = 5\n[alerts]\nevery_s = 1\n{mail}");
        cluster.configure(number, &text);
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
    let backend = Backend::start("production").await;
    journey::publish(first, &Wish::new("pizza", &backend.url())).await;

    let admin = second.admin();
    admin.json("POST", SUBSCRIPTIONS, &json!({"email": "nobody"})).await.expect("bad").expect(400);
    let subscribe = async || {
        let body = json!({"email": "ann@example.com"});
        admin.json("POST", SUBSCRIPTIONS, &body).await.expect("subscribe").expect(200).json()
    };
    let subscription = subscribe().await;
    assert_eq!(subscribe().await, subscription, "who is told already is told once");
    let listed = third.admin().get(SUBSCRIPTIONS).await.expect("list").expect(200).json();
    assert_eq!(listed, json!({"count": 1, "list": [subscription]}));

    // A call to an API, also to no resource of it, is none of them.
    first.gateway().get("/pizza/1.0.0/nothing").await.expect("call").expect(404);
    stray(first, "GET", "/wp-login.php?password=s3cret").await;
    stray(second, "POST", "/cgi-bin/luci").await;
    let seen = shown(third, "both calls", |list| list.len() == 2).await;
    let of = |path: &str| seen.iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{path} in {seen:?}"));
    let (login, luci) = (of("/wp-login.php"), of("/cgi-bin/luci"));
    assert_eq!((&login["apiMethod"], &luci["apiMethod"]), (&json!("GET"), &json!("POST")));
    assert!(login["clientIp"].as_str().is_some_and(|address| address.starts_with("127.")), "{login}");
    assert!(login["recordedTime"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{login}");
    let fields = login["headerSet"].as_str().expect("fields");
    assert!(fields.contains("user-agent=scan/1") && fields.contains("x-api-key=***"), "{fields}");
    assert!(!json!(seen).to_string().contains("s3cret"), "{seen:?}");

    // Only the latest are kept. Over one connection, they are of one worker: only then the order is certain within a
    // millisecond.
    let gateway = third.gateway();
    let mut connection = gateway.connect().await.expect("a connection");
    for number in 0..7 {
        let request = gateway.request("GET", &format!("/scan/{number}")).body(Full::default()).expect("a request");
        send_on(&mut connection, request).await.expect("call").expect(404);
    }
    let seen = shown(first, "the last call", |list| list.iter().any(|one| one["path"] == "/scan/6")).await;
    let paths: Vec<&str> = seen.iter().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, ["/scan/6", "/scan/5", "/scan/4", "/scan/3", "/scan/2"], "the latest first");

    let (commands, message) = mailed.await.expect("a mail");
    assert!(commands.contains("RCPT TO:<ann@example.com>"), "{commands}");
    assert!(message.contains("calls to no API") && message.contains("led to no API"), "{message}");
    let path = format!("{SUBSCRIPTIONS}/{}", subscription["uuid"].as_str().expect("an id"));
    admin.send("DELETE", &path, &[], "").await.expect("unsubscribe").expect(200);
    admin.send("DELETE", &path, &[], "").await.expect("unsubscribe").expect(404);
    assert_eq!(first.admin().get(SUBSCRIPTIONS).await.expect("list").expect(200).json()["count"], 0);
}
