//! Answers that are kept, as callers and backends see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use serde_json::json;
use stage::{Backend, Client, Reply, Stage, api};

fn caching(backend: &Backend, timeout_s: u64) -> Stage {
    let stage = Stage::with_apis([api(backend.address)]);
    stage.mediate(api(backend.address).id, &json!({"responseCachingEnabled": true, "cacheTimeout": timeout_s}));
    stage
}

async fn get(client: &mut Client, target: &str, fields: &str) -> Reply {
    client
        .send(&format!("GET /pizza/1.0.0{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n{fields}\r\n"))
        .await;
    client.reply().await
}

#[tokio::test]
async fn an_answer_is_given_again_to_whoever_asks_for_the_same() {
    let backend = Backend::start().await;
    let stage = caching(&backend, 300);
    let mut client = stage.client().await;
    let first = get(&mut client, "/menu?size=l", "").await;
    assert_eq!((first.status, first.header("cache-status")), (200, None));
    let again = get(&mut client, "/menu?size=l", "").await;
    assert_eq!((again.text(), again.header("cache-status")), (first.text(), Some("portcullis; hit")));
    assert_eq!((again.header("age"), again.header("x-backend")), (Some("0"), Some("yes")));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(backend.calls(), 1);
    // Another query, another wish, a call that wants it fresh, and one with a body go to the backend.
    for (target, fields) in [
        ("/menu?size=s", ""),
        ("/menu?size=l", "Accept: text/plain\r\n"),
        ("/menu?size=l", "Cache-Control: no-cache\r\n"),
    ] {
        assert_eq!(get(&mut client, target, fields).await.header("cache-status"), None, "{target} {fields}");
    }
    assert_eq!(backend.calls(), 4);
    client
        .send("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.calls(), 5);
    // What that call may have changed is asked for anew, whatever the query, and kept again.
    for (target, hit) in [("/menu?size=l", None), ("/menu?size=l", Some("portcullis; hit")), ("/menu?size=s", None)] {
        assert_eq!(get(&mut client, target, "").await.header("cache-status"), hit, "{target}");
    }
    // Who may not call gets nothing that was kept.
    client.send("GET /pizza/1.0.0/menu?size=l HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 401);
}

#[tokio::test]
async fn a_new_deployment_forgets_and_an_api_without_the_switch_keeps_nothing() {
    let backend = Backend::start().await;
    let stage = caching(&backend, 300);
    let mut client = stage.client().await;
    get(&mut client, "/menu", "").await;
    stage.mediate(api(backend.address).id, &json!({"responseCachingEnabled": true, "cacheTimeout": 60}));
    assert_eq!(get(&mut client, "/menu", "").await.header("cache-status"), None);
    assert_eq!(get(&mut client, "/menu", "").await.header("cache-status"), Some("portcullis; hit"));
    stage.mediate(api(backend.address).id, &json!({"responseCachingEnabled": false}));
    for _ in 0..2 {
        assert_eq!(get(&mut client, "/menu", "").await.header("cache-status"), None);
    }
}
