//! Gateway environments and virtual hosts: made by an administrator, deployed to by publishers, served by gateways, shown
//! in the Store.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";
const ENVIRONMENTS: &str = "/api/am/admin/v4/environments";

fn us() -> Value {
    json!({
        "name": "us", "displayName": "US Region", "type": "hybrid",
        "vhosts": [{"host": "api.example.com", "httpPort": 80, "httpsPort": 443}, {"host": "beta.example.com"}],
    })
}

async fn deploy(admin: &harness::Client, api: &str, places: &Value) -> String {
    let path = format!("{PUBLISHER}/apis/{api}/revisions");
    let revision = text(&admin.json("POST", &path, &json!({})).await.expect("revision").expect(201).json(), "id");
    let path = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}");
    admin.json("POST", &path, places).await.expect("deploy").expect(200);
    revision
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_answers_at_the_virtual_host_to_which_it_is_deployed_and_nowhere_else() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[gateway]\nenvironments = [\"Default\", \"us\"]\n");
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.wait_for_voters(2).await;
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    let backend = Backend::start("production").await;
    let pizza = journey::publish_and_subscribe(first, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(first, &pizza).await;
    let admin = second.admin();

    let listed = admin.get(ENVIRONMENTS).await.expect("list").expect(200).json();
    assert_eq!(
        (listed["list"][0]["id"].as_str(), listed["list"][0]["isReadOnly"].as_bool()),
        (Some("Default"), Some(true))
    );
    let made = admin.json("POST", ENVIRONMENTS, &us()).await.expect("create").expect(201);
    let path = format!("{ENVIRONMENTS}/{}", text(&made.json(), "id"));
    assert_eq!(made.header("location"), path);
    admin.json("POST", ENVIRONMENTS, &us()).await.expect("twice").expect(409);
    admin.json("PUT", &format!("{ENVIRONMENTS}/Default"), &us()).await.expect("read-only").expect(400);
    assert_eq!(admin.get(&path).await.expect("read").expect(200).json()["vhosts"][1]["httpPort"], 80);
    let settings = first.admin().get(&format!("{PUBLISHER}/settings")).await.expect("settings").expect(200).json();
    assert_eq!(settings["environment"][1]["displayName"], "US Region", "{settings}");
    let place = &settings["environment"][1]["vhosts"][0];
    assert_eq!((&place["websubHttpPort"], &place["websubHttpsPort"]), (&json!(80), &json!(443)), "{place}");

    let wrong = json!([{"name": "us", "vhost": "localhost"}]);
    let revisions = admin.get(&format!("{PUBLISHER}/apis/{}/revisions", pizza.api)).await.expect("revisions");
    let revision = text(&revisions.expect(200).json()["list"][0], "id");
    let to = format!("{PUBLISHER}/apis/{}/deploy-revision?revisionId={revision}", pizza.api);
    let refused = admin.json("POST", &to, &wrong).await.expect("wrong").expect(400).text();
    assert!(refused.contains("api.example.com, beta.example.com"), "{refused}");

    // An API that is at a virtual host alone.
    let menu = "/pasta/1.0.0/menu";
    let url = backend.url();
    let wish = Wish::new("pasta", &url);
    let pasta = journey::subscribe(first, &wish, journey::publish(first, &wish).await).await;
    let pasta_token = journey::token(first, &pasta).await;
    admin
        .json(
            "POST",
            &format!("{PUBLISHER}/apis/{}/undeploy-revision?revisionId={}&allEnvironments=true", pasta.api, {
                let revisions =
                    admin.get(&format!("{PUBLISHER}/apis/{}/revisions", pasta.api)).await.expect("revisions");
                text(&revisions.expect(200).json()["list"][0], "id")
            }),
            &json!([]),
        )
        .await
        .expect("undeploy")
        .expect(201);
    deploy(&admin, &pasta.api, &json!([{"name": "us"}])).await;
    let at = |host: &str, token: &str| first.gateway().with_bearer(token).at_host(host);
    at("API.example.com:8280", &pasta_token).get(menu).await.expect("at its host").expect(200);
    at("beta.example.com", &pasta_token).get(menu).await.expect("at another").expect(404);
    first.gateway().with_bearer(&pasta_token).get(menu).await.expect("at the address").expect(404);
    let elsewhere = second.gateway().with_bearer(&pasta_token).at_host("api.example.com");
    elsewhere.get(menu).await.expect("not served there").expect(404);
    let of_default = format!("{}/menu", pizza.path);
    first.gateway().with_bearer(&token).get(&of_default).await.expect("default").expect(200);
    at("api.example.com", &token).get(&of_default).await.expect("the default's at a virtual host").expect(404);

    let shown = first.anonymous().get(&format!("{STORE}/apis/{}", pasta.api)).await.expect("shown").expect(200).json();
    let urls = &shown["endpointURLs"][0];
    assert_eq!(
        (urls["environmentDisplayName"].as_str(), urls["URLs"]["https"].as_str()),
        (Some("US Region"), Some("https://api.example.com/pasta/1.0.0"),)
    );
    // What the original's clients send: the name in base64.
    let deployment = format!("{PUBLISHER}/apis/{}/deployments/dXM", pasta.api);
    let hidden = admin.json("PUT", &deployment, &json!({"displayOnDevportal": false})).await.expect("hide").expect(200);
    assert_eq!(hidden.json()["displayOnDevportal"], false);
    let shown = first.anonymous().get(&format!("{STORE}/apis/{}", pasta.api)).await.expect("shown").expect(200).json();
    assert_eq!(shown["endpointURLs"], json!([]), "{shown}");

    admin.send("DELETE", &path, &[], "").await.expect("in use").expect(409);
    let mut fewer = us();
    fewer["vhosts"] = json!([{"host": "beta.example.com"}]);
    admin.json("PUT", &path, &fewer).await.expect("host in use").expect(409);
    admin.send("DELETE", &format!("{PUBLISHER}/apis/{}", pasta.api), &[], "").await.expect("delete").expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_say_who_deploys_to_an_environment_and_its_type_which_keys_it_serves() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[gateway]\nenvironments = [\"Default\", \"live\"]\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let admin = node.admin();
    let user =
        json!({"username": "cyd", "password": "Enough-0f-it", "roles": ["Internal/creator", "Internal/publisher"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let live = json!({
        "name": "live", "type": "production", "vhosts": [{"host": "live.example.com"}],
        "permissions": {"permissionType": "DENY", "roles": ["Internal/creator"]},
    });
    admin.json("POST", ENVIRONMENTS, &live).await.expect("create").expect(201);
    let url = backend.url();
    let wish = Wish { as_user: Some(("cyd", "Enough-0f-it")), ..Wish::new("pizza", &url) };
    let api = journey::publish(node, &wish).await;
    let cyd = node.as_user("cyd", "Enough-0f-it");
    let settings = cyd.get(&format!("{PUBLISHER}/settings")).await.expect("settings").expect(200).json();
    assert_eq!(settings["environment"].as_array().map(Vec::len), Some(1), "{settings}");
    let revisions = cyd.get(&format!("{PUBLISHER}/apis/{api}/revisions")).await.expect("revisions").expect(200).json();
    let to = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={}", text(&revisions["list"][0], "id"));
    cyd.json("POST", &to, &json!([{"name": "live"}])).await.expect("denied").expect(400);

    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["endpointConfig"]["sandbox_endpoints"] = json!({"url": backend.url()});
    admin.json("PUT", &path, &body).await.expect("sandbox").expect(200);
    deploy(&admin, &api, &json!([{"name": "live"}])).await;
    let published = journey::subscribe(node, &Wish::new("pizza", &backend.url()), api).await;
    let token = journey::token(node, &published).await;
    let sandbox = journey::generate_keys(&admin, &published.application, "SANDBOX").await;
    let (client_id, client_secret) = (text(&sandbox, "consumerKey"), text(&sandbox, "consumerSecret"));
    let sandbox = journey::token(node, &journey::Published { client_id, client_secret, ..published }).await;
    let call = async |token: &str| {
        node.gateway().with_bearer(token).at_host("live.example.com").get("/pizza/1.0.0/menu").await.expect("call")
    };
    call(&token).await.expect(200);
    let refused = call(&sandbox).await;
    assert!(refused.status >= 400, "a production environment took a sandbox key: {}", refused.text());
    assert_eq!(backend.count(), 1);
}
