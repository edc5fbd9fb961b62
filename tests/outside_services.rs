//! Services outside of the system that users are answered by, as a server of somebody else that answers as it is told; and
//! recommendations, which need none.

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::receiver::{Received, Receiver};
use harness::{Cluster, Node};
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
async fn without_such_services_a_system_says_so_recommends_what_others_have_and_calls_functions() {
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
    carries_out_operations_by_functions(node).await;
}

/// Functions of AWS Lambda: listed for publishers, called for callers, and nothing else with the publisher's key.
async fn carries_out_operations_by_functions(node: &Node) {
    const ARN: &str = "arn:aws:lambda:eu-west-1:1:function:menu";
    let (lambda, admin) = (Receiver::start().await, node.admin());
    let endpoint = |secret: &str| {
        json!({
            "endpoint_type": "awslambda", "access_method": "stored", "amznAccessKey": "AKID", "amznSecretKey": secret,
            "amznRegion": "eu-west-1", "amznEndpointUrl": lambda.url,
        })
    };
    let operation = |target: &str, name: &str| json!({"target": target, "verb": "POST", "amznResourceName": name});
    let mut api = json!({
        "name": "functions", "context": "/functions", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "awslambda", "access_method": "role-supplied"},
        "operations": [operation("/menu/{dish}", "../x"), operation("/*", "")],
    });
    let path = format!("{PUBLISHER}/apis");
    let refused = admin.json("POST", &path, &api).await.expect("create").expect(400).text();
    assert!(refused.contains("endpointConfig.access_method") && refused.contains("amznResourceName"), "{refused}");
    api["endpointConfig"] = endpoint("s3cret-of-aws");
    api["operations"][0]["amznResourceName"] = json!(ARN);
    let made = admin.json("POST", &path, &api).await.expect("create").expect(201).json();
    let id = text(&made, "id");
    assert_eq!((&made["endpointConfig"], &made["operations"][0]["amznResourceName"]), (&endpoint(""), &json!(ARN)));

    // Listed, page by page.
    let page =
        |arn: &str, next: Value| json!({"Functions": [{"FunctionArn": arn, "Handler": "x"}], "NextMarker": next});
    lambda.answer_next_with(&[(200, page(ARN, json!("a+b"))), (200, page("other", Value::Null))]);
    let names = format!("{PUBLISHER}/apis/{id}/amznResourceNames");
    let listed = admin.get(&names).await.expect("list").expect(200).json();
    assert_eq!(listed, json!({"count": 2, "list": [ARN, "other"]}));
    let asked = lambda.received();
    let targets: Vec<&str> = asked.iter().map(|one| one.target.as_str()).collect();
    let first = "/2015-03-31/functions/?MaxItems=50";
    assert_eq!(targets, [first.to_owned(), format!("{first}&Marker=a%2Bb")]);
    let signed = |one: &Received| {
        let day = &one.header("x-amz-date")[..8];
        let begin = format!("AWS4-HMAC-SHA256 Credential=AKID/{day}/eu-west-1/lambda/aws4_request, ");
        assert!(one.header("authorization").starts_with(&begin), "{one:?}");
    };
    asked.iter().for_each(signed);
    lambda.answer_next_with(&[(403, json!({"Message": "account 1 may not"}))]);
    let refused = admin.get(&names).await.expect("list").expect(502).text();
    assert!(refused.contains("lambda:ListFunctions") && !refused.contains("account"), "{refused}");
    let path = format!("{PUBLISHER}/apis?query=name:pasta");
    let other = text(&admin.get(&path).await.expect("find").expect(200).json()["list"][0], "id");
    let none = format!("{PUBLISHER}/apis/{other}/amznResourceNames");
    admin.get(&none).await.expect("list").expect(404);

    let product = json!({
        "name": "lunch", "context": "/lunch", "version": "1.0.0", "policies": ["Unlimited"],
        "apis": [{"apiId": id, "name": "functions", "operations": [{"target": "/*", "verb": "POST"}]}],
    });
    let path = format!("{PUBLISHER}/api-products");
    let refused = admin.json("POST", &path, &product).await.expect("product").expect(400).text();
    assert!(refused.contains("Lambda"), "{refused}");

    // Called.
    journey::deploy(&admin, &id).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let subscribed = journey::subscribe(node, &Wish::new("functions", &lambda.url), id).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &subscribed).await);
    let before = lambda.received().len();
    lambda.answer_next_with(&[(200, json!({"price": 7})), (500, json!({"Message": "account 1"}))]);
    let soup = "/functions/1.0.0/menu/soup?size=1";
    let answer = caller.json("POST", soup, &json!({"n": 1})).await.expect("call").expect(200);
    assert_eq!((answer.header("content-type"), answer.json()), ("application/json", json!({"price": 7})));
    let called = lambda.received().pop().expect("a call");
    signed(&called);
    let encoded = ARN.replace(':', "%3A");
    assert_eq!(called.target, format!("/2015-03-31/functions/{encoded}/invocations"));
    let event = called.json();
    let wanted = (&json!("{\"n\":1}"), &json!({"dish": "soup"}), &json!({"size": "1"}));
    assert_eq!((&event["body"], &event["pathParameters"], &event["queryStringParameters"]), wanted);
    assert_eq!((&event["path"], &event["headers"]["authorization"]), (&json!("/menu/{dish}"), &Value::Null));
    let failed = caller.json("POST", soup, &json!({})).await.expect("call").expect(502).text();
    assert!(failed.contains("101507") && !failed.contains("account"), "{failed}");
    // An operation without a function reaches nothing of AWS.
    let open = caller.json("POST", "/functions/1.0.0/2015-03-31/functions", &json!({})).await.expect("call");
    assert_eq!((open.expect(501).json()["code"].clone(), lambda.received().len()), (json!("501"), before + 2));
}
