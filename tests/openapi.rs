//! The documents of the REST faces, and the page that shows them, as a browser gets them.

mod harness;

use harness::backend::Backend;
use harness::browser::Browser;
use harness::journey::{self, Wish};
use harness::{Cluster, Node};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn every_face_has_a_document_that_anybody_may_read_and_a_page_that_shows_it() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let visitor = node.anonymous();
    let page = visitor.get("/docs").await.expect("a page").expect(200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!page.text().contains("://"), "the page asks another host: {}", page.text());
    let begin = visitor.get("/docs/swagger-initializer.js").await.expect("a script").expect(200).text();
    let slugs: Vec<&str> =
        begin.split("/docs/openapi/").skip(1).filter_map(|rest| rest.split(".json").next()).collect();
    assert!(slugs.len() >= 13, "{begin}");
    for slug in slugs {
        let document: Value =
            visitor.get(&format!("/docs/openapi/{slug}.json")).await.expect("a document").expect(200).json();
        assert_eq!(document["openapi"], "3.1.0", "{slug}");
    }
    visitor.get("/docs/openapi/nothing.json").await.expect("an answer").expect(404);
    visitor.get("/docs/../etc/passwd").await.expect("an answer").expect(404);
    // What a document says of an answer is so.
    let document: Value = visitor.get("/docs/openapi/admin-v4.json").await.expect("a document").json();
    let base = document["servers"][0]["url"].as_str().expect("a server").to_owned();
    let said = &document["paths"]["/throttling/policies/subscription"]["get"]["responses"]["200"]["content"]["application/json"]
        ["schema"];
    let fields = &said["properties"]["list"]["items"]["properties"];
    let answer =
        node.admin().get(&format!("{base}/throttling/policies/subscription")).await.expect("a list").expect(200).json();
    for (name, _) in answer["list"][0].as_object().expect("a policy") {
        assert!(fields[name].is_object(), "{name} is not in the document: {said:#}");
    }

    limits_are_kept(node).await;

    let Some(browser) = Browser::start().await else { return };
    browser.open(&format!("{}/docs", node.management_url())).await;
    browser.wait_for("Publisher v4").await;
    browser.wait_for("/apis/{apiId}/swagger").await;
    browser.picture("docs").await;
}

/// Sends, to operations whose documents name limits, what keeps to them and what passes each by one.
async fn limits_are_kept(node: &Node) {
    let admin = node.admin();
    let backend = Backend::start("production").await;
    let url = backend.url();
    let pizza = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let limit =
        json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"requestCount": 9, "timeUnit": "min", "unitTime": 1}});
    let policy = json!({"policyName": "held", "defaultLimit": limit});
    let bodies = [
        ("publisher-v4", "POST /apis", json!({"name": "held", "context": "held", "version": "1"})),
        ("publisher-v4", "POST /apis/{apiId}/comments", json!({"content": "good"})),
        ("devportal-v3", "POST /applications", json!({"name": "held", "throttlingPolicy": "Unlimited"})),
        ("devportal-v3", "POST /apis/{apiId}/comments", json!({"content": "good"})),
        ("devportal-v3", "PUT /apis/{apiId}/user-rating", json!({"rating": 3})),
        ("admin-v4", "POST /api-categories", json!({"name": "held"})),
        ("admin-v4", "POST /labels", json!({"name": "held"})),
        ("admin-v4", "POST /throttling/policies/application", policy.clone()),
        ("admin-v4", "POST /throttling/policies/subscription", policy.clone()),
        ("admin-v4", "POST /throttling/policies/advanced", policy),
    ];
    let mut tried = 0;
    for (slug, operation, good) in bodies {
        let document = admin.get(&format!("/docs/openapi/{slug}.json")).await.expect("a document").expect(200).json();
        let (verb, path) = operation.split_once(' ').expect("a verb");
        let said =
            &document["paths"][path][verb.to_lowercase()]["requestBody"]["content"]["application/json"]["schema"];
        let base = document["servers"][0]["url"].as_str().expect("a server");
        let path = format!("{base}{}", path.replace("{apiId}", &pizza.api));
        for (name, body) in outside(said, &good) {
            tried += 1;
            let refused = admin.json(verb, &path, &body).await.expect("an answer");
            let shown: String = body.to_string().chars().take(120).collect();
            assert_eq!(refused.status, 400, "{operation}: {name}: {shown}: {}", refused.text());
        }
        let taken = admin.json(verb, &path, &good).await.expect("an answer");
        assert!(taken.status < 300, "{operation}: {}", taken.text());
    }
    assert!(tried > 40, "{tried} limits");
}

/// Returns bodies that are good but for one field, which lacks or passes a limit, with the field's name.
fn outside(said: &Value, good: &Value) -> Vec<(String, Value)> {
    let mut bad = Vec::new();
    for name in said["required"].as_array().unwrap_or_else(|| panic!("nothing is required: {said:#}")) {
        let (name, mut body) = (name.as_str().expect("a name"), good.clone());
        body.as_object_mut().expect("an object").remove(name);
        bad.push((name.to_owned(), body));
    }
    for (name, field) in said["properties"].as_object().expect("fields") {
        let longest = field["maxLength"].as_u64().map(|max| "x".repeat(usize::try_from(max).expect("few") + 1));
        let values = [
            longest.map(Value::from),
            field["minLength"].as_u64().map(|_| json!("")),
            field["pattern"].as_str().map(|_| json!("a b")),
            field["maximum"].as_u64().map(|max| json!(max + 1)),
            field["minimum"].as_u64().map(|min| json!(min - 1)),
        ];
        for value in values.into_iter().flatten() {
            let mut body = good.clone();
            body[name] = value;
            bad.push((name.clone(), body));
        }
    }
    bad
}
