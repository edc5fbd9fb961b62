//! An answer means everywhere: what must be in force on every node names the nodes of which that is not known.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Published, Wish, text};
use harness::{Client, Cluster, Node, Reply, until};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// Does one thing after the other that must be in force everywhere, and returns each answer under its name.
async fn everything(node: &Node, published: &Published, token: &str) -> Vec<(&'static str, Reply)> {
    let admin = node.admin();
    let post = async |path: String| admin.send("POST", &path, &[], "").await.expect("an answer");
    let send = async |verb: &str, path: String, body: Value| admin.json(verb, &path, &body).await.expect("an answer");
    let delete = async |path: String| admin.send("DELETE", &path, &[], "").await.expect("an answer");
    let Published { api, application, subscription, .. } = published;
    let mut done = Vec::new();

    let block =
        format!("{PUBLISHER}/subscriptions/block-subscription?subscriptionId={subscription}&blockState=BLOCKED");
    done.push(("block", post(block).await));
    let unblock = format!("{PUBLISHER}/subscriptions/unblock-subscription?subscriptionId={subscription}");
    done.push(("unblock", post(unblock).await));
    let client = node.anonymous().with_basic(&published.client_id, &published.client_secret);
    let revoked = client.send("POST", "/oauth2/revoke", &FORM, format!("token={token}")).await.expect("an answer");
    done.push(("revoke", revoked));
    let limit =
        json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 3}});
    let policy = json!({"policyName": "Tiny", "defaultLimit": limit, "stopOnQuotaReach": true});
    let made = send("POST", format!("{ADMIN}/throttling/policies/subscription"), policy.clone()).await;
    let tiny = format!("{ADMIN}/throttling/policies/subscription/{}", text(&made.json(), "policyId"));
    done.push(("policy created", made));
    done.push(("policy changed", send("PUT", tiny.clone(), policy).await));
    done.push(("policy deleted", delete(tiny).await));
    let fewer = json!({"name": "pizza app", "throttlingPolicy": "10PerMin"});
    done.push(("application's policy", send("PUT", format!("{STORE}/applications/{application}"), fewer).await));
    let lifecycle = |action: &str| format!("{PUBLISHER}/apis/change-lifecycle?action={action}&apiId={api}");
    done.push(("API blocked", post(lifecycle("Block")).await));
    done.push(("API published again", post(lifecycle("Re-Publish")).await));
    let revisions = admin.get(&format!("{PUBLISHER}/apis/{api}/revisions")).await.expect("revisions").json();
    let revision = text(&revisions["list"][0], "id");
    let place = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let undeploy = format!("{PUBLISHER}/apis/{api}/undeploy-revision?revisionId={revision}");
    done.push(("undeploy", send("POST", undeploy, place.clone()).await));
    let deploy = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}");
    done.push(("deploy", send("POST", deploy, place).await));
    done.push(("subscription deleted", delete(format!("{STORE}/subscriptions/{subscription}")).await));
    done.push(("application deleted", delete(format!("{STORE}/applications/{application}")).await));
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_that_must_hold_everywhere_names_the_node_that_is_lost_and_none_where_all_are_there() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let leader = cluster.leader().await;
    let lost = (leader + 1) % 3;
    let asked = &cluster.nodes[(leader + 2) % 3];
    for (name, expected) in [("pizza", String::new()), ("pasta", (lost + 1).to_string())] {
        let published = journey::publish_and_subscribe(asked, &Wish::new(name, &url)).await;
        let token = journey::token(asked, &published).await;
        if !expected.is_empty() {
            cluster.nodes[lost].kill();
        }
        for (what, reply) in everything(asked, &published, &token).await {
            assert!((200..300).contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
            assert_eq!(reply.header("x-fence-unreached"), expected, "{what}");
            assert!(!reply.header("x-raft-index").is_empty(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_gateway_that_is_cut_off_serves_nothing_protected_and_never_what_was_revoked_meanwhile() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);
    let leader = cluster.leader().await;
    let strict = &cluster.nodes[(leader + 1) % 3];
    let other = &cluster.nodes[(leader + 2) % 3];
    strict.terminate().await;
    strict.configure("gateway", "freshness = \"strict\"\nstaleness_max_ms = 2000");
    strict.run();
    strict.wait_ready().await;
    let gateway = strict.gateway().with_bearer(&token);
    gateway.get(&menu).await.expect("call").expect(200);
    until("the cluster to know of the promise", async || {
        strict.log().contains("protected APIs are served by no older state").then_some(())
    })
    .await;

    // Cut off: the fence waits for the promise and does not name the node.
    strict.freeze();
    let client = other.anonymous().with_basic(&published.client_id, &published.client_secret);
    let revoked = client.send("POST", "/oauth2/revoke", &FORM, format!("token={token}")).await.expect("revoke");
    assert_eq!((revoked.status, revoked.header("x-fence-unreached")), (200, ""), "{}", revoked.text());
    strict.thaw();
    let first = gateway.get(&menu).await.expect("an answer");
    assert!([401, 503].contains(&first.status), "{} {}", first.status, first.text());
    until("the node to know what was revoked", async || {
        let reply = gateway.get(&menu).await.ok()?;
        assert_ne!(reply.status, 200, "a revoked token is accepted");
        (reply.status == 401).then_some(())
    })
    .await;

    // Without a majority it stops by itself, and comes back with it.
    let token = journey::token(strict, &published).await;
    let gateway = strict.gateway().with_bearer(&token);
    gateway.get(&menu).await.expect("call").expect(200);
    cluster.nodes[leader].freeze();
    other.freeze();
    let refused = until("the strict gateway to stop", async || {
        let reply = gateway.get(&menu).await.ok()?;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("900990")), "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "1");
    let health = Client::plain(&format!("http://{}:9763", strict.address));
    let ready = health.get("/readyz?noleader").await.expect("an answer");
    assert!(ready.status == 503 && ready.text().contains("freshness failed"), "{}", ready.text());
    cluster.nodes[leader].thaw();
    other.thaw();
    until("it serves again", async || (gateway.get(&menu).await.ok()?.status == 200).then_some(())).await;
}
