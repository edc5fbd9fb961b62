//! APIs of the type WEBSUB: callbacks subscribed at one node, events taken at another, signed and counted on the way.

mod harness;

use std::path::Path;

use aws_lc_rs::hmac;
use harness::http::{Reply, archive_form, multipart};
use harness::journey::{self, Wish, text};
use harness::receiver::{Received, Receiver};
use harness::{Client, Cluster, Node, until};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEVPORTAL: &str = "/api/am/devportal/v3";
const PATH: &str = "/repo/1.0.0";
const EVENTS: &str = "/repo/1.0.0/webhooks_events_receiver_resource?topic=issues";
const REPO: &str = "asyncapi: 2.6.0\ninfo: {title: repo, version: 1.0.0}\nservers:\n  one: {url: 'https://hub.example', protocol: websub}\n\
    channels:\n  issues:\n    subscribe: {}\n";

fn sign(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let code = hmac::sign(&key, body.as_bytes());
    let hex: String = code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Makes a plan of a few events, and of two callbacks.
async fn make_plan(node: &Node, name: &str, events: u32) {
    let limit =
        json!({"type": "EVENTCOUNTLIMIT", "eventCount": {"timeUnit": "days", "unitTime": 1, "eventCount": events}});
    let plan = json!({"policyName": name, "defaultLimit": limit, "subscriberCount": 2, "stopOnQuotaReach": true});
    let path = "/api/am/admin/v4/throttling/policies/subscription";
    node.admin().json("POST", path, &plan).await.expect("plan").expect(201);
}

/// Imports, deploys and publishes the API; returns its id and the secret of its events.
async fn publish(node: &Node, plan: &str) -> (String, String) {
    let admin = node.admin();
    let properties = json!({"context": "/repo", "policies": [plan]}).to_string();
    let parts = [("file", Some("repo.yml"), REPO), ("additionalProperties", None, properties.as_str())];
    let (body, content_type) = multipart(&parts);
    let import = format!("{PUBLISHER}/apis/import-asyncapi");
    let made = admin.send("POST", &import, &[("content-type", &content_type)], body).await.expect("a reply");
    let made = made.expect(201).json();
    assert_eq!((&made["type"], &made["operations"][0]["target"]), (&json!("WEBSUB"), &json!("/issues")));
    let id = text(&made, "id");
    let secret = text(&made["websubSubscriptionConfiguration"], "secret");
    assert_eq!(secret.len(), 40, "{made}");
    let path = format!("{PUBLISHER}/apis/{id}");
    let sent_back = admin.json("PUT", &path, &made).await.expect("put").expect(200).json();
    assert_eq!(sent_back["websubSubscriptionConfiguration"], made["websubSubscriptionConfiguration"]);
    // It leaves in an archive and comes back: its sources sign as before.
    let exported = admin.get(&format!("{PUBLISHER}/apis/export?apiId={id}")).await.expect("export").expect(200);
    // Who may not read the API may not read its secret in an archive either.
    let blind = blind_publisher(node).await;
    blind.get(&path).await.expect("a reply").expect(401);
    let told = blind.json("PUT", &path, &made).await.expect("put").expect(200).json();
    assert_eq!(told["websubSubscriptionConfiguration"]["secret"], json!(""), "{told}");
    let hidden = blind.get(&format!("{PUBLISHER}/apis/export?apiId={id}")).await.expect("export").expect(200);
    let mut there = imported_anew(&admin, id, &hidden.body).await;
    let chosen_anew = text(&there["websubSubscriptionConfiguration"], "secret");
    assert!(chosen_anew.len() == 40 && chosen_anew != secret, "the archive of another tells the secret");
    there = imported_anew(&admin, text(&there, "id"), &exported.body).await;
    let id = text(&there, "id");
    assert_eq!(there["websubSubscriptionConfiguration"], made["websubSubscriptionConfiguration"]);
    journey::deploy(&admin, &id).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    (id, secret)
}

/// Deletes the API and imports it from an archive; returns it.
async fn imported_anew(admin: &Client, id: String, archive: &[u8]) -> Value {
    let there = format!("{PUBLISHER}/apis/{id}");
    admin.send("DELETE", &there, &[], "").await.expect("delete").expect(200);
    let (form, content_type) = archive_form(archive);
    let kind = [("content-type", content_type)];
    admin.send("POST", &format!("{PUBLISHER}/apis/import"), &kind, form).await.expect("import").expect(200);
    let found = admin.get(&format!("{PUBLISHER}/apis?query=name:repo")).await.expect("find").expect(200).json();
    let there = format!("{PUBLISHER}/apis/{}", text(&found["list"][0], "id"));
    admin.get(&there).await.expect("api").expect(200).json()
}

/// A client whose token publishes APIs and does not read them.
async fn blind_publisher(node: &Node) -> Client {
    let registration = json!({"clientName": "pipeline", "owner": "admin", "grantType": "password", "saasApp": true});
    let path = "/client-registration/v0.17/register";
    let made = node.admin().json("POST", path, &registration).await.expect("register").json();
    let client = node.anonymous().with_basic(&text(&made, "clientId"), &text(&made, "clientSecret"));
    let password = harness::PASSWORD.replace(' ', "%20");
    let body = format!("grant_type=password&username=admin&password={password}&scope=apim:api_publish");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let token = client.send("POST", "/oauth2/token", &form, body).await.expect("token").expect(200).json();
    node.anonymous().with_bearer(&text(&token, "access_token"))
}

async fn ask(caller: &Client, mode: &str, callback: &str, more: &str) -> Reply {
    let callback: String = url::form_urlencoded::byte_serialize(callback.as_bytes()).collect();
    let form = format!("hub.mode={mode}&hub.topic=issues&hub.callback={callback}{more}");
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    caller.send("POST", PATH, &kind, form).await.expect("a reply")
}

async fn listed(node: &Node, application: &str) -> Vec<Value> {
    let path = format!("{DEVPORTAL}/webhooks/subscriptions?applicationId={application}");
    let list = node.admin().get(&path).await.expect("list").expect(200).json();
    list["list"].as_array().expect("a list").clone()
}

async fn until_listed(node: &Node, application: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} callbacks"), async || {
        Some(listed(node, application).await).filter(|all| all.len() == count)
    })
    .await
}

/// Has the source send an event to a node.
async fn happens(node: &Node, secret: &str, body: &str) -> Reply {
    let headers = [("content-type", "application/json"), ("x-hub-signature", &sign(secret, body))];
    node.gateway().send("POST", EVENTS, &headers, body.to_owned()).await.expect("a reply")
}

fn bodies(received: &[Received]) -> Vec<String> {
    let posted = received.iter().filter(|one| !one.body.is_empty());
    posted.map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_at_any_node_comes_signed_to_every_callback_that_confirmed_its_subscription() {
    let cluster = Cluster::start(3).await;
    let [one, two, three] = &cluster.nodes[..] else { panic!("three nodes") };
    make_plan(one, "Hooks", 3).await;
    let (api, secret) = publish(one, "Hooks").await;
    let wish = Wish { plan: "Hooks", ..Wish::new("repo", "http://unused.example") };
    let published = journey::subscribe(one, &wish, api.clone()).await;
    let token = journey::token(one, &published).await;
    let (application, caller) = (&published.application, one.gateway().with_bearer(&token));

    let receiver = Receiver::start().await;
    let hook = format!("{}/hook?mine=1", receiver.url);
    ask(&one.gateway(), "subscribe", &hook, "").await.expect(401);
    assert!(ask(&caller, "subscribe", "mailto:me", "").await.expect(400).text().contains("hub.callback"));
    assert!(ask(&caller, "listen", &hook, "").await.expect(400).text().contains("hub.mode"));
    let other = "hub.mode=subscribe&hub.topic=stars&hub.callback=http://a.example";
    caller.send("POST", &format!("{PATH}?{other}"), &[], "").await.expect("a reply").expect(404);

    ask(&caller, "subscribe", &hook, "&hub.secret=s3cret&hub.lease_seconds=600").await.expect(202);
    let asked = receiver.wait_for("the challenge", |all| all.first().map(|one| one.target.clone())).await;
    assert!(asked.starts_with("/hook?mine=1&hub.mode=subscribe&hub.topic=issues&hub.lease_seconds=600"), "{asked}");
    let kept = until_listed(two, application, 1).await;
    assert_eq!((&kept[0]["callBackUrl"], &kept[0]["deliveryStatus"]), (&json!(hook), &json!(0)));
    assert_eq!((&kept[0]["topic"], &kept[0]["apiId"]), (&json!("issues"), &json!(api)));
    let internal = two.admin().get("/internal/data/v1/webhooks-subscriptions").await.expect("get").expect(200).json();
    assert_eq!((&internal["list"][0]["callbackURL"], &internal["list"][0]["secret"]), (&json!(hook), &Value::Null));

    // What is subscribed outlives the node that is asked next.
    three.terminate().await;
    three.run();
    three.wait_ready().await;
    let unsigned = three.gateway().send("POST", EVENTS, &[], "{}").await.expect("a reply").expect(403);
    assert!(unsigned.text().contains("not signed"), "{}", unsigned.text());
    happens(three, "wrong", "{}").await.expect(403);
    receiver.answer_next(&[500]);
    happens(three, &secret, "{\"issue\": 1}").await.expect(202);
    let tried = receiver.wait_for("the event, twice", |all| Some(all.to_vec()).filter(|all| all.len() == 3)).await;
    for event in &tried[1..] {
        assert_eq!(event.json(), json!({"issue": 1}));
        assert_eq!(event.header("x-hub-signature"), sign("s3cret", "{\"issue\": 1}"));
        assert_eq!((event.header("content-type"), &*event.target), ("application/json", "/hook?mine=1"));
        let link = event.header("link");
        assert!(link.contains("/repo/1.0.0>; rel=\"hub\"") && link.ends_with("<issues>; rel=\"self\""), "{link}");
    }
    until("a delivery that is known on every node", async || {
        (listed(two, application).await[0]["deliveryStatus"] == 1).then_some(())
    })
    .await;

    // One that does not confirm is not subscribed, nor one that no gateway may call; the plan allows two.
    let stranger = Receiver::start().await;
    stranger.answer_next(&[404]);
    ask(&caller, "subscribe", &stranger.url, "").await.expect(202);
    ask(&caller, "subscribe", "http://169.254.169.254/hook", "").await.expect(202);
    until("two that were refused", async || {
        (one.log().matches("a callback could not be asked").count() == 2).then_some(())
    })
    .await;
    let second = Receiver::start().await;
    ask(&caller, "subscribe", &second.url, "&hub.lease_seconds=300").await.expect(202);
    until_listed(two, application, 2).await;
    let third = ask(&caller, "subscribe", "http://third.example/", "").await.expect(429);
    assert!(third.text().contains("allows 2 callbacks"), "{}", third.text());
    // A lease that ends.
    ask(&caller, "subscribe", &second.url, "&hub.lease_seconds=1").await.expect(202);
    until_listed(three, application, 1).await;

    // The plan has three events; the first one was one of them.
    for number in 2..=4 {
        happens(three, &secret, &format!("{number}")).await.expect(202);
    }
    until("an event that the plan has no room for", async || three.log().contains("the plan is used up").then_some(()))
        .await;
    receiver.wait_for("three events", |all| (bodies(all).len() == 4).then_some(())).await;
    assert!(bodies(&second.received()).is_empty(), "its lease had ended");

    ask(&caller, "unsubscribe", &hook, "").await.expect(202);
    until_listed(three, application, 0).await;
    let last = receiver.received().last().expect("the question").target.clone();
    assert!(last.starts_with("/hook?mine=1&hub.mode=unsubscribe&hub.topic=issues&hub.challenge="), "{last}");
    // The gateway that is called may learn of it a moment later than the node that listed none.
    let again = until("the called gateway knows", async || {
        let reply = ask(&caller, "unsubscribe", &hook, "").await;
        (reply.status == 400).then_some(reply)
    });
    assert!(again.await.text().contains("not subscribed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_gone_is_not_subscribed_any_more_and_pages_tell_what_is() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (api, secret) = publish(node, "AsyncWHUnlimited").await;
    let wish = Wish { plan: "AsyncWHUnlimited", ..Wish::new("repo", "http://unused.example") };
    let published = journey::subscribe(node, &wish, api.clone()).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &published).await);
    let receiver = Receiver::start().await;
    ask(&caller, "subscribe", &receiver.url, "").await.expect(202);
    until_listed(node, &published.application, 1).await;

    let mut visitor = harness::visitor::Visitor::administrator(node).await;
    let page = visitor.get(&format!("/devportal/applications/{}", published.application)).await.expect(200).text();
    assert!(page.contains("Callbacks") && page.contains(&receiver.url), "{page}");
    let page = visitor.get(&format!("/publisher/apis/{api}")).await.expect(200).text();
    assert!(page.contains(&secret) && page.contains("webhooks_events_receiver_resource"), "{page}");
    assert!(visitor.get("/publisher/create").await.expect(200).text().contains("value=\"WEBSUB\""));

    receiver.answer_next(&[410]);
    happens(node, &secret, "1").await.expect(202);
    until_listed(node, &published.application, 0).await;
    let health = Client::plain(&format!("http://{}:9763", node.address));
    let counted = health.get("/metrics").await.expect("metrics").expect(200).text();
    for line in [
        "gateway_webhook_deliveries_total{outcome=\"gone\"} 1",
        "gateway_webhook_requests_total{outcome=\"confirmed\"} 1",
        "gateway_webhook_deliveries_under_way 0",
    ] {
        assert!(counted.contains(&format!("portcullis_{line}\n")), "{line}: {counted}");
    }

    // Where nothing else is said, subscribers have nothing called in the gateway's own network.
    node.terminate().await;
    node.run_with(&[("PORTCULLIS_GATEWAY__CALLBACKS_MAY_BE_PRIVATE", Path::new("false"))]);
    node.wait_ready().await;
    let asked = receiver.received().len();
    ask(&caller, "subscribe", &receiver.url, "").await.expect(202);
    until("a callback that is not called", async || {
        node.log().contains("are not called for subscribers").then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), asked);

    // Without a secret nobody can tell who sends events, and none is taken.
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = node.admin().get(&path).await.expect("get").expect(200).json();
    body["websubSubscriptionConfiguration"]["enable"] = json!(false);
    node.admin().json("PUT", &path, &body).await.expect("put").expect(200);
    journey::deploy(&node.admin(), &api).await;
    assert!(happens(node, &secret, "1").await.expect(403).text().contains("takes no events"));
}
