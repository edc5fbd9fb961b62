//! Keys with which publishers try out APIs that they are not subscribed to.

mod harness;

use harness::backend::Backend;
use harness::http::Reply;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster, Node};
use serde_json::json;

const PUBLISHER: &str = "/api/am/publisher/v4";

async fn generate(client: &Client, api: &str) -> Reply {
    let path = format!("{PUBLISHER}/apis/{api}/generate-key");
    client.send("POST", &path, &[], "").await.expect("generate")
}

async fn call(node: &Node, path: &str, key: &str) -> Reply {
    node.gateway().send("GET", path, &[("internal-key", key)], "").await.expect("call")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_calls_one_api_without_a_subscription_for_as_long_as_he_is_there() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let (first, admin) = (&cluster.nodes[0], cluster.nodes[1].admin());
    let user =
        json!({"username": "cyd", "password": "Enough-0f-it", "roles": ["Internal/creator", "Internal/publisher"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let pizza = journey::publish(first, &Wish::new("pizza", &url)).await;
    journey::publish(first, &Wish::new("bread", &url)).await;

    let cyd = cluster.nodes[2].as_user("cyd", "Enough-0f-it");
    let made = generate(&cyd, &pizza).await.expect(200);
    assert_eq!((made.header("cache-control"), &made.json()["validityTime"]), ("no-store", &json!(3600)));
    let key = text(&made.json(), "apikey");
    for node in &cluster.nodes {
        let reply = call(node, "/pizza/1.0.0/menu", &key).await.expect(200).json();
        assert!(reply["headers"].get("internal-key").is_none(), "the backend is told the key: {reply}");
        call(node, "/bread/1.0.0/menu", &key).await.expect(401);
    }
    // A character in the midst of it, and nothing at all.
    let at = key.len() / 2;
    let other = if &key[at..=at] == "A" { "B" } else { "A" };
    let wrong = format!("{}{other}{}", &key[..at], &key[at + 1..]);
    for bad in [wrong.as_str(), "", "pik_", "x"] {
        call(first, "/pizza/1.0.0/menu", bad).await.expect(401);
    }
    first.gateway().get("/pizza/1.0.0/menu").await.expect("call").expect(401);

    let found = admin.get("/scim2/Users?filter=userName%20eq%20cyd").await.expect("find").expect(200).json();
    let user = format!("/scim2/Users/{}", text(&found["Resources"][0], "id"));
    admin.send("DELETE", &user, &[], "").await.expect("delete").expect(204);
    for node in &cluster.nodes {
        call(node, "/pizza/1.0.0/menu", &key).await.expect(401);
    }
    generate(&admin, "2c5c9a51-3a1f-4bd1-9d0d-3e0bd5ea9f3d").await.expect(404);
}
