//! API products: put together from operations of APIs, published like one, subscribed to as one, each operation at the
//! backend of its API.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const PRODUCTS: &str = "/api/am/publisher/v4/api-products";
const STORE: &str = "/api/am/devportal/v3";

fn meal(pizza: &str, pasta: &str) -> Value {
    json!({
        "name": "meal", "context": "/meal", "policies": ["Unlimited"],
        "apis": [
            {"apiId": pizza, "operations": [{"verb": "GET", "target": "/menu"}]},
            {"apiId": pasta, "operations": [{"verb": "POST", "target": "/order"}, {"verb": "GET", "target": "/order/{orderId}"}]},
        ],
    })
}

/// Sends a product back as it was got: nothing of it is another then. It is shared with those alone who are there.
async fn comes_back(admin: &Client, path: &str) {
    let get = async || admin.get(path).await.expect("read").expect(200).json();
    let first = get().await;
    let mut body = first.clone();
    body["businessInformation"] = json!({"businessOwner": "Ann"});
    body["additionalProperties"] = json!([{"name": "team", "value": "dough", "display": true}]);
    body["maxTps"] = json!({"production": 10, "productionTimeUnit": "SECOND"});
    body["apiPolicies"] = json!({"request": [{"policyName": "addHeader", "policyVersion": "v1",
        "parameters": {"headerName": "x-a", "headerValue": "b"}}]});
    body["somethingNewer"] = json!({"a": [1, 2]});
    admin.json("PUT", path, &body).await.expect("update").expect(200);
    let before = get().await;
    assert_eq!(before["somethingNewer"], body["somethingNewer"]);
    admin.json("PUT", path, &before).await.expect("update").expect(200);
    let mut after = get().await;
    for name in ["lastUpdatedTime", "lastUpdatedTimestamp"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
    body["visibleOrganizations"] = json!(["nobody's"]);
    let refused = admin.json("PUT", path, &body).await.expect("a reply").expect(400).text();
    assert!(refused.contains("visibleOrganizations[0]"), "{refused}");
    admin.json("PUT", path, &first).await.expect("update").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_one_api_to_its_subscribers_and_calls_the_backends_of_its_apis() {
    let cluster = Cluster::start(3).await;
    let (ovens, pots) = (Backend::start("ovens").await, Backend::start("pots").await);
    let pizza = journey::publish(&cluster.nodes[0], &Wish::new("pizza", &ovens.url())).await;
    let pasta = journey::publish(&cluster.nodes[0], &Wish::new("pasta", &pots.url())).await;
    let (admin, other) = (cluster.nodes[0].admin(), cluster.nodes[1].admin());

    let mut wrong = meal(&pizza, &pasta);
    wrong["apis"][1]["operations"] = json!([{"verb": "GET", "target": "/menu"}, {"verb": "GET", "target": "/none"}]);
    let refused = admin.json("POST", PRODUCTS, &wrong).await.expect("wrong").expect(400).text();
    assert!(refused.contains("is of pizza too") && refused.contains("no operation GET /none"), "{refused}");
    let made = admin.json("POST", PRODUCTS, &meal(&pizza, &pasta)).await.expect("create").expect(201);
    let product = text(&made.json(), "id");
    let path = format!("{PRODUCTS}/{product}");
    assert_eq!((made.header("location"), &made.json()["state"]), (&*path, &json!("CREATED")));
    let read = other.get(&path).await.expect("read").expect(200).json();
    assert_eq!(
        (&read["apis"][1]["name"], &read["apis"][1]["operations"][1]["target"]),
        (&json!("pasta"), &json!("/order/{orderId}"))
    );
    assert!(!read.to_string().contains(&pots.address.port().to_string()), "where backends are is told: {read}");
    other.get(&format!("/api/am/publisher/v4/apis/{product}")).await.expect("as an API").expect(404);
    other.get(&format!("{PRODUCTS}/{pizza}")).await.expect("an API as a product").expect(404);
    let apis = other.get("/api/am/publisher/v4/apis").await.expect("apis").expect(200).json();
    let products = other.get(PRODUCTS).await.expect("products").expect(200).json();
    assert_eq!(
        (&apis["count"], &products["count"], &products["list"][0]["name"]),
        (&json!(2), &json!(1), &json!("meal"))
    );
    let swagger = other.get(&format!("{path}/swagger")).await.expect("swagger").expect(200).json();
    let described = &swagger["paths"]["/order/{orderId}"]["get"];
    assert_eq!(described["responses"]["200"]["description"], "the order", "{swagger}");
    assert!(swagger["paths"]["/menu"]["get"].is_object() && swagger["paths"]["/order"]["post"].is_object());

    let revision = admin.json("POST", &format!("{path}/revisions"), &json!({})).await.expect("revision").expect(201);
    let to = format!("{path}/deploy-revision?revisionId={}", text(&revision.json(), "id"));
    admin.json("POST", &to, &json!([{"name": "Default"}])).await.expect("deploy").expect(200);
    let publish = format!("{PRODUCTS}/change-lifecycle?action=Publish&apiProductId={product}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let url = ovens.url();
    let wish = Wish::new("meal", &url);
    let subscribed = journey::subscribe(&cluster.nodes[0], &wish, product.clone()).await;
    let token = journey::token(&cluster.nodes[0], &subscribed).await;
    for node in &cluster.nodes {
        let call = async |verb: &str, path: &str| {
            let gateway = node.gateway().with_bearer(&token);
            gateway.send(verb, &format!("/meal/1.0.0{path}"), &[], "").await.expect("call")
        };
        assert_eq!(call("GET", "/menu").await.expect(200).json()["backend"], "ovens");
        let order = call("GET", "/order/7").await.expect(200).json();
        assert_eq!((&order["backend"], &order["path"]), (&json!("pots"), &json!("/order/7")));
        call("DELETE", "/menu").await.expect(405);
        let gateway = node.gateway().with_bearer(&token);
        gateway.get("/pizza/1.0.0/menu").await.expect("the API itself").expect(403);
    }
    let shown = other.get(&format!("{STORE}/apis?query=name:meal")).await.expect("store").expect(200).json();
    assert_eq!(shown["list"][0]["type"], "APIPRODUCT", "{shown}");

    // An API that moves is followed when the product is written anew and deployed.
    let outdated = format!("{path}/is-outdated");
    assert_eq!(other.get(&outdated).await.expect("outdated").expect(200).json()["isOutdated"], false);
    let api = format!("/api/am/publisher/v4/apis/{pasta}");
    let mut body = admin.get(&api).await.expect("api").expect(200).json();
    body["endpointConfig"]["production_endpoints"]["url"] = json!(ovens.url());
    admin.json("PUT", &api, &body).await.expect("move").expect(200);
    assert_eq!(other.get(&outdated).await.expect("outdated").expect(200).json()["isOutdated"], true);
    let in_use = admin.send("DELETE", &api, &[], "").await.expect("delete").expect(409).text();
    assert!(in_use.contains("product meal"), "{in_use}");
    admin.json("PUT", &path, &meal(&pizza, &pasta)).await.expect("update").expect(200);
    comes_back(&admin, &path).await;
    assert_eq!(other.get(&outdated).await.expect("outdated").expect(200).json()["isOutdated"], false);
    let revision = admin.json("POST", &format!("{path}/revisions"), &json!({})).await.expect("revision").expect(201);
    let to = format!("{path}/deploy-revision?revisionId={}", text(&revision.json(), "id"));
    admin.json("POST", &to, &json!([{"name": "Default"}])).await.expect("deploy").expect(200);
    let gateway = cluster.nodes[2].gateway().with_bearer(&token);
    assert_eq!(gateway.get("/meal/1.0.0/order/8").await.expect("call").expect(200).json()["backend"], "ovens");

    let copy = format!("{PRODUCTS}/copy-api-products?newVersion=2.0.0&apiProductId={product}");
    let second = admin.send("POST", &copy, &[], "").await.expect("copy").expect(201).json();
    assert_eq!((&second["version"], &second["apis"][0]["name"]), (&json!("2.0.0"), &json!("pizza")));
    admin.send("DELETE", &format!("{PRODUCTS}/{}", text(&second, "id")), &[], "").await.expect("delete").expect(200);
}
