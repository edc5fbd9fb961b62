//! Quotas across the cluster: never over, little left, wherever the calls arrive.

mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::minute::wait_for_room_in_minute;
use harness::offer::offer;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_subscription_quota_holds_across_all_nodes_and_is_used_up() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Bronze", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);

    wait_for_room_in_minute(Duration::from_secs(30)).await;
    let (admitted, refused) = offer(&cluster, &[0, 1, 2], &menu, &token, 12, 1500).await;
    assert!(admitted <= 1000, "{admitted} of 1000 admitted");
    assert!(admitted >= 990, "only {admitted} of 1000 admitted, {refused} refused");
    assert_eq!(backend.count(), admitted, "what was refused did not reach the backend");
    let reply = cluster.nodes[1].gateway().with_bearer(&token).get(&menu).await.expect("call").expect(429);
    assert_eq!(reply.json()["code"], "900804", "{}", reply.text());
    let retry_after: u64 = reply.header("retry-after").parse().expect("Retry-After in seconds");
    assert!(retry_after <= 60, "{retry_after}");
    assert!(reply.json()["nextAccessTime"].is_string(), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_quota_is_exact_when_all_calls_arrive_at_one_node() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let policy = json!({
        "policyName": "Seven", "displayName": "Seven", "description": "seven a minute",
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 7}},
        "stopOnQuotaReach": true, "billingPlan": "FREE", "customAttributes": [],
    });
    let admin = cluster.nodes[1].admin();
    admin.json("POST", "/api/am/admin/v4/throttling/policies/subscription", &policy).await.expect("policy").expect(201);
    let wish = Wish { plan: "Seven", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    wait_for_room_in_minute(Duration::from_secs(20)).await;
    let (admitted, refused) = offer(&cluster, &[2], &format!("{}/menu", published.path), &token, 2, 40).await;
    assert_eq!((admitted, refused), (7, 33));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_quota_holds_over_all_apis_of_the_application() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { application_policy: "50PerMin", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let pasta = journey::publish(&cluster.nodes[0], &Wish::new("pasta", &url)).await;
    let subscription = json!({"applicationId": published.application, "apiId": pasta, "throttlingPolicy": "Unlimited"});
    let admin = cluster.nodes[1].admin();
    admin.json("POST", "/api/am/devportal/v3/subscriptions", &subscription).await.expect("subscribe").expect(201);
    let token = journey::token(&cluster.nodes[2], &published).await;
    wait_for_room_in_minute(Duration::from_secs(20)).await;
    let (pizza, _) = offer(&cluster, &[0, 1, 2], "/pizza/1.0.0/menu", &token, 6, 30).await;
    let (pasta, _) = offer(&cluster, &[0, 1, 2], "/pasta/1.0.0/menu", &token, 6, 300).await;
    assert_eq!(pizza + pasta, 50, "{pizza} over the first API, {pasta} over the second");
    let reply =
        cluster.nodes[0].gateway().with_bearer(&token).get("/pasta/1.0.0/menu").await.expect("call").expect(429);
    assert_eq!(reply.json()["code"], "900803", "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_never_passed_while_the_leader_is_killed() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Bronze", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);
    let leader = cluster.leader().await;
    let others = cluster.followers().await;

    wait_for_room_in_minute(Duration::from_secs(30)).await;
    let is_killed = AtomicBool::new(false);
    let load = offer(&cluster, &others, &menu, &token, 8, 1800);
    let kill = async {
        harness::until("some calls", async || (backend.count() > 200).then_some(())).await;
        cluster.nodes[leader].kill();
        is_killed.store(true, Ordering::SeqCst);
    };
    let ((admitted, _), ()) = tokio::join!(load, kill);
    assert!(is_killed.load(Ordering::SeqCst));
    assert!(admitted <= 1000, "{admitted} of 1000 admitted");
    // The killed node takes with it what it holds: its reserve and an unspent grant, but not the rest.
    assert!(admitted >= 800, "only {admitted} of 1000 admitted");
}
