//! Operation policies from the publisher's document to every gateway.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";

fn header(value: &str) -> Value {
    let parameters = json!({"headerName": "x-served-by", "headerValue": value});
    json!({"policyName": "addHeader", "policyVersion": "v1", "parameters": parameters})
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_a_deployed_revision_are_in_force_on_every_node() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let admin = cluster.nodes[1].admin();
    let listed = admin.get(&format!("{PUBLISHER}/operation-policies?limit=50")).await.expect("list").expect(200).json();
    let names: Vec<&str> =
        listed["list"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"addHeader") && names.contains(&"rewriteResourcePath"), "{names:?}");
    let id = listed["list"][0]["id"].as_str().expect("an id");
    let one = admin.get(&format!("{PUBLISHER}/operation-policies/{id}")).await.expect("one").expect(200).json();
    assert_eq!(one, listed["list"][0]);

    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let path = format!("{PUBLISHER}/apis/{}", published.api);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    let operations = api["operations"].as_array_mut().expect("operations");
    let menu = operations.iter_mut().find(|one| one["target"] == "/menu" && one["verb"] == "GET").expect("the menu");
    menu["operationPolicies"] = json!({"request": [{"policyName": "makeCoffee"}]});
    let refused = admin.json("PUT", &path, &api).await.expect("update").expect(400).text();
    assert!(refused.contains("operationPolicies.request[0].policyName") && refused.contains("makeCoffee"), "{refused}");

    let operations = api["operations"].as_array_mut().expect("operations");
    let menu = operations.iter_mut().find(|one| one["target"] == "/menu" && one["verb"] == "GET").expect("the menu");
    menu["operationPolicies"] = json!({"response": [header("operation")]});
    api["apiPolicies"] = json!({"response": [header("api")]});
    let updated = admin.json("PUT", &path, &api).await.expect("update").expect(200).json();
    assert_eq!(updated["apiPolicies"], api["apiPolicies"]);
    let menu = format!("{}/menu", published.path);
    let served_by = async |node: &harness::Node| {
        let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
        reply.header("x-served-by").to_owned()
    };
    // What is designed is not what is deployed.
    assert_eq!(served_by(&cluster.nodes[2]).await, "");
    journey::deploy(&admin, &published.api).await;
    for node in &cluster.nodes {
        // The operation's policies are next to the backend, so the API's come last.
        assert_eq!(served_by(node).await, "api");
    }
}
