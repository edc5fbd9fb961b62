//! Costs that are known only when a call has ended, or while it lasts: bytes, events, tokens of AI models.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;

use portcullis_gateway::Settings;
use portcullis_model::counter::CounterLevel;
use portcullis_model::policy::DataUnit;
use portcullis_model::port::KeyVerdict;
use portcullis_model::{PolicyLevel, Quota, QuotaPolicy, QuotaUnit};
use stage::{Backend, Budget, Client, PATIENCE, Stage, api, policy, settings, until, verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A stage whose token `good` has a plan of so many units.
fn limited(stage: &Stage, unit: QuotaUnit, left: u64, is_dry: bool) -> Arc<Budget> {
    stage.keys.set("good", Ok(KeyVerdict { plan: "Plan".to_owned(), ..verdict() }));
    let quota = match unit {
        QuotaUnit::Bytes => Quota::Bandwidth { amount: 1, unit: DataUnit::Mb },
        QuotaUnit::Events => Quota::Events(10),
        _ => Quota::AiTokens { requests: 0, total: 10, prompt: 0, completion: 0 },
    };
    stage.put_policy(QuotaPolicy { quota, ..policy(PolicyLevel::Subscription, "Plan") }, None);
    stage.budgets.set("Plan", CounterLevel::Subscription, left, is_dry)
}

async fn by_hand(settings: Settings) -> (TcpListener, Stage) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(settings);
    stage.deploy(api(listener.local_addr().unwrap()));
    (listener, stage)
}

/// Sends a call and returns the client, and the backend's end with what came there.
async fn begin(stage: &Stage, listener: &TcpListener, head: &str) -> (Client, TcpStream, String) {
    let mut client = stage.client().await;
    client.send(&format!("{head} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n")).await;
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("no connection came");
    let mut backend = accepted.unwrap().0;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(tokio::time::timeout(PATIENCE, backend.read_u8()).await.expect("no request came").unwrap());
    }
    (client, backend, String::from_utf8(request).unwrap())
}

#[tokio::test]
async fn bytes_of_both_bodies_are_debited_whatever_frames_them() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let plan = limited(&stage, QuotaUnit::Bytes, 200_000, false);
    let mut client = stage.client().await;
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!(reply.header("ratelimit-policy"), Some("\"Plan\";q=10;qu=\"content-bytes\";w=60"));
    let mut expected = 200_000 - reply.body.len() as u64;
    until("the first is debited", || plan.left() == expected).await;
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 100000\r\n\r\n{}",
            "x".repeat(100_000)
        ))
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    expected -= 100_000 + reply.body.len() as u64;
    until("the second is debited", || plan.left() == expected).await;
    client
        .send(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        )
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    expected -= 11 + reply.body.len() as u64;
    until("the third is debited", || plan.left() == expected).await;
}

#[tokio::test]
async fn a_transfer_is_debited_while_it_lasts_and_the_next_call_is_refused() {
    let (listener, stage) = by_hand(settings()).await;
    let plan = limited(&stage, QuotaUnit::Bytes, 100_000, false);
    let (mut client, mut backend, _) = begin(&stage, &listener, "GET /pizza/1.0.0/menu").await;
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n").await.unwrap();
    backend.write_all(&[b'x'; 200_000]).await.unwrap();
    client.read_head().await;
    client.read_exactly(200_000).await;
    until("it is debited", || plan.left() == 0).await;
    let refused = stage.get("/pizza/1.0.0/menu").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "900804"));
    // What is under way goes on.
    backend.write_all(&[b'y'; 200_000]).await.unwrap();
    assert!(client.read_exactly(200_000).await.iter().all(|byte| *byte == b'y'));
}

#[tokio::test]
async fn a_call_that_no_backend_answers_costs_no_bytes() {
    let (listener, stage) = by_hand(settings()).await;
    drop(listener);
    let plan = limited(&stage, QuotaUnit::Bytes, 5, false);
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 503);
    until("it is given back", || plan.left() == 5).await;
}

#[tokio::test]
async fn server_sent_events_are_counted_one_by_one_and_end_with_the_quota() {
    let (listener, stage) = by_hand(settings()).await;
    let plan = limited(&stage, QuotaUnit::Events, 3, false);
    let (mut client, mut backend, _) = begin(&stage, &listener, "GET /pizza/1.0.0/menu").await;
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n").await.unwrap();
    backend.write_all(b": hello\n\ndata: 1\n\n").await.unwrap();
    client.read_head().await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    // Each comes as soon as the backend has sent it.
    let first = chunk(": hello\n\ndata: 1\n\n");
    assert_eq!(client.read_exactly(first.len()).await, first.as_bytes());
    assert_eq!(plan.left(), 2);
    backend.write_all(b": still here\n\n").await.unwrap();
    let comment = chunk(": still here\n\n");
    assert_eq!(client.read_exactly(comment.len()).await, comment.as_bytes());
    assert_eq!(plan.left(), 2, "a comment is no event");
    backend.write_all(b"data: 2\n\nid: 3\ndata: 3\n\ndata: 4\n\n").await.unwrap();
    let rest = [chunk("data: 2\n\nid: 3\ndata: 3\n\n"), "0\r\n\r\n".to_owned()].concat();
    assert_eq!(client.read_exactly(rest.len()).await, rest.as_bytes(), "the answer ends before the fourth");
    let refused = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "900808"));
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn an_event_waits_for_a_grant_that_is_on_its_way() {
    let (listener, stage) = by_hand(Settings { grant_wait: PATIENCE, ..settings() }).await;
    let plan = limited(&stage, QuotaUnit::Events, 1, true);
    let (mut client, mut backend, _) = begin(&stage, &listener, "GET /pizza/1.0.0/menu").await;
    backend
        .write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 18\r\n\r\ndata: 1\n\ndata: 2\n\n",
        )
        .await
        .unwrap();
    client.read_head().await;
    until("it waits", || stage.gateway.metrics().grant_waits > 0).await;
    *plan.left.lock().unwrap() = 1;
    plan.changed.notify_waiters();
    assert_eq!(client.read_exactly(18).await, b"data: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn tokens_of_models_are_read_from_the_answer_and_debited() {
    let (listener, stage) = by_hand(settings()).await;
    let plan = limited(&stage, QuotaUnit::Tokens, 100, false);
    let answers = [
        (
            "application/json",
            r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}"#,
            70,
        ),
        (
            "text/event-stream",
            "data: {\"usage\":{\"input_tokens\":5}}\n\ndata: {\"usage\":{\"output_tokens\":15}}\n\n",
            50,
        ),
        ("application/json", r#"{"error":{"message":"no"}}"#, 50),
        ("application/json", r#"{"usage":{"input_tokens":40,"output_tokens":60}}"#, 0),
    ];
    for (content_type, body, left) in answers {
        let (mut client, mut backend, request) = begin(&stage, &listener, "GET /pizza/1.0.0/menu").await;
        assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        backend.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(client.reply().await.text(), body);
        until(&format!("{left} are left"), || plan.left() == left).await;
    }
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 429);
}
