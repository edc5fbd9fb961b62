//! Clients of SOAP that stay with the backend which began their session.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;

use http::Response;
use http_body_util::Full;
use portcullis_model::api::EndpointStrategy;
use portcullis_model::{DeployedApi, Endpoint};
use serde_json::{Value, json};
use stage::{Backend, Reply, Stage, api, until};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";
const AXIS2: &str = "http://ws.apache.org/namespaces/axis2";

fn answer(id: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"{SOAP}\"><s:Header><w:ReplyTo xmlns:w=\"{ADDRESSING}\"><w:ReferenceParameters>\
         <a:ServiceGroupId xmlns:a=\"{AXIS2}\">{id}</a:ServiceGroupId></w:ReferenceParameters></w:ReplyTo></s:Header>\
         <s:Body><ok/></s:Body></s:Envelope>"
    )
}

fn call(id: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"{SOAP}\"><s:Header><a:ServiceGroupId xmlns:a=\"{AXIS2}\">{id}</a:ServiceGroupId>\
         </s:Header><s:Body><menu/></s:Body></s:Envelope>"
    )
}

/// A backend that gives every caller the same id of a session.
async fn giving(id: &'static str) -> Backend {
    Backend::answering(move |_| {
        let answer = answer(id);
        Response::builder().header("content-type", "text/xml; charset=utf-8").body(Full::from(answer)).unwrap()
    })
    .await
}

fn shared(backends: &[SocketAddr]) -> DeployedApi {
    let mut shared = api(backends[0]);
    shared.endpoints.strategy = EndpointStrategy::RoundRobin;
    let endpoint = |address: &SocketAddr| Endpoint { url: format!("http://{address}"), timeout_ms: None };
    shared.endpoints.production = backends.iter().map(endpoint).collect();
    shared.endpoints.document = json!({
        "endpoint_type": "load_balance", "sessionManagement": "soap", "sessionTimeOut": 60_000,
        "production_endpoints": backends.iter().map(|one| json!({"url": format!("http://{one}")})).collect::<Vec<_>>(),
    })
    .to_string();
    shared
}

async fn post(stage: &Stage, content_type: &str, body: &str) -> Reply {
    let mut client = stage.client().await;
    let length = body.len();
    let head = "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nAccept-Encoding: gzip";
    client.send(&format!("{head}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    client.reply().await
}

#[tokio::test]
async fn a_client_stays_with_the_backend_that_gave_it_the_id_on_every_gateway() {
    let (one, two) = (giving("urn:uuid:1").await, giving("urn:uuid:2").await);
    let deployed = shared(&[one.address, two.address]);
    let stage = Stage::with_apis([deployed.clone()]);
    let begun = post(&stage, "text/xml", "<s:Envelope xmlns:s='x'/>").await;
    assert_eq!(begun.status, 200);
    let text = begun.text();
    let at = text.find("urn:uuid:").unwrap();
    let id = text[at..].split('<').next().unwrap();
    assert_eq!(text, answer(id), "nothing but the id is touched");
    let (first, other) = if id.starts_with("urn:uuid:1") { (&one, &two) } else { (&two, &one) };
    assert_eq!((first.calls(), other.calls()), (1, 0));
    let own = &id[.."urn:uuid:1".len()];
    assert!(id.len() > own.len(), "{id}");
    assert_eq!(first.last_field("accept-encoding"), "identity");
    // Also on a gateway that has never seen it.
    let another = Stage::with_apis([deployed.clone()]);
    for stage in [&stage, &another] {
        for _ in 0..3 {
            let reply = post(stage, "text/xml; charset=utf-8", &call(id)).await;
            assert_eq!((reply.status, reply.text()), (200, answer(id).as_str()));
            assert_eq!(first.last().body, call(own), "the backend gets its own id");
        }
    }
    assert_eq!((first.calls(), other.calls()), (7, 0));
    // What is no envelope, and who has no id, is shared as ever.
    for content_type in ["application/json", "text/xml"] {
        for _ in 0..4 {
            let reply = post(&stage, content_type, "{}").await;
            assert_eq!(reply.status, 200);
        }
    }
    assert!(other.calls() >= 3, "{} of 8", other.calls());
    // The backend is gone: another one must say what becomes of the session.
    let dead = if first.address == one.address { two.address } else { one.address };
    let left = Stage::with_apis([shared(&[dead, dead])]);
    let calls = other.calls();
    assert_eq!(post(&left, "text/xml", &call(id)).await.status, 200);
    assert_eq!((other.calls(), &*other.last().body), (calls + 1, call(own).as_bytes()));
}

#[tokio::test]
async fn backends_beside_get_ids_without_a_mark_and_sessions_go_there_only_where_that_is_asked_for() {
    let (one, two) = (giving("urn:uuid:1").await, giving("urn:uuid:1").await);
    let (new, shadow) = (Backend::start().await, Backend::start().await);
    let mut deployed = shared(&[one.address, two.address]);
    let stage = Stage::with_apis([deployed.clone()]);
    let begun = post(&stage, "text/xml", "<s:Envelope xmlns:s='x'/>").await;
    let at = begun.text().find("urn:uuid:").unwrap();
    let id = begun.text()[at..].split('<').next().unwrap();
    let mut document: Value = serde_json::from_str(&deployed.endpoints.document).unwrap();
    let url = |backend: &Backend| format!("http://{}", backend.address);
    document["production_canary"] = json!({"url": url(&new), "weight": 100, "header": {"name": "x-try"}});
    document["production_mirror"] = json!({"url": url(&shadow)});
    deployed.endpoints.document = document.to_string();
    stage.deploy(deployed);
    for copies in 1..4 {
        let reply = post(&stage, "text/xml", &call(id)).await;
        assert_eq!((reply.status, reply.text()), (200, answer(id).as_str()));
        until("the copy has come", || shadow.calls() == copies).await;
        assert_eq!(shadow.last().body, call("urn:uuid:1"));
    }
    assert_eq!((one.calls() + two.calls(), new.calls()), (4, 0));
    let begins = "<s:Envelope xmlns:s='x'/>";
    assert_eq!(post(&stage, "text/xml", begins).await.status, 200);
    assert_eq!((new.calls(), &*new.last().body), (1, begins.as_bytes()), "its share is of those without a session");
    assert_eq!(post(&stage, "text/xml\r\nX-Try: yes", &call(id)).await.status, 200);
    assert_eq!((new.calls(), &*new.last().body), (2, call("urn:uuid:1").as_bytes()));
    assert_eq!(one.calls() + two.calls(), 4);
}

#[tokio::test]
async fn a_call_that_is_too_large_to_be_looked_into_is_refused() {
    let (one, two) = (giving("1").await, giving("2").await);
    let stage = Stage::with_apis([shared(&[one.address, two.address])]);
    let large = call(&"x".repeat(1 << 20));
    assert_eq!(post(&stage, "text/xml", &large).await.status, 413);
    assert_eq!(post(&stage, "application/octet-stream", &large).await.status, 200);
}
