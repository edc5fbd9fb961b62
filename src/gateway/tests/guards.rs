//! Calls that are turned away for what they hold, and calls and answers that are not what the API's document says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::Arc;

use http::Response;
use http_body_util::Full;
use portcullis_database::state::Generation;
use serde_json::{Value, json};
use stage::{Backend, Client, Reply, Stage, api};

async fn post(client: &mut Client, kind: &str, body: &str) -> Reply {
    let length = body.len();
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.reply().await
}

fn policy(name: &str, parameters: &Value) -> Value {
    json!({"apiPolicies": {"request": [{"policyName": name, "policyVersion": "v1", "parameters": parameters}]}})
}

#[tokio::test]
async fn bodies_beyond_a_bound_do_not_reach_the_backend() {
    let backend = Backend::start().await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    let mut client = stage.client().await;
    stage.mediate(id, &policy("jsonValidator", &json!({"maxArrayElementCount": 3})));
    assert_eq!(post(&mut client, "application/json", "[1, 2, 3]").await.status, 200);
    assert_eq!(&*backend.last().body, b"[1, 2, 3]", "it passes as it came");
    let refused = post(&mut client, "application/json; charset=utf-8", "[1, 2, 3, 4]").await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "400"));
    assert!(refused.text().contains("items has more than 3"), "{}", refused.text());
    assert_eq!(post(&mut client, "text/plain", "[1, 2, 3, 4]").await.status, 200, "not JSON by its own word");
    assert_eq!(post(&mut client, "application/json", "[1, 2").await.status, 400);

    stage.mediate(id, &policy("xmlValidator", &json!({"maxXMLDepth": 2})));
    assert_eq!(post(&mut client, "application/xml", "<a><b/></a>").await.status, 200);
    assert_eq!(post(&mut client, "application/soap+xml", "<a><b><c/></b></a>").await.status, 400);
    let bomb = "<!DOCTYPE a [<!ENTITY b \"x\">]><a>&b;</a>";
    assert_eq!(post(&mut client, "text/xml", bomb).await.status, 400);
    assert_eq!(backend.calls(), 3);
}

#[tokio::test]
async fn a_pattern_is_looked_for_where_the_publisher_says() {
    let backend = Backend::start().await;
    let deployed = api(backend.address);
    let id = deployed.id;
    let stage = Stage::with_apis([deployed]);
    let mut client = stage.client().await;
    stage.mediate(id, &policy("regexProtector", &json!({"regex": "drop\\s+table", "enabledCheckHeaders": "false"})));
    for path in ["/menu?q=drop%20table", "/menu?q=DROP%20%20TABLE", "/order/drop%20table"] {
        let refused = client.get(&format!("/pizza/1.0.0{path}"), Some("good")).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(!refused.text().contains("drop"), "what was found is not told: {}", refused.text());
    }
    assert_eq!(post(&mut client, "text/plain", "; Drop table x").await.status, 400);
    assert_eq!(post(&mut client, "text/plain", "a table").await.status, 200);
    client
        .send("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nX-A: drop table\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.calls(), 2);
}

const DOCUMENT: &str = r#"
openapi: 3.0.3
info: {title: Pizza, version: 1.0.0}
paths:
  /menu:
    parameters:
      - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 50}}
    get:
      parameters:
        - {name: kind, in: query, required: true, schema: {type: array, items: {type: string, enum: [red, white]}}}
      responses:
        '200':
          description: the menu
          content:
            application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Pizza'}}}
    post:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: '#/components/schemas/Pizza'}}
      responses: {'201': {description: added}}
  /order/{id}:
    get:
      parameters: [{$ref: '#/components/parameters/Id'}]
      responses: {default: {description: the order}}
components:
  parameters:
    Id: {name: id, in: path, required: true, schema: {type: string, pattern: '^[0-9]+$'}}
  schemas:
    Pizza:
      type: object
      required: [name]
      additionalProperties: false
      properties:
        name: {type: string, maxLength: 10}
        price: {type: number, minimum: 0, exclusiveMinimum: true, nullable: true}
"#;

/// Has calls checked against the document.
async fn checked(answer: &'static str) -> (Backend, Stage) {
    let backend = Backend::answering(move |_| {
        Response::builder().header("content-type", "application/json").body(Full::from(answer)).unwrap()
    })
    .await;
    let deployed = api(backend.address);
    let key = ("Default".to_owned(), deployed.id);
    let stage = Stage::with_apis([deployed]);
    stage.change(|state| {
        state.deployed.checked_definitions.insert(key, Arc::from(DOCUMENT));
        state.deployed.advance(Generation::Routes);
    });
    (backend, stage)
}

#[tokio::test]
async fn calls_that_the_document_does_not_allow_are_told_why() {
    let (backend, stage) = checked("[]").await;
    let mut client = stage.client().await;
    for (body, expected) in [
        (r#"{"name": "Margherita", "price": 7.5}"#, ""),
        (r#"{"name": "Margherita", "price": null}"#, ""),
        (r#"{"price": 7.5}"#, "name"),
        (r#"{"name": "Quattro Formaggi"}"#, "/name"),
        (r#"{"name": "a", "price": 0}"#, "/price"),
        (r#"{"name": "a", "colour": "red"}"#, "colour"),
        ("{", "not JSON"),
        ("", "must be there"),
    ] {
        let reply = post(&mut client, "application/json", body).await;
        if expected.is_empty() {
            assert_eq!((reply.status, &*backend.last().body), (200, body.as_bytes()), "{}", reply.text());
            continue;
        }
        assert_eq!((reply.status, reply.code().as_str()), (400, "400"), "{body}");
        let text = reply.text();
        assert!(text.contains("Schema validation failed in the Request") && text.contains(expected), "{body}: {text}");
    }
    let other = post(&mut client, "text/plain", "x").await;
    assert!(other.status == 400 && other.text().contains("application/json is accepted"), "{}", other.text());
    assert_eq!(backend.calls(), 2);
}

#[tokio::test]
async fn parameters_are_read_as_what_the_document_says() {
    let (backend, stage) = checked("[]").await;
    let mut client = stage.client().await;
    for (path, status) in [
        ("/menu?kind=red", 200),
        ("/menu?kind=red&kind=white&limit=50", 200),
        ("/menu", 400),
        ("/menu?kind=blue", 400),
        ("/menu?kind=red&kind=blue", 400),
        ("/menu?kind=red&limit=51", 400),
        ("/menu?kind=red&limit=many", 400),
        ("/order/12", 200),
        ("/order/12a", 400),
        ("/order/%31%32", 200),
    ] {
        let reply = client.get(&format!("/pizza/1.0.0{path}"), Some("good")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    assert_eq!(backend.calls(), 4);
}

#[tokio::test]
async fn an_answer_that_the_document_does_not_allow_is_a_fault_of_the_backend() {
    let (_backend, stage) = checked(r#"[{"name": "a"}, {"price": 1}]"#).await;
    let reply = stage.get("/pizza/1.0.0/menu?kind=red").await;
    assert_eq!((reply.status, reply.code().as_str()), (500, "101510"));
    assert!(reply.text().contains("/1: "), "{}", reply.text());
    let (_backend, stage) = checked(r#"[{"name": "a"}]"#).await;
    assert_eq!(stage.get("/pizza/1.0.0/menu?kind=red").await.text(), r#"[{"name": "a"}]"#);
}
