//! Dynamic endpoints: the backend of a call is what its policies put into `To`, and never what its caller did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use base64::Engine as _;
use http::Response;
use http_body_util::Full;
use portcullis_model::{DeployedApi, Endpoint};
use serde_json::{Value, json};
use stage::{Backend, Reply, Stage, api};

/// The API whose backends its policies name.
fn dynamic(allowed: &Value) -> DeployedApi {
    let mut dynamic = api("127.0.0.1:1".parse().unwrap());
    dynamic.endpoints.production = vec![Endpoint { url: "default".to_owned(), timeout_ms: None }];
    dynamic.endpoints.document = json!({
        "endpoint_type": "default", "production_endpoints": {"url": "default"}, "allowed_addresses": allowed,
    })
    .to_string();
    dynamic
}

fn add_to(address: &str) -> Value {
    json!({"policyName": "addHeader", "parameters": {"headerName": "To", "headerValue": address}})
}

fn rename(from: &str) -> Value {
    json!({"policyName": "renameHeader", "parameters": {"currentHeaderName": from, "updatedHeaderName": "To"}})
}

/// A gateway with that API and these policies in its request flow.
fn before(allowed: &Value, policies: &[Value]) -> Stage {
    let dynamic = dynamic(allowed);
    let stage = Stage::with_apis([dynamic.clone()]);
    stage.mediate(dynamic.id, &json!({"apiPolicies": {"request": policies}}));
    stage
}

async fn get(stage: &Stage, path: &str, more: &str) -> Reply {
    let mut client = stage.client().await;
    let head = format!("GET /pizza/1.0.0{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{more}\r\n");
    client.send(&head).await;
    client.reply().await
}

#[tokio::test]
async fn each_operation_may_go_elsewhere_and_what_a_caller_says_of_it_counts_for_nothing() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let dynamic = dynamic(&Value::Null);
    let stage = Stage::with_apis([dynamic.clone()]);
    let own = |address: String| json!({"operationPolicies": {"request": [add_to(&address)]}});
    stage.mediate(
        dynamic.id,
        &json!({"operations": {
            "GET /menu": own(format!("http://{}/v1/", one.address)),
            "GET /order/{id}": own(format!("http://{}?from=policy", two.address)),
        }}),
    );
    let others = format!("To: http://{}/evil\r\n", two.address);
    let mut client = stage.client().await;
    for _ in 0..2 {
        let head =
            format!("GET /pizza/1.0.0/menu?a=b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{others}\r\n");
        client.send(&head).await;
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!((one.last().line.as_str(), one.last_field("to").as_str()), ("GET /v1/menu?a=b", ""));
    assert_eq!(get(&stage, "/order/7?a=b", &others).await.status, 200);
    assert_eq!((two.last().line.as_str(), two.last_field("to").as_str()), ("GET /order/7?from=policy&a=b", ""));
    assert_eq!((one.calls(), two.calls()), (2, 1));
    assert_eq!(stage.gateway.metrics().upstream_connects, 2, "connections are kept");
    // No policy says anything of this one.
    let reply = get(&stage, "/files/x", &others).await;
    assert_eq!((reply.status, reply.code().as_str(), two.calls()), (503, "303001", 1));
}

#[tokio::test]
async fn a_callers_word_is_taken_where_the_api_says_how_far_it_reaches() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let of = |backend: &Backend, path: &str| format!("X-Backend: http://{}{path}\r\n", backend.address);
    // Without a list it reaches nowhere, though the policy would have it do so.
    let open = before(&Value::Null, &[add_to(&format!("http://{}", one.address)), rename("x-backend")]);
    let reply = get(&open, "/menu", &of(&two, "")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "900993"));
    assert_eq!(get(&open, "/menu", "").await.status, 200, "the policy's own word counts where there is none");
    assert_eq!((one.calls(), two.calls()), (1, 0));

    let allowed = json!([format!("http://{}/good", one.address)]);
    let listed = before(&allowed, &[rename("x-backend")]);
    for path in ["/good", "/good/more", "/evil/../good"] {
        assert_eq!(get(&listed, "/menu", &of(&one, path)).await.status, 200, "{path}");
    }
    assert_eq!(one.last().line, "GET /good/menu");
    for (backend, path) in [(&two, "/good"), (&one, "/goods"), (&one, "/good/../evil"), (&one, "/good/%2e%2e/evil")] {
        let reply = get(&listed, "/menu", &of(backend, path)).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "900993"), "{path}");
    }
    for odd in ["nonsense", "file:///etc/passwd", "gopher://a/", "http://user@127.0.0.1/"] {
        let reply = get(&listed, "/menu", &format!("X-Backend: {odd}\r\n")).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "303001"), "{odd}");
    }
    assert_eq!((one.calls(), two.calls()), (4, 0));
    // The list holds what policies say to the same.
    let beyond = before(&allowed, &[add_to(&format!("http://{}/evil", one.address))]);
    assert_eq!(get(&beyond, "/menu", "").await.status, 403);
}

#[tokio::test]
async fn an_answer_of_a_backend_that_was_named_is_not_kept_for_calls_to_another_one() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let of = |backend: &Backend| format!("http://{}", backend.address);
    let dynamic = dynamic(&json!([of(&one), of(&two)]));
    let stage = Stage::with_apis([dynamic.clone()]);
    let policies = json!({"request": [rename("x-backend")]});
    let document = json!({"responseCachingEnabled": true, "cacheTimeout": 300, "apiPolicies": policies});
    stage.mediate(dynamic.id, &document);
    for backend in [&one, &two] {
        let reply = get(&stage, "/menu", &format!("X-Backend: {}\r\n", of(backend))).await;
        assert_eq!((reply.status, reply.header("cache-status"), backend.calls()), (200, None, 1));
    }
}

#[tokio::test]
async fn a_service_of_the_publishers_may_say_where_a_call_goes() {
    let backend = Backend::start().await;
    let to = format!("http://{}/chosen", backend.address);
    let told = json!({"headersToReplace": {"To": to}}).to_string();
    let service = Backend::answering(move |_| Response::new(Full::from(told.clone()))).await;
    let intercept = json!({"policyName": "callInterceptorService", "parameters": {
        "interceptorServiceURL": format!("http://{}", service.address), "includes": "request_headers,request_body",
    }});
    let stage = before(&Value::Null, &[intercept]);
    let mut client = stage.client().await;
    let head =
        "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 4\r\n\r\nmenu";
    client.send(head).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!((backend.last().line.as_str(), &*backend.last().body), ("POST /chosen/menu", &b"menu"[..]));
    let shown: Value = serde_json::from_slice(&service.last().body).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode("menu");
    assert_eq!(shown["requestBody"], body, "it can choose by the body");
}
