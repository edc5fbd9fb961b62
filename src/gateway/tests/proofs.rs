//! What the gateway shows to backends that ask who calls: `endpoint_security`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use portcullis_database::ClusterKey;
use portcullis_gateway::Settings;
use portcullis_model::DeployedApi;
use serde_json::{Value, json};
use stage::{Backend, Seen, Stage, api, settings, verdict};

const KEY: [u8; 32] = [7; 32];

fn sealed(secret: &str) -> String {
    ClusterKey::new(KEY).seal(secret.as_bytes()).to_text()
}

/// The API with a proof to production backends, as it is kept.
fn protected(backend: &Backend, mut proof: Value) -> DeployedApi {
    proof["enabled"] = json!(true);
    let mut api = api(backend.address);
    api.endpoints.document = json!({"endpoint_security": {"production": proof}}).to_string();
    api
}

fn stage(api: DeployedApi) -> Stage {
    let stage = Stage::new(Settings { cluster_key: Some(ClusterKey::new(KEY)), ..settings() });
    stage.deploy(api);
    stage.keys.set("good", Ok(verdict()));
    stage
}

fn field<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn answer(status: StatusCode, name: &str, value: &str, body: &str) -> Response<Full<Bytes>> {
    let body = Full::from(Bytes::copy_from_slice(body.as_bytes()));
    Response::builder().status(status).header(name, value).body(body).unwrap()
}

#[tokio::test]
async fn a_name_and_password_are_sent_in_place_of_what_the_client_sent() {
    let backend = Backend::start().await;
    let proof = json!({"type": "BASIC", "username": "gate", "password": sealed("s3cret")});
    let stage = stage(protected(&backend, proof));
    let mut client = stage.client().await;
    client.send("GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nAuthorization: Basic Y2xpZW50\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    let seen = backend.last();
    assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
    assert_eq!(field(&seen, "authorization"), "Basic Z2F0ZTpzM2NyZXQ=");
    // An API without passes on what the client sent.
    stage.deploy(api(backend.address));
    client.send("GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nAuthorization: Basic Y2xpZW50\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.last_field("authorization"), "Basic Y2xpZW50");
}

#[tokio::test]
async fn a_key_is_sent_in_a_header_or_in_the_query_and_no_client_can_send_another() {
    let backend = Backend::start().await;
    let proof = |place: &str| {
        json!({
            "type": "apikey", "apiKeyIdentifier": "x-key", "apiKeyValue": sealed("a&b"), "apiKeyIdentifierType": place,
        })
    };
    let stage = stage(protected(&backend, proof("HEADER")));
    let mut client = stage.client().await;
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Key: own\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.last().headers.get_all("x-key").iter().collect::<Vec<_>>(), ["a&b"]);
    stage.deploy(protected(&backend, proof("QUERY_PARAMETER")));
    assert_eq!(client.get("/pizza/1.0.0/menu?a=1&x-key=own", Some("good")).await.status, 200);
    assert_eq!(backend.last().line, "GET /base/menu?a=1&x-key=a%26b");
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    assert_eq!(backend.last().line, "GET /base/menu?x-key=a%26b");
}

/// A server that gives the tokens `t1`, `t2`, …, unless it is told to fail.
async fn token_server(fails: Arc<AtomicBool>) -> Backend {
    let given = AtomicUsize::new(0);
    Backend::answering(move |_| {
        if fails.load(Ordering::SeqCst) {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, "x", "y", "no");
        }
        let number = given.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": 3600});
        answer(StatusCode::OK, "content-type", "application/json", &body.to_string())
    })
    .await
}

#[tokio::test]
async fn one_token_serves_all_calls_until_the_backend_does_not_take_it() {
    let tokens = token_server(Arc::default()).await;
    let revoked = Arc::new(AtomicBool::new(false));
    let is_revoked = Arc::clone(&revoked);
    let backend = Backend::answering(move |seen| {
        let is_good =
            field(seen, "authorization") == if is_revoked.load(Ordering::SeqCst) { "Bearer t2" } else { "Bearer t1" };
        let status = if is_good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        answer(status, "x-backend", "yes", "hello")
    })
    .await;
    let proof = json!({
        "type": "OAUTH", "grantType": "PASSWORD", "tokenUrl": format!("http://{}/token", tokens.address),
        "clientId": "gate", "clientSecret": sealed("secret"), "username": "ann", "password": sealed("p&w"),
        "customParameters": {"scope": "read write"},
    });
    let stage = stage(protected(&backend, proof));
    let mut client = stage.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!(tokens.calls(), 1);
    let asked = tokens.last();
    assert_eq!((asked.line.as_str(), field(&asked, "authorization")), ("POST /token", "Basic Z2F0ZTpzZWNyZXQ="));
    assert_eq!(asked.body, "grant_type=password&username=ann&password=p%26w&scope=read%20write");
    // One that was revoked is replaced within the call, also where the call has a body.
    revoked.store(true, Ordering::SeqCst);
    client
        .send(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 3\r\n\r\nabc",
        )
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!((tokens.calls(), backend.calls(), &*backend.last().body), (2, 7, &b"abc"[..]));
}

#[tokio::test]
async fn without_a_token_no_call_is_passed_on_and_it_is_asked_for_again() {
    let fails = Arc::new(AtomicBool::new(true));
    let tokens = token_server(Arc::clone(&fails)).await;
    let backend = Backend::start().await;
    let proof = json!({
        "type": "OAUTH", "tokenUrl": format!("http://{}/token", tokens.address), "clientId": "gate",
        "clientSecret": sealed("secret"),
    });
    let stage = stage(protected(&backend, proof));
    let mut client = stage.client().await;
    for _ in 0..3 {
        let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "900991"));
        assert!(!reply.text().contains("secret") && !reply.text().contains("token"), "{}", reply.text());
    }
    assert_eq!(backend.calls(), 0);
    assert!(tokens.calls() < 3, "a server that fails is not asked by each call");
    fails.store(false, Ordering::SeqCst);
    let deadline = tokio::time::Instant::now() + stage::PATIENCE;
    while client.get("/pizza/1.0.0/menu", Some("good")).await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the token is never asked for again");
    }
    assert_eq!(backend.last_field("authorization"), "Bearer t1");
}

#[tokio::test]
async fn a_challenge_is_answered_and_answered_again_without_being_asked() {
    let challenge = "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
    let backend = Backend::answering(move |seen| {
        if field(seen, "authorization").starts_with("Digest username=\"ann\"") {
            answer(StatusCode::OK, "x-backend", "yes", "hello")
        } else {
            answer(StatusCode::UNAUTHORIZED, "www-authenticate", challenge, "")
        }
    })
    .await;
    let proof = json!({"type": "DIGEST", "username": "ann", "password": sealed("pw")});
    let stage = stage(protected(&backend, proof));
    let mut client = stage.client().await;
    client
        .send(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 3\r\n\r\nabc",
        )
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!((backend.calls(), &*backend.last().body), (2, &b"abc"[..]));
    assert_eq!(client.get("/pizza/1.0.0/menu?a=1", Some("good")).await.status, 200);
    assert_eq!(backend.calls(), 3, "the challenge is known by now");
    let shown = backend.last_field("authorization");
    assert!(shown.contains("uri=\"/base/menu?a=1\"") && shown.contains("nc=00000002"), "{shown}");
}

#[tokio::test]
async fn the_challenge_of_a_backend_that_is_tried_out_is_answered_too() {
    let old = Backend::start().await;
    let new = Backend::answering(|seen| {
        if field(seen, "authorization").starts_with("Digest username=\"ann\"") {
            answer(StatusCode::OK, "x-backend", "new", "hello")
        } else {
            answer(StatusCode::UNAUTHORIZED, "www-authenticate", "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"", "")
        }
    })
    .await;
    let mut api = api(old.address);
    let canary = json!({"url": format!("http://{}", new.address), "header": {"name": "X-Try", "value": "new"}});
    let proof = json!({"type": "DIGEST", "enabled": true, "username": "ann", "password": sealed("pw")});
    let document = json!({"endpoint_security": {"production": proof}, "production_canary": canary});
    api.endpoints.document = document.to_string();
    let stage = stage(api);
    let mut client = stage.client().await;
    client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Try: new\r\n\r\n").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("x-backend")), (200, Some("new")));
    assert_eq!((old.calls(), new.calls()), (0, 2));
}

#[tokio::test]
async fn a_call_is_signed_as_it_reaches_the_backend() {
    let backend = Backend::start().await;
    let proof = json!({
        "type": "aws", "accessKey": "AKID", "secretKey": sealed("secret"), "region": "eu-west-1", "service": "execute-api",
    });
    let stage = stage(protected(&backend, proof));
    let mut client = stage.client().await;
    client
        .send("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Amz-Date: 1\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert_eq!(client.reply().await.status, 200);
    let seen = backend.last();
    let day = &field(&seen, "x-amz-date")[..8];
    let begin = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/{day}/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature="
    );
    assert!(field(&seen, "authorization").starts_with(&begin), "{seen:?}");
    assert_eq!((seen.headers.get_all("x-amz-date").iter().count(), &*seen.body), (1, &b"abc"[..]));
}

#[tokio::test]
async fn where_the_secret_cannot_be_opened_no_call_is_passed_on() {
    let backend = Backend::start().await;
    let other = ClusterKey::new([8; 32]).seal(b"s3cret").to_text();
    let stage = stage(protected(&backend, json!({"type": "BASIC", "username": "gate", "password": other})));
    let reply = stage.get("/pizza/1.0.0/menu").await;
    assert_eq!((reply.status, reply.code().as_str(), backend.calls()), (503, "900991", 0));
}
