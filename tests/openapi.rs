//! The documents of the REST faces, and the page that shows them, as a browser gets them.

mod harness;

use harness::Cluster;
use harness::browser::Browser;
use serde_json::Value;

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

    let Some(browser) = Browser::start().await else { return };
    browser.open(&format!("{}/docs", node.management_url())).await;
    browser.wait_for("Publisher v4").await;
    browser.wait_for("/apis/{apiId}/swagger").await;
    browser.picture("docs").await;
}
