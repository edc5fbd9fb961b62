//! Operation policies as callers and backends see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_model::port::KeyVerdict;
use serde_json::{Value, json};
use stage::{Backend, Client, Reply, Stage, api, verdict};

fn policy(name: &str, parameters: &Value) -> Value {
    json!({"policyName": name, "policyVersion": "v1", "parameters": parameters})
}

/// A stage whose one API has policies on one operation.
fn mediated(backend: &Backend, operation: &str, policies: &Value) -> Stage {
    let stage = Stage::with_apis([api(backend.address)]);
    let mut operations = serde_json::Map::new();
    operations.insert(operation.to_owned(), json!({"operationPolicies": policies}));
    stage.mediate(api(backend.address).id, &json!({"operations": operations}));
    stage
}

async fn post(client: &mut Client, path: &str, kind: &str, body: &str) -> Reply {
    let length = body.len();
    client
        .send(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.reply().await
}

#[tokio::test]
async fn policies_change_the_call_and_the_answer_in_their_order() {
    let backend = Backend::start().await;
    let policies = json!({
        "request": [
            policy("addHeader", &json!({"headerName": "X-Kind", "headerValue": "robot"})),
            policy("renameHeader", &json!({"currentHeaderName": "x-kind", "updatedHeaderName": "x-sort"})),
            policy("removeHeader", &json!({"headerName": "x-secret"})),
            policy("addQueryParam", &json!({"paramKey": "from", "paramValue": "a&b"})),
            policy("removeQueryParam", &json!({"paramKey": "debug"})),
            policy("rewriteResourcePath", &json!({"newResourcePath": "/v2/{uri.var.id}/lines"})),
            policy("changeHTTPMethod", &json!({"httpMethod": "POST"})),
        ],
        "response": [
            policy("addHeader", &json!({"headerName": "x-served-by", "headerValue": "portcullis"})),
            policy("removeHeader", &json!({"headerName": "x-backend"})),
        ],
    });
    let stage = mediated(&backend, "GET /order/{id}", &policies);
    let mut client = stage.client().await;
    client
        .send(
            "GET /pizza/1.0.0/order/7?debug=1&size=l HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\
             X-Secret: 1\r\nX-Own: 2\r\n\r\n",
        )
        .await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "POST /base/v2/7/lines?size=l&from=a%26b 0"));
    assert_eq!((reply.header("x-served-by"), reply.header("x-backend")), (Some("portcullis"), None));
    let seen = backend.last();
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((header("x-sort"), header("x-kind"), header("x-secret")), (Some("robot"), None, None));
    assert_eq!((header("x-own"), header("authorization")), (Some("2"), None));

    // Other operations are as they were, and so is this one once its policies are gone.
    let plain = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((plain.text(), plain.header("x-backend")), ("GET /base/menu 0", Some("yes")));
    stage.mediate(api(backend.address).id, &json!({}));
    assert_eq!(client.get("/pizza/1.0.0/order/7", Some("good")).await.text(), "GET /base/order/7 0");
}

#[tokio::test]
async fn a_mock_answers_in_the_backends_place_and_only_who_may_call() {
    let backend = Backend::start().await;
    let mock = policy("mockResponse", &json!({"statusCode": 203, "contentType": "text/plain", "content": "mocked"}));
    let added = policy("addHeader", &json!({"headerName": "x-mock", "headerValue": "1"}));
    let stage = mediated(&backend, "POST /menu", &json!({"request": [mock], "response": [added]}));
    let mut client = stage.client().await;
    let reply = post(&mut client, "/pizza/1.0.0/menu", "text/plain", "to nobody").await;
    assert_eq!((reply.status, reply.text(), reply.header("content-type")), (203, "mocked", Some("text/plain")));
    assert_eq!(reply.header("x-mock"), Some("1"));
    // What was sent is read, so that the connection goes on.
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    assert_eq!(backend.seen.lock().unwrap().len(), 1);
    client.send("POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 401);
}

#[tokio::test]
async fn bodies_are_turned_from_json_into_xml_and_what_is_no_json_is_refused() {
    let backend = Backend::start().await;
    let stage = mediated(&backend, "POST /menu", &json!({"request": [policy("jsonToXML", &json!({}))]}));
    let mut client = stage.client().await;
    let body = json!({"name": "Margherita", "tags": ["a", "b"]}).to_string();
    assert_eq!(post(&mut client, "/pizza/1.0.0/menu", "application/json", &body).await.status, 200);
    let seen = backend.last();
    let expected = "<jsonObject><name>Margherita</name><tags>a</tags><tags>b</tags></jsonObject>";
    assert_eq!(String::from_utf8_lossy(&seen.body), expected);
    assert_eq!(seen.headers["content-type"], "application/xml");
    assert_eq!(seen.headers["content-length"], expected.len().to_string().as_str());

    let refused = post(&mut client, "/pizza/1.0.0/menu", "application/json", "{not json").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("not JSON"), "{}", refused.text());
    let large = "1".repeat((1 << 20) + 1);
    let mut client = stage.client().await;
    assert_eq!(post(&mut client, "/pizza/1.0.0/menu", "application/json", &large).await.status, 413);
    assert_eq!(backend.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_a_policy_cannot_read_is_a_fault_and_faults_have_policies_of_their_own() {
    let backend = Backend::start().await;
    let policies = json!({
        "response": [policy("xmlToJson", &json!({}))],
        "fault": [policy("addHeader", &json!({"headerName": "x-fault", "headerValue": "told"}))],
    });
    let stage = mediated(&backend, "GET /menu", &policies);
    let mut client = stage.client().await;
    let reply = client.get("/pizza/1.0.0/menu", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (500, "101510"), "{}", reply.text());
    assert_eq!(reply.header("x-fault"), Some("told"));
    // A refusal of the gateway's own is no fault of a backend.
    assert_eq!(client.get("/pizza/1.0.0/menu", None).await.header("x-fault"), None);
}

#[tokio::test]
async fn a_service_of_soap_1_2_gets_the_action_in_its_media_type_and_its_answer_becomes_json() {
    let envelope = |inner: &str| {
        format!("<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body>{inner}</e:Body></e:Envelope>")
    };
    let answer = envelope("<r:GetPriceResponse xmlns:r=\"urn:rpc\"><price>7.5</price></r:GetPriceResponse>");
    let backend = Backend::answering(move |_| {
        let response = http::Response::builder().header("content-type", "application/soap+xml");
        response.body(http_body_util::Full::from(answer.clone())).unwrap()
    })
    .await;
    let call = json!({
        "soapAction": "urn:\"price\"", "soapVersion": "1.2", "arguments": "$url:id\n$.n",
        "envelope": envelope("<w:GetPrice xmlns:w=\"urn:rpc\"><symbol>$1</symbol><count> $2</count></w:GetPrice>"),
    });
    let policies = json!({"request": [policy("jsonToSOAP", &call)], "response": [policy("soapToJSON", &json!({}))]});
    let stage = mediated(&backend, "POST /menu", &policies);
    let mut client = stage.client().await;
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /pizza/1.0.0/menu?id=a%26b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nSOAPAction: \"own\"\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    client.send(&post("{\"n\": 2}")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{}", reply.text());
    assert_eq!(serde_json::from_str::<Value>(reply.text()).unwrap(), json!({"GetPriceResponse": {"price": 7.5}}));
    let seen = backend.last();
    let kind = "application/soap+xml; charset=utf-8; action=\"urn:price\"";
    assert_eq!((seen.line.as_str(), seen.headers["content-type"].to_str().unwrap()), ("POST /base", kind));
    assert!(!seen.headers.contains_key("soapaction"), "SOAP 1.2 has no such field");
    let sent = envelope("<w:GetPrice xmlns:w=\"urn:rpc\"><symbol>a&amp;b</symbol><count> 2</count></w:GetPrice>");
    assert_eq!(String::from_utf8_lossy(&seen.body), sent);
    // What is no JSON reaches nobody.
    client.send(&post("[")).await;
    assert_eq!((client.reply().await.status, backend.calls()), (400, 1));
}

#[tokio::test]
async fn faults_are_told_in_json_where_that_is_wished_for() {
    let backend = Backend::start().await;
    let wish = json!({"request": [policy("jsonToXML", &json!({}))], "fault": [policy("jsonFault", &json!({}))]});
    let stage = mediated(&backend, "POST /menu", &wish);
    let mut client = stage.client().await;
    let post = "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nAccept: text/xml\r\nContent-Length: 1\r\n\r\n[";
    client.send(post).await;
    let fault = client.reply().await;
    assert_eq!((fault.status, fault.code().as_str()), (400, "400"), "{}", fault.text());
    stage.mediate(
        api(backend.address).id,
        &json!({"operations": {"POST /menu": {"operationPolicies": {"request": [policy("jsonToXML", &json!({}))]}}}}),
    );
    client.send(post).await;
    assert!(client.reply().await.text().starts_with("<am:fault"), "without, in what the caller asked for");
}

#[tokio::test]
async fn a_call_passes_whose_token_has_the_claim_and_others_hear_why_not_also_of_answers_that_are_kept() {
    let backend = Backend::start().await;
    let asked = json!({"accessVerificationClaim": "role", "accessVerificationClaimValue": "chef"});
    let stage = Stage::with_apis([api(backend.address)]);
    let policies = json!({"operationPolicies": {"request": [policy("jwtClaimBasedAccessValidator", &asked)]}});
    let document =
        json!({"responseCachingEnabled": true, "operations": {"GET /menu": policies, "GET /open": policies}});
    stage.mediate(api(backend.address).id, &document);
    let token = |payload: &Value| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload.to_string()));
    let tokens =
        [json!({"role": ["waiter", "chef"]}), json!({"role": "waiter"}), json!({"sub": "ann"})].map(|it| token(&it));
    for token in &tokens {
        stage.keys.set(token, Ok(verdict()));
    }
    let [chef, waiter, nobody] = &tokens;
    let mut client = stage.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some(chef)).await.status, 200);
        let other = client.get("/pizza/1.0.0/menu", Some(waiter)).await;
        assert_eq!((other.status, other.code().as_str()), (403, "900912"), "{}", other.text());
        let none = client.get("/pizza/1.0.0/menu", Some(nobody)).await;
        assert_eq!((none.status, none.code().as_str()), (403, "900913"));
        assert!(none.text().contains("role"), "{}", none.text());
    }
    // Who shows nothing has no claim, and other operations ask for none.
    assert_eq!(client.get("/pizza/1.0.0/open", None).await.code(), "900913");
    assert_eq!(client.get("/pizza/1.0.0/order/7", Some(waiter)).await.status, 200);
    assert_eq!(backend.calls(), 3);
}

#[tokio::test]
async fn a_token_with_the_scope_is_good_for_one_call_and_reaches_no_backend_where_nobody_can_say() {
    let backend = Backend::start().await;
    let policies = json!({"request": [policy("revokeOneTimeToken", &json!({}))]});
    let stage = mediated(&backend, "GET /menu", &policies);
    let with_scope = || KeyVerdict { scopes: vec!["OTT".to_owned()], ..verdict() };
    for token in ["once", "unsure"] {
        stage.keys.set(token, Ok(with_scope()));
    }
    let mut client = stage.client().await;
    assert_eq!(client.get("/pizza/1.0.0/order/7", Some("once")).await.status, 200);
    assert!(stage.keys.spent.lock().unwrap().is_empty(), "the other operation spends nothing");
    assert_eq!(client.get("/pizza/1.0.0/menu", Some("once")).await.status, 200);
    // The verdict is still remembered; it is the key manager's word that counts.
    let again = client.get("/pizza/1.0.0/menu", Some("once")).await;
    assert_eq!((again.status, again.code().as_str()), (401, "900901"), "{}", again.text());
    let unsure = client.get("/pizza/1.0.0/menu", Some("unsure")).await;
    assert_eq!((unsure.status, unsure.code().as_str()), (500, "900900"), "{}", unsure.text());
    // Tokens without the scope are good as long as they are.
    for _ in 0..2 {
        assert_eq!(client.get("/pizza/1.0.0/menu", Some("good")).await.status, 200);
    }
    assert_eq!(*stage.keys.spent.lock().unwrap(), ["once"]);
    assert_eq!(backend.calls(), 4);
}

#[tokio::test]
async fn what_a_policy_sets_stays_whatever_the_caller_binds_to_its_connection() {
    let backend = Backend::start().await;
    let policies = json!({"request": [policy("addHeader", &json!({"headerName": "X-Kind", "headerValue": "robot"}))]});
    let stage = mediated(&backend, "GET /menu", &policies);
    let mut client = stage.client().await;
    client
        .send(
            "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nX-Kind: forged\r\nX-Own: 1\r\n\
             Connection: x-kind, x-own\r\n\r\n",
        )
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(["x-kind", "x-own", "connection"].map(|name| backend.last_field(name)), ["robot", "", ""]);
}
