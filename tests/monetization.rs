//! Use of APIs that costs something: counted from when that is turned on, told once to whoever bills it, and shown to those
//! whom it concerns.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Published, Wish, text};
use harness::receiver::{Received, Receiver};
use harness::{Cluster, Node, until};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEVPORTAL: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";

fn plan(name: &str, properties: &Value) -> Value {
    json!({
        "policyName": name, "billingPlan": "COMMERCIAL", "stopOnQuotaReach": true,
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 100_000},
        },
        "monetization": {"monetizationPlan": "DYNAMICRATE", "properties": properties},
    })
}

async fn call(node: &Node, published: &Published, token: &str, count: usize) {
    let gateway = node.gateway().with_bearer(token);
    for _ in 0..count {
        gateway.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
    }
}

/// Waits until a node counts so many calls of a subscription.
async fn wait_for(node: &Node, subscription: &str, calls: usize) -> Value {
    until(&format!("{calls} calls to be counted"), async || {
        let path = format!("{DEVPORTAL}/subscriptions/{subscription}/usage");
        let told = node.admin().get(&path).await.ok()?.expect(200).json()["properties"].clone();
        told["calls"].as_str().is_some_and(|told| told.parse() == Ok(calls)).then_some(told)
    })
    .await
}

/// Has the use published, and waits until that ended; returns how.
async fn publish(node: &Node) -> Value {
    let started = node.admin().send("POST", &format!("{ADMIN}/monetization/publish-usage"), &[], "").await;
    assert_eq!(started.expect("publish").expect(202).json()["status"], "ACCEPTED");
    until("the publication to end", async || {
        let path = format!("{ADMIN}/monetization/publish-usage/status");
        let status = node.admin().get(&path).await.ok()?.expect(200).json();
        (status["state"] == "COMPLETED").then_some(status)
    })
    .await
}

/// Returns the calls that were told, each delivery once.
fn calls_told(received: &[Received]) -> u64 {
    let mut bodies: Vec<Value> = received.iter().map(Received::json).collect();
    bodies.sort_by_key(|body| text(body, "id"));
    bodies.dedup();
    let records = bodies.iter().flat_map(|body| body["records"].as_array().expect("records").clone());
    records.map(|record| record["calls"].as_u64().expect("calls")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn use_is_told_once_to_whoever_bills_it_and_shown_with_what_it_costs() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::empty();
    std::fs::write(cluster.path("secret"), "between us\n").expect("a file");
    for number in 1..=3 {
        let secret = cluster.path("secret");
        cluster.configure(
            number,
            &format!(
                "[statistics]\ngather_ms = 300\n[monetization]\nbilling_url = \"{}/usage\"\nbilling_secret_file = \"{}\"\n",
                receiver.url,
                secret.display()
            ),
        );
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let backend = Backend::start("production").await;
    let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
    let admin = first.admin();

    let policies = format!("{ADMIN}/throttling/policies/subscription");
    let wrong = plan("Paid", &json!({"pricePerRequest": "cheap"}));
    let refused = admin.json("POST", &policies, &wrong).await.expect("a plan").expect(400).text();
    assert!(refused.contains("pricePerRequest"), "{refused}");
    let prices = json!({"pricePerRequest": "0.002", "fixedPrice": "5", "currencyType": "EUR", "billingCycle": "year"});
    let made = admin.json("POST", &policies, &plan("Paid", &prices)).await.expect("a plan").expect(201).json();
    assert_eq!(made["monetization"]["properties"], prices, "what is said of it is kept");
    let backend_url = backend.url();
    let wish = Wish { plan: "Paid", ..Wish::new("pizza", &backend_url) };
    let pizza = journey::publish_and_subscribe(first, &wish).await;
    let token = journey::token(first, &pizza).await;
    let free = journey::publish(first, &Wish::new("pasta", &backend_url)).await;

    // Calls before it was turned on are nobody's business.
    call(first, &pizza, &token, 4).await;
    wait_for(first, &pizza.subscription, 4).await;
    let monetize = |api: &str| format!("{PUBLISHER}/apis/{api}/monetize");
    let on = json!({"enabled": true, "properties": {"account": "7"}});
    let refused = admin.json("POST", &monetize(&free), &on).await.expect("monetize").expect(400).text();
    assert!(refused.contains("none of the API's plans"), "{refused}");
    admin.get(&format!("{PUBLISHER}/apis/{}/revenue", pizza.api)).await.expect("revenue").expect(404);
    admin.json("POST", &monetize(&pizza.api), &on).await.expect("monetize").expect(201);
    let shown = third.admin().get(&format!("{PUBLISHER}/apis/{}/monetization", pizza.api)).await.expect("monetization");
    let shown = shown.expect(200).json();
    assert_eq!((&shown["enabled"], &shown["properties"]["account"]), (&json!(true), &json!("7")));
    assert_eq!(shown["monetizedPolicies"]["Paid"]["properties"]["pricePerRequest"], "0.002", "{shown}");

    // Whoever may change an API turns billing neither off nor on by that.
    let path = format!("{PUBLISHER}/apis/{}", pizza.api);
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["monetization"] = json!({"enabled": false});
    let changed = admin.json("PUT", &path, &body).await.expect("change").expect(200).json();
    assert_eq!(changed["monetization"], json!({"enabled": true, "properties": {"account": "7"}}), "{changed}");
    let revisions = admin.get(&format!("{path}/revisions")).await.expect("revisions").expect(200).json();
    let restore = format!("{path}/restore-revision?revisionId={}", text(&revisions["list"][0], "id"));
    let restored = admin.send("POST", &restore, &[], "").await.expect("restore").expect(201).json();
    assert_eq!(restored["monetization"]["enabled"], true, "{restored}");
    let copy = format!("{PUBLISHER}/apis/copy-api?apiId={}&newVersion=2.0.0", pizza.api);
    let copied = admin.send("POST", &copy, &[], "").await.expect("copy").expect(201).json();
    assert!(copied["monetization"].is_null(), "{copied}");

    // Each node is told of calls, and one that is asked tells whoever bills them. It is not taken at first.
    call(first, &pizza, &token, 3).await;
    call(second, &pizza, &token, 4).await;
    let counted = wait_for(second, &pizza.subscription, 4 + 3 + 4).await;
    assert_eq!((&counted["amount"], &counted["currencyType"]), (&json!("5.022"), &json!("EUR")), "{counted}");
    receiver.answer_next(&[400]);
    let failed = publish(second).await;
    assert_eq!(failed["status"], "FAILED", "{failed}");
    call(third, &pizza, &token, 2).await;
    wait_for(third, &pizza.subscription, 4 + 3 + 4 + 2).await;
    let done = publish(third).await;
    assert_eq!(done["status"], "SUCCESSFUL", "{done}");
    assert!(text(&done, "lastPublsihedTime") >= text(&done, "startedTime"), "{done}");
    let received = receiver.received();
    assert_eq!(received.len(), 3, "{received:?}");
    let [refused, again, rest] = &received[..] else { panic!("three deliveries") };
    assert_eq!(
        (&refused.body, refused.header("x-portcullis-delivery")),
        (&again.body, again.header("x-portcullis-delivery"))
    );
    assert_ne!(again.header("x-portcullis-delivery"), rest.header("x-portcullis-delivery"));
    assert_eq!(refused.json()["records"][0]["calls"], 7);
    assert_eq!(calls_told(&received), 9);
    let record = &rest.json()["records"][0];
    assert_eq!((&record["plan"], &record["amount"]), (&json!("Paid"), &json!("0.004")), "{record}");
    assert_eq!(record["subscription"], pizza.subscription, "{record}");
    assert_eq!(
        (&record["application"]["name"], &record["terms"]["currencyType"]),
        (&json!("pizza app"), &json!("EUR"))
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"between us");
    let signature = aws_lc_rs::hmac::sign(&key, &rest.body);
    let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(rest.header("x-hub-signature-256"), format!("sha256={signature}"));

    // Nothing is told twice, whoever asks how often.
    for node in &cluster.nodes {
        assert_eq!(publish(node).await["status"], "SUCCESSFUL");
    }
    assert_eq!(receiver.received().len(), 3);

    // What it brings in, to publishers; what it costs, to developers.
    let revenue = admin.get(&format!("{PUBLISHER}/apis/{}/revenue", pizza.api)).await.expect("revenue");
    let revenue = revenue.expect(200).json()["properties"].clone();
    // The cycle is the year: calls before it was turned on are in it.
    assert_eq!((&revenue["Paid.billedCalls"], &revenue["total.EUR"]), (&json!("13"), &json!("5.026")), "{revenue}");
    let seen = first.anonymous().get(&format!("{DEVPORTAL}/apis/{}", pizza.api)).await.expect("api").expect(200).json();
    assert_eq!(seen["monetization"]["enabled"], true);
    assert_eq!(seen["tiers"][0]["monetizationAttributes"]["billingType"], "dynamicRate", "{}", seen["tiers"]);

    // Turned off, what was gathered is told still, and nothing new is.
    call(first, &pizza, &token, 1).await;
    wait_for(first, &pizza.subscription, 4 + 3 + 4 + 2 + 1).await;
    receiver.answer_next(&[400]);
    assert_eq!(publish(first).await["status"], "FAILED");
    admin.json("POST", &monetize(&pizza.api), &json!({"enabled": false})).await.expect("monetize").expect(201);
    call(first, &pizza, &token, 1).await;
    wait_for(first, &pizza.subscription, 4 + 3 + 4 + 2 + 1 + 1).await;
    assert_eq!(publish(first).await["status"], "SUCCESSFUL");
    let received = receiver.received();
    assert_eq!((received.len(), calls_told(&received)), (5, 10), "{received:?}");
    assert_eq!(publish(first).await["status"], "SUCCESSFUL");
    assert_eq!(receiver.received().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_billing_engine_that_is_said() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let status = admin.get(&format!("{ADMIN}/monetization/publish-usage/status")).await.expect("status").expect(200);
    assert_eq!(status.json()["status"], "NEVER PUBLISHED");
    let refused = admin.send("POST", &format!("{ADMIN}/monetization/publish-usage"), &[], "").await.expect("publish");
    assert!(refused.expect(404).text().contains("monetization.billing_url"));
}
