//! Gateway policies: what is done to the calls of every API in an environment, on every node.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";

fn header(name: &str, value: &str) -> Value {
    let parameters = json!({"headerName": name, "headerValue": value});
    json!({"policyName": "addHeader", "policyVersion": "v1", "parameters": parameters})
}

fn mapping(value: &str) -> Value {
    json!({
        "displayName": "stamp",
        "description": "says which gateway it was",
        "policyMapping": {
            "request": [header("x-at", value)],
            "response": [header("x-served-by", value), header("x-gateway", value)],
        },
    })
}

async fn deploy(admin: &Client, id: &str, is_deployed: bool) -> Value {
    let wish = json!([{"gatewayLabel": "Default", "gatewayDeployment": is_deployed}]);
    let path = format!("{PUBLISHER}/gateway-policies/{id}/deploy");
    admin.json("POST", &path, &wish).await.expect("deploy").expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_policy_is_in_force_for_every_api_of_its_environment_before_their_own() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let (first, admin) = (&cluster.nodes[0], cluster.nodes[1].admin());
    let pizza = journey::publish_and_subscribe(first, &Wish::new("pizza", &url)).await;
    let bread = journey::publish_and_subscribe(first, &Wish::new("bread", &url)).await;
    let path = format!("{PUBLISHER}/apis/{}", pizza.api);
    let mut api = admin.get(&path).await.expect("api").expect(200).json();
    api["apiPolicies"] = json!({"response": [header("x-served-by", "api")]});
    admin.json("PUT", &path, &api).await.expect("update").expect(200);
    journey::deploy(&admin, &pizza.api).await;
    let tokens = [journey::token(first, &pizza).await, journey::token(first, &bread).await];
    // What came back, and what the backend got.
    let call = async |node: &harness::Node, which: usize| {
        let path = format!("{}/menu", [&pizza.path, &bread.path][which]);
        let reply = node.gateway().with_bearer(&tokens[which]).get(&path).await.expect("call").expect(200);
        let at = reply.json()["headers"]["x-at"].as_str().unwrap_or_default().to_owned();
        (reply.header("x-served-by").to_owned(), reply.header("x-gateway").to_owned(), at)
    };
    let all = |by: &str, gateway: &str| (by.to_owned(), gateway.to_owned(), gateway.to_owned());

    let base = format!("{PUBLISHER}/gateway-policies");
    let made = admin.json("POST", &base, &mapping("one")).await.expect("create").expect(201);
    let id = text(&made.json(), "id");
    assert_eq!(made.header("location"), format!("{base}/{id}"));
    assert_eq!(call(first, 1).await, all("", ""), "what is not deployed is not in force");
    let done = deploy(&admin, &id, true).await;
    assert_eq!(done, json!([{"gatewayLabel": "Default", "gatewayDeployment": true, "mappingUUID": id}]));
    for node in &cluster.nodes {
        assert_eq!(call(node, 1).await, all("one", "one"));
        assert_eq!(call(node, 0).await, all("api", "one"), "the API's own come after it");
    }

    // Another one is not deployed beside it.
    let other = admin.json("POST", &base, &mapping("two")).await.expect("create").expect(201).json();
    assert_eq!(deploy(&admin, &text(&other, "id"), true).await, json!([]));
    assert_eq!(call(first, 1).await, all("one", "one"));
    let listed = admin.get(&format!("{base}?query=gatewayLabel:Default")).await.expect("list").expect(200).json();
    assert_eq!((&listed["count"], &listed["list"][0]["id"]), (&json!(1), &json!(id)));
    assert_eq!(listed["list"][0]["appliedGatewayLabels"], json!(["Default"]));
    let path = format!("{base}/{id}");
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(412);

    // A change of what is deployed is in force.
    let changed = admin.json("PUT", &path, &mapping("three")).await.expect("update").expect(200).json();
    assert_eq!(changed["policyMapping"]["request"], mapping("three")["policyMapping"]["request"]);
    for node in &cluster.nodes {
        assert_eq!(call(node, 1).await, all("three", "three"));
    }
    let mut wrong = mapping("x");
    wrong["policyMapping"]["request"] = json!([{"policyName": "makeCoffee"}]);
    let refused = admin.json("PUT", &path, &wrong).await.expect("update").expect(400).text();
    assert!(refused.contains("policyMapping.request[0].policyName"), "{refused}");

    deploy(&admin, &id, false).await;
    for node in &cluster.nodes {
        assert_eq!(call(node, 1).await, all("", ""));
        assert_eq!(call(node, 0).await, all("api", ""));
    }
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    admin.get(&path).await.expect("read").expect(404);
    let nowhere = json!([{"gatewayLabel": "Nowhere", "gatewayDeployment": true}]);
    let deploy = format!("{base}/{}/deploy", text(&other, "id"));
    admin.json("POST", &deploy, &nowhere).await.expect("deploy").expect(404);
}
