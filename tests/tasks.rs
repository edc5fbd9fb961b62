//! What waits for approval: asked for on one node, decided about on another, in force on all.

mod harness;

use harness::http::Client;
use harness::journey::{self, Wish, text};
use harness::{Cluster, backend::Backend};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4/apis";
const STORE: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";

/// Has the kinds named wait, and no others.
async fn approve(admin: &Client, kinds: &[&str]) {
    let path = format!("{ADMIN}/tenant-config");
    let mut config = admin.get(&path).await.expect("configuration").expect(200).json();
    config["Workflows"] =
        kinds.iter().map(|kind| ((*kind).to_owned(), json!("approval"))).collect::<serde_json::Map<_, _>>().into();
    admin.json("PUT", &path, &config).await.expect("configure").expect(200);
}

/// Returns the one task that waits.
async fn waiting(admin: &Client, kind: &str) -> Value {
    let listed =
        admin.get(&format!("{ADMIN}/workflows?workflowType=AM_{kind}")).await.expect("list").expect(200).json();
    assert_eq!(listed["count"], 1, "{listed}");
    assert_eq!(listed["list"][0]["workflowType"], kind);
    listed["list"][0].clone()
}

async fn decide(admin: &Client, task: &Value, status: &str) {
    let path = format!("{ADMIN}/workflows/update-workflow-status?workflowReferenceId={}", text(task, "referenceId"));
    admin.json("POST", &path, &json!({"status": status})).await.expect("decide").expect(200);
    admin.json("POST", &path, &json!({"status": status})).await.expect("twice").expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_and_a_subscription_are_good_for_nothing_until_they_are_approved() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let (admin, store) = (cluster.nodes[1].admin(), cluster.nodes[2].admin());
    approve(&admin, &["APPLICATION_CREATION", "SubscriptionCreation"]).await;
    let body = json!({"name": "Shop", "throttlingPolicy": "Unlimited"});
    let made =
        store.json("POST", &format!("{STORE}/applications"), &body).await.expect("application").expect(201).json();
    assert_eq!(made["status"], "CREATED", "{made}");
    let application = text(&made, "applicationId");
    let subscription = json!({"apiId": published.api, "applicationId": application, "throttlingPolicy": "Unlimited"});
    let subscribe = async || store.json("POST", &format!("{STORE}/subscriptions"), &subscription).await;
    subscribe().await.expect("too early").expect(409);

    let task = waiting(&admin, "APPLICATION_CREATION").await;
    assert!(text(&task, "description").contains("application [Shop]"), "{task}");
    assert_eq!(task["properties"]["applicationName"], "Shop");
    decide(&admin, &task, "APPROVED").await;
    let subscribed = subscribe().await.expect("subscribe").expect(201).json();
    assert_eq!(subscribed["status"], "ON_HOLD", "{subscribed}");
    let keys = journey::generate_keys(&store, &application, "PRODUCTION").await;
    let mine = journey::Published {
        application,
        subscription: text(&subscribed, "subscriptionId"),
        client_id: text(&keys, "consumerKey"),
        client_secret: text(&keys, "consumerSecret"),
        ..published
    };
    let token = journey::token(&cluster.nodes[0], &mine).await;
    let menu = format!("{}/menu", mine.path);
    for node in &cluster.nodes {
        let held = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(401);
        assert_eq!(held.json()["code"], "900909", "{}", held.text());
    }
    let task = waiting(&admin, "SUBSCRIPTION_CREATION").await;
    decide(&admin, &task, "APPROVED").await;
    for node in &cluster.nodes {
        node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    }

    // What was rejected is of no use, and what is deleted is asked about no longer.
    let body = json!({"name": "Other", "throttlingPolicy": "Unlimited"});
    let made =
        store.json("POST", &format!("{STORE}/applications"), &body).await.expect("application").expect(201).json();
    decide(&admin, &waiting(&admin, "APPLICATION_CREATION").await, "REJECTED").await;
    let path = format!("{STORE}/applications/{}", text(&made, "applicationId"));
    assert_eq!(store.get(&path).await.expect("show").expect(200).json()["status"], "REJECTED");
    let body = json!({"name": "Third", "throttlingPolicy": "Unlimited"});
    let made =
        store.json("POST", &format!("{STORE}/applications"), &body).await.expect("application").expect(201).json();
    store
        .send("DELETE", &format!("{STORE}/applications/{}", text(&made, "applicationId")), &[], "")
        .await
        .expect("delete")
        .expect(200);
    let left = admin.get(&format!("{ADMIN}/workflows")).await.expect("list").expect(200).json();
    assert_eq!(left["count"], 0, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_and_a_deployment_wait_and_can_be_taken_back() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let (admin, publisher) = (cluster.nodes[0].admin(), cluster.nodes[1].admin());
    let first = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(&cluster.nodes[0], &first).await;
    approve(&admin, &["AM_API_STATE", "REVISION_DEPLOYMENT"]).await;
    let path = format!("{PUBLISHER}/{}", first.api);
    let change = |action: &str| format!("{PUBLISHER}/change-lifecycle?apiId={}&action={action}", first.api);
    let held = publisher.json("POST", &change("Block"), &json!({})).await.expect("block").expect(200).json();
    assert_eq!(
        (held["workflowStatus"].as_str(), held["lifecycleState"]["state"].as_str()),
        (Some("CREATED"), Some("Published"))
    );
    assert_eq!(publisher.get(&path).await.expect("api").expect(200).json()["workflowStatus"], "CREATED");
    publisher.json("POST", &change("Deprecate"), &json!({})).await.expect("one at a time").expect(409);
    publisher
        .send("DELETE", &format!("{path}/lifecycle-state/pending-tasks"), &[], "")
        .await
        .expect("take back")
        .expect(200);
    let menu = format!("{}/menu", first.path);
    let call = async |status: u16| {
        for node in &cluster.nodes {
            node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(status);
        }
    };
    call(200).await;
    publisher.json("POST", &change("Block"), &json!({})).await.expect("block").expect(200);
    decide(&admin, &waiting(&admin, "API_STATE").await, "APPROVED").await;
    call(503).await;
    // To unblock needs nobody's approval.
    let free = publisher.json("POST", &change("Re-Publish"), &json!({})).await.expect("unblock").expect(200).json();
    assert_eq!(free["workflowStatus"], "APPROVED", "{free}");
    call(200).await;

    let mut api = publisher.get(&path).await.expect("api").expect(200).json();
    let other = Backend::start("sandbox").await;
    api["endpointConfig"]["production_endpoints"] = json!({"url": other.url()});
    publisher.json("PUT", &path, &api).await.expect("change").expect(200);
    let made = publisher
        .json("POST", &format!("{path}/revisions"), &json!({"description": "2"}))
        .await
        .expect("revision")
        .expect(201);
    let revision = text(&made.json(), "id");
    let deploy = format!("{path}/deploy-revision?revisionId={revision}");
    let places = json!([{"name": "Default", "vhost": "localhost"}]);
    let held = publisher.json("POST", &deploy, &places).await.expect("deploy").expect(200).json();
    assert_eq!(held[0]["status"], "CREATED", "{held}");
    let reply = cluster.nodes[2].gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    assert_eq!(reply.header("x-backend"), "production");
    let cancel = format!("{path}/cancel-revision-workflow/{revision}/Default");
    publisher.send("DELETE", &cancel, &[], "").await.expect("take back").expect(200);
    publisher.send("DELETE", &cancel, &[], "").await.expect("twice").expect(404);
    publisher.json("POST", &deploy, &places).await.expect("deploy").expect(200);
    // By the command line, as an administrator would.
    let id = text(&waiting(&admin, "REVISION_DEPLOYMENT").await, "referenceId");
    let server = cluster.nodes[2].management_url();
    let there = ["--server", server.as_str(), "--data-dir", "n1"];
    let listed =
        cluster.cli_ok(&[["task", "list", "--kind", "REVISION_DEPLOYMENT", "-o", "name"].as_slice(), &there].concat());
    assert_eq!(listed.trim(), id);
    cluster.cli_ok(&[["task", "approve", id.as_str()].as_slice(), &there].concat());
    for node in &cluster.nodes {
        let reply = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
        assert_eq!(reply.header("x-backend"), "sandbox");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_waits_for_an_administrator_where_the_tenant_wants_that() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let path = format!("{ADMIN}/tenant-config");
    let mut config = admin.get(&path).await.expect("configuration").expect(200).json();
    config["Workflows"] = json!({"APPLICATION_DELETION": "approval"});
    let refused = admin.json("PUT", &path, &config).await.expect("configure").expect(400);
    assert!(refused.text().contains("cannot be made to wait for approval"), "{}", refused.text());
    approve(&admin, &["USER_SIGNUP"]).await;
    let sign_up = async |name: &str| {
        let body = json!({"user": {"username": name, "password": "Enough-0f-it", "claims": []}});
        node.anonymous().json("POST", "/api/identity/user/v1.0/me", &body).await.expect("sign up").expect(201);
        (node.as_user(name, "Enough-0f-it"), waiting(&admin, "USER_SIGNUP").await)
    };
    let applications = format!("{STORE}/applications");
    let (mia, task) = sign_up("mia").await;
    mia.get(&applications).await.expect("too early").expect(401);
    decide(&admin, &task, "APPROVED").await;
    mia.get(&applications).await.expect("signed in").expect(200);
    let (eve, task) = sign_up("eve").await;
    decide(&admin, &task, "REJECTED").await;
    eve.get(&applications).await.expect("never").expect(401);
    // The name is free again.
    let (_, task) = sign_up("eve").await;
    assert_eq!(task["properties"]["userName"], "eve");
}
