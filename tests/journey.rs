//! The main job on three real processes: publish an API on one node, call it through every other.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Cluster, until};
use serde_json::json;

/// Every step goes to another node than the one before: any node does anything.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_published_on_one_node_is_called_through_every_node() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Gold", ..Wish::new("pizza", &url) };
    let api = journey::publish(&cluster.nodes[1], &wish).await;

    let listed = cluster.nodes[2].anonymous().get("/api/am/devportal/v3/apis?query=pizza").await.expect("list");
    let listed = listed.expect(200).json();
    assert_eq!(listed["count"], 1, "{listed}");
    assert_eq!(text(&listed["list"][0], "id"), api);

    for token_type in ["OAUTH", "JWT"] {
        let name = format!("pizza {token_type}");
        let wish = Wish { name: &name, token_type, plan: "Gold", ..Wish::new("pizza", &url) };
        let mut published = journey::subscribe(&cluster.nodes[2], &wish, api.clone()).await;
        "/pizza/1.0.0".clone_into(&mut published.path);
        let token = journey::token(&cluster.nodes[0], &published).await;
        assert_eq!(token.split('.').count() == 3, token_type == "JWT", "a {token_type} token: {token}");
        for node in &cluster.nodes {
            for gateway in [node.gateway(), node.secure_gateway()] {
                let gateway = gateway.with_bearer(&token);
                let reply = gateway.get("/pizza/1.0.0/order/7?size=l").await.expect("call").expect(200);
                let seen = reply.json();
                assert_eq!(seen["path"], "/order/7?size=l");
                assert_eq!(seen["headers"]["authorization"], json!(null), "the token stays at the gateway");
                assert!(seen["headers"]["x-forwarded-for"].is_string(), "{seen}");
                assert!(reply.header("ratelimit").starts_with("\"Gold\""), "{:?}", reply.headers);
                let reply = gateway.send("POST", "/pizza/1.0.0/order", &[], vec![7; 300_000]).await.expect("call");
                assert_eq!(reply.expect(200).json()["bytes"], 300_000);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_the_original_codes() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let other = journey::publish(node, &Wish::new("pasta", &url)).await;
    let token = journey::token(node, &published).await;
    let menu = format!("{}/menu", published.path);

    let missing = node.gateway().get(&menu).await.expect("call").expect(401);
    assert_eq!(missing.json()["code"], "900902", "{}", missing.text());
    assert!(
        missing.header("www-authenticate").contains("Bearer") || missing.header("www-authenticate").contains("OAuth2")
    );
    let wrong = node.gateway().with_bearer("no-such-token").get(&menu).await.expect("call").expect(401);
    assert_eq!(wrong.json()["code"], "900901", "{}", wrong.text());
    let gateway = node.gateway().with_bearer(&token);
    let foreign = gateway.get("/pasta/1.0.0/menu").await.expect("call").expect(403);
    assert_eq!(foreign.json()["code"], "900908", "{} {other}", foreign.text());
    gateway.get("/no/such/api").await.expect("call").expect(404);
    gateway.get(&format!("{}/no-such-resource", published.path)).await.expect("call").expect(404);
    let wrong_verb = gateway.send("DELETE", &menu, &[], "").await.expect("call").expect(405);
    assert!(wrong_verb.header("allow").contains("GET"), "{:?}", wrong_verb.headers);
    assert_eq!(backend.count(), 0, "nothing that was refused reached the backend");
    gateway.get(&menu).await.expect("call").expect(200);
    assert_eq!(backend.count(), 1);

    drop(backend);
    let down = gateway.get(&menu).await.expect("call").expect(503);
    assert!(["101503", "101504"].contains(&down.json()["code"].to_string().trim_matches('"')), "{}", down.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_type_chooses_the_endpoint() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (production, sandbox) = (Backend::start("production").await, Backend::start("sandbox").await);
    let url = production.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let admin = node.admin();
    let path = format!("/api/am/publisher/v4/apis/{}", published.api);
    let mut api = admin.get(&path).await.expect("get").expect(200).json();
    api["endpointConfig"]["sandbox_endpoints"] = json!({"url": sandbox.url()});
    admin.json("PUT", &path, &api).await.expect("update").expect(200);
    journey::deploy(&admin, &published.api).await;
    let keys = journey::generate_keys(&admin, &published.application, "SANDBOX").await;
    let sandbox_keys = journey::Published {
        client_id: text(&keys, "consumerKey"),
        client_secret: text(&keys, "consumerSecret"),
        ..journey::Published {
            api: String::new(),
            path: String::new(),
            application: String::new(),
            subscription: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
        }
    };
    for (token, backend) in
        [(journey::token(node, &published).await, "production"), (journey::token(node, &sandbox_keys).await, "sandbox")]
    {
        let reply = node.gateway().with_bearer(&token).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
        assert_eq!(reply.header("x-backend"), backend);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_and_a_revocation_hold_on_every_node_once_answered() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let token = journey::token(&cluster.nodes[1], &published).await;
    for node in &cluster.nodes {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }

    let block = format!(
        "/api/am/publisher/v4/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
        published.subscription
    );
    cluster.nodes[2].admin().send("POST", &block, &[], "").await.expect("block").expect(200);
    for node in &cluster.nodes {
        let refused = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(401);
        assert_eq!(refused.json()["code"], "900907", "{}", refused.text());
    }
    let unblock =
        format!("/api/am/publisher/v4/subscriptions/unblock-subscription?subscriptionId={}", published.subscription);
    cluster.nodes[1].admin().send("POST", &unblock, &[], "").await.expect("unblock").expect(200);
    for node in &cluster.nodes {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }

    let client = cluster.nodes[0].anonymous().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    client.send("POST", "/oauth2/revoke", &form, format!("token={token}")).await.expect("revoke").expect(200);
    for node in &cluster.nodes {
        let refused = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(401);
        assert_eq!(refused.json()["code"], "900901", "{}", refused.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_through_the_gateway_too() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let client = node.secure_gateway().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = client.send("POST", "/token", &form, "grant_type=client_credentials").await.expect("token");
    let token = text(&reply.expect(200).json(), "access_token");
    node.gateway().with_bearer(&token).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_registered_by_itself_gets_a_token_that_publishes() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let registration = json!({
        "callbackUrl": "https://localhost/callback", "clientName": "pipeline", "owner": "admin",
        "grantType": "password refresh_token client_credentials", "saasApp": true,
    });
    let registered =
        node.admin().json("POST", "/client-registration/v0.17/register", &registration).await.expect("register");
    assert!([200, 201].contains(&registered.status), "{}", registered.text());
    let registered = registered.json();
    let client = node.anonymous().with_basic(&text(&registered, "clientId"), &text(&registered, "clientSecret"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!(
        "grant_type=password&username=admin&password={}&scope=apim:api_view%20apim:api_create",
        harness::PASSWORD.replace(' ', "%20")
    );
    let reply = client.send("POST", "/oauth2/token", &form, body).await.expect("token").expect(200).json();
    let bearer = node.anonymous().with_bearer(&text(&reply, "access_token"));
    bearer.get("/api/am/publisher/v4/apis").await.expect("list").expect(200);
    // The token was not asked the scope to publish.
    bearer
        .send("POST", "/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId=x", &[], "")
        .await
        .expect("publish")
        .expect(401);
    node.anonymous().get("/api/am/publisher/v4/apis").await.expect("list").expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_idempotency_key_acts_once_on_any_node() {
    let cluster = Cluster::start(3).await;
    let body = json!({"name": "once", "throttlingPolicy": "Unlimited"}).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "7f9c")];
    let mut ids = Vec::new();
    for node in &cluster.nodes {
        let reply = node
            .admin()
            .send("POST", "/api/am/devportal/v3/applications", &headers, body.clone())
            .await
            .expect("create");
        ids.push(text(&reply.expect(201).json(), "applicationId"));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = json!({"name": "other", "throttlingPolicy": "Unlimited"}).to_string();
    cluster.nodes[1]
        .admin()
        .send("POST", "/api/am/devportal/v3/applications", &headers, other)
        .await
        .expect("create")
        .expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_hold_the_same_state() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    until("equal digests", async || {
        let mut digests = Vec::new();
        for node in &cluster.nodes {
            let reply = node.admin().get("/api/portcullis/v1/cluster/digest").await.ok()?;
            digests.push(reply.expect(200).json());
        }
        let is_same_index = digests.iter().all(|one| one["index"] == digests[0]["index"]);
        is_same_index.then(|| assert!(digests.iter().all(|one| one == &digests[0]), "{digests:?}"))
    })
    .await;
}
