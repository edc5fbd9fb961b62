//! Calls that go elsewhere: to a backend that is tried out, as copies, and past a service of the publisher's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use http_body_util::Full;
use portcullis_model::DeployedApi;
use serde_json::{Value, json};
use stage::{Backend, Client, Reply, Seen, Stage, api, until};

fn with(backend: &Backend, document: &Value) -> DeployedApi {
    let mut api = api(backend.address);
    api.endpoints.document = document.to_string();
    api
}

fn url(backend: &Backend) -> String {
    format!("http://{}/new", backend.address)
}

async fn post(client: &mut Client, body: &str) -> Reply {
    let length = body.len();
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Own: 1\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.reply().await
}

#[tokio::test]
async fn a_share_of_the_calls_goes_to_the_backend_that_is_tried_out() {
    let (old, new) = (Backend::start().await, Backend::start().await);
    let document = json!({"production_canary": {"url": url(&new), "weight": 25}});
    let stage = Stage::with_apis([with(&old, &document)]);
    let mut client = stage.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!((old.calls(), new.calls()), (15, 5));
    assert_eq!(new.last().line, "GET /new/menu");
}

#[tokio::test]
async fn calls_with_the_field_go_to_the_backend_that_is_tried_out() {
    let (old, new) = (Backend::start().await, Backend::start().await);
    let header = json!({"name": "X-Try", "value": "new"});
    let document = json!({"production_canary": {"url": url(&new), "header": header}});
    let stage = Stage::with_apis([with(&old, &document)]);
    let mut client = stage.client().await;
    for (value, expected) in [("new", 1), ("old", 1), ("new", 2)] {
        client
            .send(&format!(
                "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-Try: {value}\r\n\r\n"
            ))
            .await;
        assert_eq!((client.reply().await.status, new.calls()), (200, expected));
    }
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    assert_eq!((old.calls(), new.calls()), (2, 2));
}

#[tokio::test]
async fn copies_of_calls_are_made_and_nobody_waits_for_their_answers() {
    let old = Backend::start().await;
    let new = Backend::answering(|_| {
        Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Full::from("no")).unwrap()
    })
    .await;
    let stage = Stage::with_apis([with(&old, &json!({"production_mirror": {"url": url(&new)}}))]);
    let mut client = stage.client().await;
    let reply = post(&mut client, "hello").await;
    assert_eq!((reply.status, reply.text()), (200, "POST /base/menu 5"));
    until("the copy has come", || new.calls() == 1).await;
    let copy = new.last();
    assert_eq!((copy.line.as_str(), &*copy.body), ("POST /new/menu", &b"hello"[..]));
    assert!(copy.headers.get("authorization").is_none() && copy.headers.get("x-own").is_some());
    // One that is not there troubles no caller.
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    stage.deploy(with(&old, &json!({"production_mirror": {"url": format!("http://{nowhere}")}})));
    assert_eq!(post(&mut client, "hello").await.status, 200);
    assert_eq!((old.calls(), stage.gateway.metrics().copies), (2, 2));
}

fn answer(body: &Value) -> Response<Full<bytes::Bytes>> {
    Response::builder().header("content-type", "application/json").body(Full::from(body.to_string())).unwrap()
}

fn told(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap()
}

fn policies(flows: &[&str], service: &Backend, includes: &str) -> Value {
    let parameters = json!({"interceptorServiceURL": format!("http://{}/own", service.address), "includes": includes});
    let policy = json!([{"policyName": "callInterceptorService", "policyVersion": "v1", "parameters": parameters}]);
    let flows: serde_json::Map<String, Value> = flows.iter().map(|flow| ((*flow).to_owned(), policy.clone())).collect();
    json!({"apiPolicies": flows})
}

#[tokio::test]
async fn an_interceptor_service_changes_calls_and_answers() {
    let service = Backend::answering(|seen| {
        answer(&match seen.line.as_str() {
            "POST /own/api/v1/handle-request" => json!({
                "headersToAdd": {"x-added": "one"}, "headersToReplace": {"x-own": "2"}, "headersToRemove": ["accept"],
                "body": STANDARD.encode("other"), "interceptorContext": {"seen": "yes"},
            }),
            _ => json!({"responseCode": 201, "headersToAdd": {"x-told": "two"}, "body": STANDARD.encode("changed")}),
        })
    })
    .await;
    let backend = Backend::start().await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    let all = "request_headers,request_body,response_headers,response_body,invocation_context";
    stage.mediate(id, &policies(&["request", "response"], &service, all));
    let reply = post(&mut stage.client().await, "hello").await;
    assert_eq!((reply.status, reply.text(), reply.header("x-told")), (201, "changed", Some("two")));
    let seen = backend.last();
    assert_eq!(
        (&*seen.body, seen.headers["x-added"].as_bytes(), seen.headers["x-own"].as_bytes()),
        (&b"other"[..], &b"one"[..], &b"2"[..])
    );
    let asked = service.seen.lock().unwrap().clone();
    let [call, answered] = asked.as_slice() else { panic!("it is asked twice") };
    assert_eq!(told(call)["requestBody"], STANDARD.encode("hello"));
    assert_eq!(told(call)["requestHeaders"]["x-own"], "1");
    assert!(told(call)["requestHeaders"].get("authorization").is_none(), "credentials are nobody's business");
    assert_eq!(told(call)["invocationContext"]["method"], "POST");
    assert_eq!(told(answered)["responseBody"], STANDARD.encode("POST /base/menu 5"));
    assert_eq!(
        (&told(answered)["responseCode"], &told(answered)["interceptorContext"]["seen"]),
        (&json!(200), &json!("yes"))
    );
}

#[tokio::test]
async fn an_interceptor_service_may_answer_itself_and_where_it_fails_no_call_passes() {
    let service = Backend::answering(|seen| {
        if told(seen)["requestHeaders"]["x-own"] == "1" {
            return answer(&json!({
                "directRespond": true, "responseCode": 402, "headersToAdd": {"x-why": "pay"}, "body": STANDARD.encode("no"),
            }));
        }
        Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Full::default()).unwrap()
    })
    .await;
    let backend = Backend::start().await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    stage.mediate(id, &policies(&["request"], &service, "request_headers"));
    let mut client = stage.client().await;
    let reply = post(&mut client, "hello").await;
    assert_eq!((reply.status, reply.text(), reply.header("x-why")), (402, "no", Some("pay")));
    assert!(told(&service.last()).get("requestBody").is_none(), "it is shown what it asks for");
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "900992"));
    assert_eq!(backend.calls(), 0);
}
