//! Calls of a gateway as they are answered, for operators.

mod harness;

use std::io::{BufRead as _, BufReader};

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, PASSWORD};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_calls_that_are_asked_for_and_no_secrets() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(node, &published).await;
    let server = node.management_url();
    let mut tail = cluster.spawn_cli_as_admin(&[
        "gateway",
        "tail",
        "--server",
        &server,
        "--data-dir",
        "n1",
        "--status",
        "4xx",
        "--json",
        "--count",
        "2",
    ]);
    let (seen, lines) = tokio::sync::mpsc::unbounded_channel();
    let output = tail.stdout.take().expect("its output");
    std::thread::spawn(move || {
        // Ends with the command.
        BufReader::new(output).lines().map_while(Result::ok).all(|line| seen.send(line).is_ok())
    });
    let mut lines = lines;
    // Calls are made until the command has begun to look on.
    let mut told = Vec::new();
    while told.len() < 2 {
        let gateway = node.gateway().with_bearer(&token);
        gateway.get(&format!("{}/menu?secret=1", published.path)).await.expect("call").expect(200);
        gateway.get(&format!("{}/nothing?secret=1", published.path)).await.expect("call").expect(404);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), lines.recv()).await;
        told.extend(waited.ok().flatten());
        assert!(told.len() == 2 || tail.try_wait().expect("its state").is_none(), "the command has ended: {told:?}");
    }
    for line in &told {
        let call: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&call["status"], &call["verb"]), (&404.into(), &"GET".into()), "{line}");
        assert_eq!(
            (&call["path"], &call["api"]),
            (&format!("{}/nothing", published.path).into(), &"/pizza/1.0.0".into())
        );
        assert!(!line.contains("secret") && !line.contains(&token), "{line}");
    }
    assert!(tail.wait().expect("its end").success());

    let refused = node.anonymous().get("/api/portcullis/v1/gateway/tail").await.expect("tail");
    assert_eq!(refused.status, 401);
    let refused = node.as_user("admin", PASSWORD).get("/api/portcullis/v1/gateway/tail?status=9").await.expect("tail");
    assert_eq!(refused.status, 400);
}
