//! Services outside of the system that users are answered by, as a server of somebody else that answers as it is told; and
//! recommendations, which need none.

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::receiver::Receiver;
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";

#[tokio::test(flavor = "multi_thread")]
async fn what_people_ask_goes_to_the_services_that_are_configured_and_comes_back_in_the_contracts_form() {
    let outside = Receiver::start().await;
    let mut cluster = Cluster::empty();
    std::fs::write(cluster.path("token"), "letmein\n").expect("a file");
    let file = cluster.path("token");
    cluster.configure(
        1,
        &format!(
            "[assistant]\nurl = \"{0}\"\ntoken_file = \"{1}\"\n[security_audit]\nurl = \"{0}/v1/apis\"\nkey_file = \"{1}\"\ncollection = \"ours\"\n",
            outside.url,
            file.display()
        ),
    );
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("production").await;
    let url = backend.url();
    let api = journey::publish(node, &Wish::new("pizza", &url)).await;

    // Designing.
    let chat = format!("{PUBLISHER}/design-assistant/chat");
    admin.json("POST", &chat, &json!({"text": "hello"})).await.expect("chat").expect(400);
    outside.answer_next_with(&[(
        200,
        json!({"backendResponse": "hi", "state": "COMPLETE", "secret": "not in the contract"}),
    )]);
    let asked = json!({"session_id": "s1", "text": "an API for a bank"});
    let reply = admin.json("POST", &chat, &asked).await.expect("chat").expect(200).json();
    assert_eq!(reply, json!({"backendResponse": "hi", "state": "COMPLETE"}));
    let sent = outside.received().pop().expect("what was sent");
    assert_eq!((sent.target.as_str(), sent.header("authorization")), ("/ai/design-assistant/chat", "Bearer letmein"));
    assert_eq!(sent.json(), asked);
    outside.answer_next_with(&[(200, json!({"generated_payload": {"name": "bank"}}))]);
    let generate = format!("{PUBLISHER}/design-assistant/generate-api-payload");
    let reply = admin.json("POST", &generate, &json!({"session_id": "s1"})).await.expect("generate").expect(200).json();
    assert_eq!(reply, json!({"generated_payload": "{\"name\":\"bank\"}"}));

    // Finding.
    let find = format!("{STORE}/marketplace-assistant/chat");
    let question = json!({"query": "pizza?", "history": [{"role": "user", "content": "Hi"}]});
    node.anonymous().json("POST", &find, &question).await.expect("find").expect(401);
    outside.answer_next_with(&[(
        200,
        json!({"response": "this one", "apis": [{"apiId": api, "apiName": "pizza", "version": "1.0.0"}]}),
    )]);
    let reply = admin.json("POST", &find, &question).await.expect("find").expect(201).json();
    assert_eq!((&reply["response"], &reply["apis"][0]["apiName"]), (&json!("this one"), &json!("pizza")));
    let sent = outside.received().pop().expect("what was sent").json();
    assert_eq!((&sent["tenant_domain"], &sent["query"]), (&json!("carbon.super"), &json!("pizza?")));
    let count = admin.get(&format!("{STORE}/marketplace-assistant/api-count")).await.expect("count").expect(200).json();
    assert_eq!(count, json!({"count": 1, "limit": 1000}));

    // Trying out.
    let talk = format!("{STORE}/apis/{api}/api-chat?apiChatAction=PREPARE");
    outside.answer_next_with(&[(201, json!({"apiSpec": {"tools": []}, "queries": [{"scenario": "a", "query": "b"}]}))]);
    let reply = admin.json("POST", &talk, &json!({"apiChatRequestId": "r1"})).await.expect("talk").expect(201).json();
    assert_eq!(reply["apiSpec"], json!({"tools": []}));
    let sent = outside.received().pop().expect("what was sent");
    assert_eq!((sent.target.as_str(), sent.header("apichatrequestid")), ("/ai/api-chat/prepare", "r1"));
    assert_eq!(sent.json()["openapi"]["info"]["title"], "pizza");
    let execute = talk.replace("PREPARE", "EXECUTE");
    admin.json("POST", &execute, &json!({"apiChatRequestId": "r1"})).await.expect("talk").expect(400);
    outside.answer_next(&[429]);
    let busy = json!({"apiChatRequestId": "r1", "command": "the menu", "apiSpec": {"tools": []}});
    let busy = admin.json("POST", &execute, &busy).await.expect("talk").expect(429);
    assert!(!busy.header("retry-after").is_empty());
    outside.answer_next(&[500]);
    let broken = admin.json("POST", &chat, &asked).await.expect("chat").expect(502).text();
    assert!(broken.contains("the assistant answered with status 500"), "{broken}");

    // Auditing: registered once, brought up to date after.
    let audit = format!("{PUBLISHER}/apis/{api}/auditapi");
    let report =
        json!({"data": STANDARD.encode("{\"score\": 27}"), "attr": {"data": {"grade": 27.95, "numErrors": 20}}});
    outside.answer_next_with(&[(200, json!({"desc": {"id": "u-1"}})), (200, report.clone())]);
    let first = admin.get(&audit).await.expect("audit").expect(200).json();
    let wanted = json!({"report": "{\"score\": 27}", "grade": "27.95", "numErrors": 20, "externalApiId": "u-1"});
    assert_eq!(first, wanted);
    let before = outside.received().len();
    let registered = &outside.received()[before - 2];
    assert_eq!((registered.target.as_str(), registered.header("x-api-key")), ("/v1/apis", "letmein"));
    assert!(String::from_utf8_lossy(&registered.body).contains("name=\"cid\"\r\n\r\nours"));
    outside.answer_next_with(&[(200, json!({})), (200, report)]);
    admin.get(&audit).await.expect("audit").expect(200);
    let targets: Vec<String> = outside.received()[before..].iter().map(|one| one.target.clone()).collect();
    assert_eq!(targets, ["/v1/apis/u-1", "/v1/apis/u-1/assessmentreport"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_such_services_says_so_and_recommends_what_others_have() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("production").await;
    let url = backend.url();
    let pizza = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let pasta = journey::publish(node, &Wish::new("pasta", &url)).await;
    journey::publish(node, &Wish::new("bread", &url)).await;
    for (verb, path, body, key) in [
        ("GET", format!("{PUBLISHER}/apis/{}/auditapi", pizza.api), Value::Null, "security_audit.url"),
        ("POST", format!("{PUBLISHER}/design-assistant/chat"), json!({"session_id": "s"}), "assistant.url"),
        ("POST", format!("{STORE}/marketplace-assistant/chat"), json!({"query": "a", "history": []}), "assistant.url"),
    ] {
        let refused = admin.json(verb, &path, &body).await.expect("asked").expect(404).text();
        assert!(refused.contains(key), "{path}: {refused}");
    }

    let path = format!("{STORE}/recommendations");
    assert_eq!(admin.get(&path).await.expect("recommendations").expect(200).json(), json!({"count": 0, "list": []}));
    let users = "/api/portcullis/v1/users";
    let ann = json!({"username": "ann", "password": "Correct-Horse-9", "roles": ["Internal/subscriber"]});
    admin.json("POST", users, &ann).await.expect("user").expect(201);
    let ann = Some(("ann", "Correct-Horse-9"));
    for (name, api) in [("pizza", &pizza.api), ("pasta", &pasta)] {
        journey::subscribe(node, &Wish { as_user: ann, ..Wish::new(name, &url) }, api.clone()).await;
    }
    let found = admin.get(&path).await.expect("recommendations").expect(200).json();
    let names: Vec<String> = found["list"].as_array().expect("list").iter().map(|one| text(one, "name")).collect();
    assert_eq!((names, &found["list"][0]["avgRating"]), (vec!["pasta".to_owned()], &json!("0.0")));
}
