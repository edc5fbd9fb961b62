//! What APIs are filed under, and whose APIs and applications are: decided by an administrator on one node, so on the others.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use serde_json::json;

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_filed_under_categories_and_labels_that_administrators_make() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let api = journey::publish(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let (admin, publisher, visitor) =
        (cluster.nodes[0].admin(), cluster.nodes[1].admin(), cluster.nodes[2].anonymous());
    let categories = format!("{ADMIN}/api-categories");
    let food = json!({"name": "Food", "description": "What one eats"});
    let made = admin.json("POST", &categories, &food).await.expect("category").expect(201);
    let category = format!("{categories}/{}", text(&made.json(), "id"));
    assert_eq!(made.header("location"), category);
    admin.json("POST", &categories, &json!({"name": "food"})).await.expect("twice").expect(409);

    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = publisher.get(&path).await.expect("api").expect(200).json();
    body["categories"] = json!(["Drinks"]);
    let unknown = publisher.json("PUT", &path, &body).await.expect("unknown").expect(400);
    assert!(unknown.text().contains("there is no API category Drinks"), "{}", unknown.text());
    body["categories"] = json!(["Food"]);
    publisher.json("PUT", &path, &body).await.expect("file").expect(200);
    admin.send("DELETE", &category, &[], "").await.expect("in use").expect(409);
    let renamed = admin.json("PUT", &category, &json!({"name": "Dishes"})).await.expect("rename").expect(200).json();
    assert_eq!((renamed["name"].as_str(), renamed["numberOfAPIs"].as_u64()), (Some("Dishes"), Some(1)));
    assert_eq!(publisher.get(&path).await.expect("api").expect(200).json()["categories"], json!(["Dishes"]));
    let shown = visitor.get(&format!("{STORE}/api-categories")).await.expect("list").expect(200).json();
    assert_eq!((shown["count"].as_u64(), shown["list"][0]["name"].as_str()), (Some(1), Some("Dishes")));

    let made =
        admin.json("POST", &format!("{ADMIN}/labels"), &json!({"name": "spring"})).await.expect("label").expect(201);
    let label = text(&made.json(), "id");
    let attach = format!("{path}/attach-labels");
    publisher.json("POST", &attach, &json!({"labels": [label, api]})).await.expect("one is none").expect(400);
    assert_eq!(publisher.get(&format!("{path}/labels")).await.expect("none").expect(200).json()["count"], 0);
    publisher.json("POST", &attach, &json!({"labels": [label]})).await.expect("attach").expect(200);
    let usage = admin.get(&format!("{ADMIN}/labels/{label}/usage")).await.expect("usage").expect(200).json();
    assert_eq!((usage["apis"]["count"].as_u64(), usage["apis"]["list"][0]["name"].as_str()), (Some(1), Some("pizza")));

    // A new version has what the old one had.
    let document = json!({"name": "Guide", "type": "HOWTO", "sourceType": "INLINE", "visibility": "API_LEVEL"});
    publisher.json("POST", &format!("{path}/documents"), &document).await.expect("document").expect(201);
    let copy = format!("{PUBLISHER}/apis/copy-api?apiId={api}&newVersion=2.0.0");
    let second = text(&publisher.json("POST", &copy, &json!({})).await.expect("copy").expect(201).json(), "id");
    let path = format!("{PUBLISHER}/apis/{second}");
    assert_eq!(publisher.get(&format!("{path}/labels")).await.expect("labels").expect(200).json()["count"], 1);
    let documents = publisher.get(&format!("{path}/documents")).await.expect("documents").expect(200).json();
    assert_eq!(documents["list"][0]["name"], "Guide", "{documents}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_and_an_api_go_to_other_users_and_calls_go_on() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let (admin, token) = (node.admin(), journey::token(node, &published).await);
    for (name, role) in [("mia", "Internal/subscriber"), ("cyd", "Internal/creator")] {
        let user = json!({"username": name, "password": "Enough-0f-it", "roles": [role]});
        admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    }
    let mia = node.as_user("mia", "Enough-0f-it");
    let hers = format!("{STORE}/applications/{}", published.application);
    mia.get(&hers).await.expect("not hers").expect(403);
    mia.get(&format!("{ADMIN}/applications")).await.expect("no administrator").expect(403);
    let change = |owner: &str| format!("{ADMIN}/applications/{}/change-owner?owner={owner}", published.application);
    admin.json("POST", &change("nobody"), &json!({})).await.expect("nobody").expect(400);
    admin.json("POST", &change("mia"), &json!({})).await.expect("change").expect(200);
    mia.get(&hers).await.expect("hers").expect(200);
    admin.get(&hers).await.expect("not the administrator's").expect(403);
    let listed = admin.get(&format!("{ADMIN}/applications?user=mia")).await.expect("list").expect(200).json();
    assert_eq!((listed["count"].as_u64(), listed["list"][0]["owner"].as_str()), (Some(1), Some("mia")), "{listed}");
    let one =
        admin.get(&format!("{ADMIN}/applications/{}", published.application)).await.expect("one").expect(200).json();
    assert_eq!(one["subscriptionCount"], 1, "{one}");
    let menu = format!("{}/menu", published.path);
    node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);

    let provider = format!("{ADMIN}/apis/{}/change-provider?provider=cyd", published.api);
    admin.json("POST", &provider, &json!({})).await.expect("change").expect(200);
    let found = admin.get(&format!("{ADMIN}/apis?query=provider:cyd")).await.expect("search").expect(200).json();
    assert_eq!((found["count"].as_u64(), found["apis"][0]["provider"].as_str()), (Some(1), Some("cyd")), "{found}");
    admin
        .send("DELETE", &format!("{ADMIN}/applications/{}", published.application), &[], "")
        .await
        .expect("delete")
        .expect(200);
    node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(401);
}
