//! The access log of a real node: a line for each call in the form that was asked for, rotation, and what is not in it.

mod harness;

use std::path::Path;

use harness::backend::Backend;
use harness::journey::{self, Published, Wish};
use harness::{Cluster, until};
use serde_json::Value;

/// Starts a node with an access log and publishes an API there; returns a token too.
async fn start(form: &str, url: &str) -> (Cluster, Published, String) {
    let mut cluster = Cluster::empty();
    let section = format!("[gateway]\naccess_log_file = \"access.log\"\naccess_log_form = \"{form}\"\n");
    cluster.configure(1, &section);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", url)).await;
    let token = journey::token(node, &published).await;
    (cluster, published, token)
}

/// Waits until a file has lines in which `wanted` is, and returns all of them that are whole.
async fn lines_with(path: &Path, wanted: &str) -> Vec<String> {
    until(&format!("a line with {wanted} in {}", path.display()), async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.iter().any(|line| line.contains(wanted)).then_some(lines)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_has_a_line_that_no_client_can_break_and_the_file_can_be_moved_away() {
    let backend = Backend::start("production").await;
    let (cluster, published, token) = start("combined", &backend.url()).await;
    let node = &cluster.nodes[0];
    let log = node.data_dir.parent().expect("a folder").join("access.log");
    let gateway = node.gateway().with_bearer(&token);
    let odd = [
        ("user-agent", "curl/8 \"quoted\" \\ tab\there"),
        ("referer", "https://shop.example.com/a?apikey=very-secret&b=1"),
    ];
    let reply =
        gateway.send("GET", &format!("{}/menu?size=2", published.path), &odd, "").await.expect("a call").expect(200);
    let lines = lines_with(&log, "size=2").await;
    let line = lines.iter().find(|line| line.contains("size=2")).expect("the line");
    let request = format!("\"GET {}/menu?size=2 HTTP/1.1\" 200 {} ", published.path, reply.body.len());
    assert!(line.contains(&request), "{line}");
    assert!(line.ends_with(r#""https://shop.example.com/a?b=1" "curl/8 \x22quoted\x22 \x5C tab\x09here""#), "{line}");
    let (address, rest) = line.split_once(" - ").expect("an address");
    assert_eq!(address, "127.0.0.1");
    assert!(rest.starts_with("admin@carbon.super ["), "{line}");

    // Refused calls have lines too; what proves something is in none.
    let secret = "apikey=very-secret&size=3&access_token=also-secret";
    node.gateway().get(&format!("{}/menu?{secret}", published.path)).await.expect("a call").expect(401);
    node.gateway().get("/nothing/here?size=4").await.expect("a call").expect(404);
    let lines = lines_with(&log, "size=4").await;
    let refused = lines.iter().find(|line| line.contains("size=3")).expect("the refused call");
    assert!(refused.contains("/menu?size=3 HTTP/1.1\" 401 "), "{refused}");
    let text = lines.join("\n");
    assert!(!text.contains("secret") && !text.contains(&token), "{text}");

    // As logrotate does it: moved away, then told.
    let moved = log.with_extension("1");
    std::fs::rename(&log, &moved).expect("moved");
    node.hang_up();
    until("a new file", async || log.exists().then_some(())).await;
    gateway.get(&format!("{}/menu?size=5", published.path)).await.expect("a call").expect(200);
    let new = lines_with(&log, "size=5").await;
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(!std::fs::read_to_string(&moved).expect("the old file").contains("size=5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_json_tell_what_a_call_was_and_a_node_that_stops_loses_none() {
    let backend = Backend::start("production").await;
    let (cluster, published, token) = start("json", &backend.url()).await;
    let node = &cluster.nodes[0];
    let log = node.data_dir.parent().expect("a folder").join("access.log");
    let gateway = node.gateway().with_bearer(&token);
    let path = format!("{}/menu", published.path);
    let before = backend.count();
    for number in 0..50 {
        gateway.get(&format!("{path}?number={number}")).await.expect("a call").expect(200);
    }
    let last = gateway.get(&format!("{path}?last")).await.expect("a call").expect(200);
    node.terminate().await;
    let text = std::fs::read_to_string(&log).expect("the log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let passed = lines.iter().filter(|line| line["status"] == 200 && line["api"] == published.path.as_str());
    assert_eq!(passed.count() as u64, backend.count() - before, "{text}");
    let line = lines.iter().find(|line| line["target"] == format!("{path}?last").as_str()).expect("the last call");
    assert_eq!(line["verb"], "GET");
    assert_eq!(line["protocol"], "HTTP/1.1");
    assert_eq!(line["application"], "pizza app");
    assert_eq!(line["response_bytes"], last.body.len());
    assert_eq!(line["request_id"], last.header("x-request-id"));
    assert_eq!(line["code"], Value::Null);
    let took = |field: &str| line[field].as_u64().unwrap_or_else(|| panic!("{field} in {line}"));
    assert!(took("upstream_us") <= took("took_us"), "{line}");
    let at: jiff::Timestamp = line["at"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!(at <= jiff::Timestamp::now(), "{line}");
}
