//! APIs that are published to the store of another system: two clusters that know nothing of each other but by REST.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::{Client, Reply, multipart};
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const CONFIG: &str = "/api/am/admin/v4/tenant-config";

async fn configure(admin: &Client, stores: Value) -> Reply {
    let mut config = admin.get(CONFIG).await.expect("configuration").expect(200).json();
    config["ExternalAPIStores"] =
        json!({"StoreURL": "https://store.here.example/devportal", "ExternalAPIStore": stores});
    admin.json("PUT", CONFIG, &config).await.expect("configuration")
}

async fn publish(admin: &Client, api: &str, stores: &str) -> Reply {
    let path = format!("{PUBLISHER}/apis/{api}/publish-to-external-stores?externalStoreIds={stores}");
    admin.send("POST", &path, &[], "").await.expect("publish")
}

/// Returns an API that a system has of a name, if there is one.
async fn found(admin: &Client, name: &str) -> Option<Value> {
    let listed = admin.get(&format!("{PUBLISHER}/apis?query=name:{name}")).await.expect("list").expect(200).json();
    let one = listed["list"].get(0)?;
    Some(admin.get(&format!("{PUBLISHER}/apis/{}", text(one, "id"))).await.expect("api").expect(200).json())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_in_the_stores_that_it_is_published_to_and_goes_from_those_that_are_left_out() {
    let (here, there) = (Cluster::start(2).await, Cluster::start(1).await);
    let (admin, other) = (here.nodes[0].admin(), here.nodes[1].admin());
    let remote = there.nodes[0].admin();
    let backend = Backend::start("production").await;
    let url = backend.url();
    let api = journey::publish(&here.nodes[0], &Wish::new("pizza", &url)).await;

    let endpoint = format!("{}/devportal", there.nodes[0].management_url());
    let password = std::fs::read_to_string(there.password_file()).expect("password").trim().to_owned();
    let store = |password: &str| json!([{"id": "Second", "type": "wso2", "DisplayName": "The second", "Endpoint": endpoint, "Username": "admin", "Password": password}]);
    configure(&admin, json!([{"id": "Second", "Endpoint": "ftp://there"}])).await.expect(400);
    let put = configure(&admin, store(&password)).await.expect(200);
    assert!(!put.text().contains(&password), "{}", put.text());
    let shown = other.get(CONFIG).await.expect("configuration").expect(200).json();
    assert_eq!(shown["ExternalAPIStores"]["ExternalAPIStore"][0]["Password"], "");
    // What is shown may be sent back: the password stays.
    configure(&admin, store("")).await.expect(200);
    let mut moved = store("");
    moved[0]["Endpoint"] = json!("https://elsewhere.example/devportal");
    assert!(configure(&admin, moved).await.expect(400).text().contains("Password: must be given again"));
    let listed = other.get(&format!("{PUBLISHER}/external-stores")).await.expect("list").expect(200).json();
    let wanted = json!({"id": "Second", "displayName": "The second", "type": "wso2", "endpoint": endpoint});
    assert_eq!(listed, json!({"count": 1, "list": [wanted]}));

    assert!(publish(&admin, &api, "Third").await.expect(400).text().contains("Second"));
    // The other system's authority is nobody's here until it is said.
    let untrusted = publish(&admin, &api, "Second").await.expect(502).text();
    assert!(untrusted.contains("store Second") && untrusted.contains("PC-2103"), "{untrusted}");
    let authority = std::fs::read_to_string(there.path("n1/tls/ca.pem")).expect("authority");
    let (body, content_type) = multipart(&[
        ("certificate", Some("ca.pem"), &authority),
        ("alias", None, "second"),
        ("endpoint", None, &there.nodes[0].management_url()),
    ]);
    let certificates = format!("{PUBLISHER}/endpoint-certificates");
    let add = body.clone();
    admin.send("POST", &certificates, &[("content-type", &content_type)], body).await.expect("add").expect(200);
    let of_api = format!("{PUBLISHER}/apis/{api}/external-stores");
    assert_eq!(admin.get(&of_api).await.expect("list").expect(200).json()["count"], 0);

    let published = publish(&admin, &api, "Second").await.expect(200).json();
    assert_eq!((&published["count"], &published["list"][0]["id"]), (&json!(1), &json!("Second")));
    assert!(published["list"][0]["lastUpdatedTime"].is_string(), "{published}");
    assert_eq!(other.get(&of_api).await.expect("list").expect(200).json(), published);
    let copy = found(&remote, "pizza").await.expect("the API is there");
    assert_eq!((&copy["lifeCycleStatus"], &copy["advertiseInfo"]["advertised"]), (&json!("PUBLISHED"), &json!(true)));
    let sent_to = format!("https://store.here.example/devportal/apis/{api}/overview");
    assert_eq!(copy["advertiseInfo"]["originalDevPortalUrl"], sent_to);
    assert!(!copy.to_string().contains(&url), "where its backend is, is nobody's business: {copy}");

    // Published again, from another node, it is as it is now.
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut changed = admin.get(&path).await.expect("api").expect(200).json();
    changed["description"] = json!("with olives");
    admin.json("PUT", &path, &changed).await.expect("change").expect(200);
    publish(&other, &api, "Second").await.expect(200);
    let copy = found(&remote, "pizza").await.expect("the API is there");
    assert_eq!((&copy["description"], &copy["lifeCycleStatus"]), (&json!("with olives"), &json!("PUBLISHED")));

    let left = publish(&admin, &api, "").await.expect(200).json();
    assert_eq!(left["count"], 0);
    assert!(found(&remote, "pizza").await.is_none(), "it was withdrawn");
    // What somebody else has there under the name is not touched.
    journey::publish(&there.nodes[0], &Wish::new("pizza", &url)).await;
    assert!(publish(&admin, &api, "Second").await.expect(409).text().contains("pizza:1.0.0"));
    assert_eq!(admin.get(&of_api).await.expect("list").expect(200).json()["count"], 0);

    // Two tenants bring one of the same name at once: one of them does, and the other is told.
    let tom = json!({"username": "tom", "password": "a good password", "email": "tom@example.com", "firstname": "Tom",
        "lastname": "T", "provisioningMethod": "inline-password"});
    let tenant = json!({"domain": "shop.example", "owners": [tom]});
    admin.json("POST", "/api/server/v1/tenants", &tenant).await.expect("tenant").expect(201);
    let as_tom = ("tom@shop.example", "a good password");
    let tom = here.nodes[0].as_user(as_tom.0, as_tom.1);
    configure(&tom, store(&password)).await.expect(200);
    tom.send("POST", &certificates, &[("content-type", &content_type)], add).await.expect("add").expect(200);
    let calzone = Wish::new("calzone", &url);
    let mine = journey::publish(&here.nodes[0], &calzone).await;
    let his = journey::publish(&here.nodes[0], &Wish { as_user: Some(as_tom), ..calzone }).await;
    let (one, two) = tokio::join!(publish(&admin, &mine, "Second"), publish(&tom, &his, "Second"));
    let (won, lost, loser) = if one.status == 200 { (&mine, two, (&tom, &his)) } else { (&his, one, (&admin, &mine)) };
    assert!(lost.expect(409).text().contains("calzone:1.0.0"));
    let leads_to = |copy: &Value| text(&copy["advertiseInfo"], "originalDevPortalUrl").contains(won.as_str());
    assert!(leads_to(&found(&remote, "calzone").await.expect("the API is there")));
    // Who lost and tries again, or wants it no more, leaves the other's alone.
    publish(loser.0, loser.1, "Second").await.expect(409);
    publish(loser.0, loser.1, "").await.expect(200);
    assert!(leads_to(&found(&remote, "calzone").await.expect("the API is still there")));
}
