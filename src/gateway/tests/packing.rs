//! Bodies that are packed: for callers, for backends, and for policies that look into them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};
use stage::{Backend, Client, Reply, Stage, api};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn policy(flow: &str, name: &str, parameters: &Value) -> Value {
    json!({"apiPolicies": {flow: [{"policyName": name, "policyVersion": "v1", "parameters": parameters}]}})
}

async fn get(client: &mut Client, path: &str, accept: &str) -> Reply {
    client
        .send(&format!(
            "GET /pizza/1.0.0{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nAccept-Encoding: {accept}\r\n\r\n"
        ))
        .await;
    client.reply().await
}

async fn post(client: &mut Client, coding: &str, body: &[u8]) -> Reply {
    let length = body.len();
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    client.stream.write_all(body).await.unwrap();
    client.reply().await
}

#[tokio::test]
async fn answers_are_packed_for_callers_that_take_it() {
    let large = "margherita ".repeat(1_000);
    let body = large.clone();
    let backend = Backend::answering(move |seen| {
        let body = if seen.line.ends_with("/order/1") { "small".to_owned() } else { body.clone() };
        let response = Response::builder().header("content-type", "text/plain").header("etag", "\"1\"");
        response.body(Full::from(body)).unwrap()
    })
    .await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    stage.mediate(id, &policy("response", "compress", &json!({"minBytes": 100})));
    let mut client = stage.client().await;
    let reply = get(&mut client, "/menu", "gzip").await;
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
    assert_eq!((reply.header("vary"), reply.header("etag")), (Some("accept-encoding"), Some("W/\"1\"")));
    assert!(reply.body.len() < large.len() / 10 && unpacked(&reply.body) == large);
    let reply = get(&mut client, "/menu", "identity").await;
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, Some("accept-encoding")));
    assert_eq!(reply.text(), large);
    let reply = get(&mut client, "/order/1", "gzip").await;
    assert_eq!((reply.header("content-encoding"), reply.text()), (None, "small"));
}

#[tokio::test]
async fn an_answer_that_comes_in_pieces_is_packed_piece_by_piece() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deployed = api(listener.local_addr().unwrap());
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    stage.mediate(id, &policy("response", "compress", &json!({})));
    let mut client = stage.client().await;
    client
        .send(
            "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nAccept-Encoding: gzip\r\n\r\n",
        )
        .await;
    let (mut backend, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(backend.read_u8().await.unwrap());
    }
    backend
        .write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
        )
        .await
        .unwrap();
    assert!(client.read_head().await.to_ascii_lowercase().contains("content-encoding: gzip"));
    let mut all = Vec::new();
    // The first piece is there before the second one is sent.
    let size = usize::from_str_radix(&client.read_line().await, 16).unwrap();
    all.extend(client.read_exactly(size + 2).await[..size].to_vec());
    let mut text = [0; 3];
    GzDecoder::new(&*all).read_exact(&mut text).unwrap();
    assert_eq!(&text, b"one");
    backend.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    loop {
        let size = usize::from_str_radix(&client.read_line().await, 16).unwrap();
        all.extend(client.read_exactly(size + 2).await[..size].to_vec());
        if size == 0 {
            break;
        }
    }
    assert_eq!(unpacked(&all), "onetwo");
}

#[tokio::test]
async fn packed_calls_are_unpacked_for_the_backend_and_hide_nothing_from_policies() {
    let backend = Backend::start().await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    let mut client = stage.client().await;
    stage.mediate(id, &policy("request", "decompress", &json!({})));
    assert_eq!(post(&mut client, "gzip", &packed("[1]")).await.status, 200);
    let seen = backend.last();
    assert_eq!((&*seen.body, seen.headers.get("content-encoding")), (&b"[1]"[..], None));

    stage.mediate(id, &policy("request", "regexProtector", &json!({"regex": "drop table"})));
    assert_eq!(post(&mut client, "gzip", &packed("[\"drop table\"]")).await.status, 400);
    let fine = packed("[\"a table\"]");
    assert_eq!(post(&mut client, "gzip", &fine).await.status, 200);
    assert_eq!(backend.last().body, fine, "what is looked into passes as it came");
    let unknown = post(&mut client, "br", b"?").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (415, "415"));
    let bomb = packed(&" ".repeat(4 << 20));
    assert_eq!(post(&mut client, "gzip", &bomb).await.status, 413);
    assert_eq!(post(&mut client, "gzip", b"plain").await.status, 400);
    assert_eq!(backend.calls(), 2);
}
