//! Calls checked against the definition of the deployed revision, on every gateway.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::multipart;
use harness::journey::{self, Wish};
use serde_json::json;

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEFINITION: &str = r#"
openapi: 3.1.0
info: {title: pizza, version: 1.0.0}
paths:
  /menu:
    get:
      parameters: [{name: limit, in: query, schema: {type: integer, maximum: 9}}]
      responses: {'200': {description: the menu}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_checked_against_its_own_definition_on_every_gateway() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = cluster.nodes[1].admin();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let path = format!("{PUBLISHER}/apis/{}", published.api);
    let (body, content_type) = multipart(&[("apiDefinition", None, DEFINITION)]);
    admin
        .send("PUT", &format!("{path}/swagger"), &[("content-type", &content_type)], body)
        .await
        .expect("definition")
        .expect(200);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    api["enableSchemaValidation"] = json!(true);
    admin.json("PUT", &path, &api).await.expect("update").expect(200);

    let statuses = async |limit: u32| {
        let mut statuses = Vec::new();
        for node in &cluster.nodes {
            let menu = format!("{}/menu?limit={limit}", published.path);
            statuses.push(node.gateway().with_bearer(&token).get(&menu).await.expect("call").status);
        }
        statuses
    };
    assert_eq!(statuses(10).await, [200; 3], "what is designed is not what is deployed");
    journey::deploy(&admin, &published.api).await;
    assert_eq!(statuses(10).await, [400; 3]);
    assert_eq!(statuses(9).await, [200; 3]);

    api["enableSchemaValidation"] = json!(false);
    admin.json("PUT", &path, &api).await.expect("update").expect(200);
    journey::deploy(&admin, &published.api).await;
    assert_eq!(statuses(10).await, [200; 3]);
}
