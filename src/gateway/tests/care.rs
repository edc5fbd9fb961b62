//! Several backends, and those that fail: weights, sessions, suspension, retries, health checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use http::Response;
use http_body_util::Full;
use portcullis_model::api::EndpointStrategy;
use portcullis_model::{DeployedApi, Endpoint};
use serde_json::{Value, json};
use stage::{Backend, Client, Stage, api, until};

/// The API with several backends and what its document says of them.
fn shared(strategy: EndpointStrategy, backends: &[SocketAddr], document: &Value) -> DeployedApi {
    let mut shared = api(backends[0]);
    shared.endpoints.strategy = strategy;
    let endpoint = |address: &SocketAddr| Endpoint { url: format!("http://{address}"), timeout_ms: None };
    shared.endpoints.production = backends.iter().map(endpoint).collect();
    shared.endpoints.document = document.to_string();
    shared
}

/// A document in which each endpoint has settings of its own.
fn document(kind: &str, configs: &[Value]) -> Value {
    let endpoints: Vec<Value> = configs.iter().map(|config| json!({"url": "http://x", "config": config})).collect();
    if kind == "failover" {
        return json!({"endpoint_type": kind, "production_endpoints": endpoints[0], "production_failovers": endpoints[1..]});
    }
    json!({"endpoint_type": kind, "production_endpoints": endpoints})
}

/// A backend whose status a test sets.
async fn moody(status: u16) -> (Backend, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(status));
    let told = Arc::clone(&mood);
    let backend = Backend::answering(move |_| {
        let response = Response::builder().status(told.load(Ordering::SeqCst));
        response.body(Full::from("hello")).unwrap()
    });
    (backend.await, mood)
}

async fn get(client: &mut Client) -> u16 {
    client.get("/pizza/1.0.0/menu", Some("good")).await.status
}

async fn post(client: &mut Client) -> u16 {
    client
        .send(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 3\r\n\r\nabc",
        )
        .await;
    client.reply().await.status
}

#[tokio::test]
async fn calls_are_shared_by_weight() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut document = document("load_balance", &[json!({"weight": 3}), json!({})]);
    document["algoClassName"] = json!("org.apache.synapse.endpoints.algorithms.WeightedRoundRobin");
    let stage = Stage::with_apis([shared(EndpointStrategy::RoundRobin, &[one.address, two.address], &document)]);
    let mut client = stage.client().await;
    for _ in 0..8 {
        assert_eq!(get(&mut client).await, 200);
    }
    assert_eq!((one.calls(), two.calls()), (6, 2));
}

#[tokio::test]
async fn a_call_goes_where_the_fewest_are_in_progress() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Backend::start().await;
    let mut document = document("load_balance", &[json!({}), json!({})]);
    document["algoClassName"] = json!("LeastRequests");
    let addresses = [listener.local_addr().unwrap(), other.address];
    let stage = Stage::with_apis([shared(EndpointStrategy::RoundRobin, &addresses, &document)]);
    // The backend that a test plays holds the first call it gets; every other call then goes to the one that is free.
    let mut waiting = Vec::new();
    let held = loop {
        let mut client = stage.client().await;
        client.send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n").await;
        tokio::select! {
            accepted = listener.accept() => break (client, accepted.unwrap()),
            reply = client.reply() => assert_eq!(reply.status, 200),
        }
        waiting.push(client);
        assert!(waiting.len() < 3, "the idle backend never has its turn");
    };
    let before = other.calls();
    let mut client = stage.client().await;
    for _ in 0..6 {
        assert_eq!(get(&mut client).await, 200);
    }
    assert_eq!(other.calls() - before, 6);
    drop(held);
}

#[tokio::test]
async fn a_client_stays_with_the_backend_that_its_cookie_names() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut document = document("load_balance", &[json!({}), json!({})]);
    document["sessionManagement"] = json!("transport");
    let deployed = shared(EndpointStrategy::RoundRobin, &[one.address, two.address], &document);
    let stage = Stage::with_apis([deployed.clone()]);
    let mut client = stage.client().await;
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let stay = format!(
        "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nCookie: a=b; {cookie}\r\n\r\n"
    );
    let first = if one.calls() == 1 { &one } else { &two };
    // Also on a gateway that has never seen it.
    let another = Stage::with_apis([deployed]);
    for stage in [&stage, &another] {
        let mut client = stage.client().await;
        for _ in 0..3 {
            client.send(&stay).await;
            let reply = client.reply().await;
            assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
        }
    }
    assert_eq!((first.calls(), one.calls() + two.calls()), (7, 7));
    // Others are shared as ever.
    for _ in 0..4 {
        assert_eq!(get(&mut client).await, 200);
    }
    assert!(one.calls() > 1 && two.calls() > 1);
}

#[tokio::test]
async fn a_backend_that_answers_a_code_is_suspended_and_the_others_serve() {
    let (bad, mood) = moody(503).await;
    let good = Backend::start().await;
    let suspended = json!({"suspendErrorCode": ["503"], "suspendDuration": 300_000});
    let document = document("failover", &[suspended, json!({})]);
    let stage = Stage::with_apis([shared(EndpointStrategy::Failover, &[bad.address, good.address], &document)]);
    let mut client = stage.client().await;
    for _ in 0..4 {
        assert_eq!(get(&mut client).await, 200, "a call that changes nothing is answered by the next backend");
    }
    assert_eq!((bad.calls(), good.calls(), stage.gateway.metrics().upstream_suspensions), (1, 4, 1));
    mood.store(200, Ordering::SeqCst);
    assert_eq!(get(&mut client).await, 200);
    assert_eq!(bad.calls(), 1, "it is left alone though it is well again");
}

#[tokio::test]
async fn a_call_that_may_change_something_is_not_sent_to_another_backend() {
    let (bad, _) = moody(503).await;
    let good = Backend::start().await;
    let suspended = json!({"suspendErrorCode": ["503"], "suspendDuration": 300_000});
    let document = document("failover", &[suspended, json!({})]);
    let stage = Stage::with_apis([shared(EndpointStrategy::Failover, &[bad.address, good.address], &document)]);
    let mut client = stage.client().await;
    assert_eq!(post(&mut client).await, 503, "what the backend answered");
    assert_eq!((bad.calls(), good.calls()), (1, 0));
    assert_eq!(post(&mut client).await, 200, "the next one goes to the other");
}

#[tokio::test]
async fn a_single_backend_that_is_suspended_gives_303001_until_its_time_is_over() {
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let document = document("http", &[json!({"suspendDuration": 400})]);
    let stage = Stage::with_apis([shared(EndpointStrategy::Single, &[nowhere], &document)]);
    let mut client = stage.client().await;
    let mut code = async || {
        let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
        assert_eq!(reply.status, 503);
        (reply.code(), reply.header("retry-after").map(str::to_owned))
    };
    assert_eq!(code().await.0, "101503");
    assert_eq!(code().await, ("303001".to_owned(), Some("1".to_owned())));
    // When its time is over it is tried again, and suspended again.
    let deadline = tokio::time::Instant::now() + stage::PATIENCE;
    while code().await.0 == "303001" {
        assert!(tokio::time::Instant::now() < deadline, "it is never tried again");
    }
    assert_eq!(stage.gateway.metrics().upstream_suspensions, 2);
}

#[tokio::test]
async fn a_call_is_tried_again_as_often_as_the_publisher_says() {
    let failures = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&failures);
    let backend = Backend::answering(move |_| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        Response::builder().status(if fails { 500 } else { 200 }).body(Full::from("hello")).unwrap()
    })
    .await;
    let document = document("http", &[json!({"retryErroCode": ["500"], "retryTimeOut": 2, "retryDelay": 1})]);
    let stage = Stage::with_apis([shared(EndpointStrategy::Single, &[backend.address], &document)]);
    let mut client = stage.client().await;
    assert_eq!((get(&mut client).await, backend.calls()), (200, 3));
    failures.store(3, Ordering::SeqCst);
    assert_eq!((get(&mut client).await, backend.calls()), (500, 6), "what it answered in the end");
    failures.store(1, Ordering::SeqCst);
    assert_eq!((post(&mut client).await, backend.calls()), (500, 7), "not what may change something");
}

#[tokio::test]
async fn a_backend_that_is_not_well_gets_no_calls_until_it_is() {
    let (sick, mood) = moody(500).await;
    let good = Backend::start().await;
    let health = json!({"healthCheck": {"path": "/up", "interval": 100, "failures": 2}});
    let document = document("load_balance", &[health, json!({})]);
    let stage = Stage::with_apis([shared(EndpointStrategy::RoundRobin, &[sick.address, good.address], &document)]);
    let calls = |backend: &Backend| backend.seen.lock().unwrap().iter().filter(|seen| seen.line == "GET /menu").count();
    until("it is found not well", || stage.gateway.metrics().health_checks_failed >= 3).await;
    assert_eq!(sick.last().line, "GET /up");
    let mut client = stage.client().await;
    for _ in 0..4 {
        assert_eq!(get(&mut client).await, 200);
    }
    assert_eq!((calls(&sick), calls(&good)), (0, 4));
    mood.store(200, Ordering::SeqCst);
    let deadline = tokio::time::Instant::now() + stage::PATIENCE;
    while calls(&sick) == 0 {
        assert_eq!(get(&mut client).await, 200);
        assert!(tokio::time::Instant::now() < deadline, "it is never called again");
    }
}
