//! Tokens of another OAuth 2 server at the gateway: the other server is a cluster of its own, found by discovery.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::json;

const ADMIN: &str = "/api/am/admin/v4/key-managers";

/// Starts a cluster of one node that trusts the authority of another cluster.
async fn trusting(other: &Node) -> Cluster {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    node.terminate().await;
    node.run_with(&[("SSL_CERT_FILE", &other.data_dir.join("tls/ca.pem"))]);
    node.wait_ready().await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_registered_server_are_accepted_for_the_keys_that_are_mapped() {
    let elsewhere = Cluster::start(1).await;
    let idp = &elsewhere.nodes[0];
    let cluster = trusting(idp).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    // What the other server issues: to a client of an application there.
    let theirs = Wish { token_type: "JWT", ..Wish::new("theirs", &url) };
    let theirs = journey::publish_and_subscribe(idp, &theirs).await;
    let token = journey::token(idp, &theirs).await;
    let call = || async { node.gateway().with_bearer(&token).get(&menu).await.expect("call") };
    assert_eq!(call().await.expect(401).json()["code"], "900901", "nobody knows the server yet");

    let admin = node.admin();
    let well_known = format!("{}/oauth2/token/.well-known/openid-configuration", idp.management_url());
    let (form, content_type) = harness::http::multipart(&[("url", None, &well_known), ("type", None, "Portcullis")]);
    let found = admin.send("POST", &format!("{ADMIN}/discover"), &[("content-type", &content_type)], form).await;
    let found = found.expect("discover").expect(200).json();
    assert_eq!(found["valid"], true, "{found}");
    let mut wish = found["value"].clone();
    wish["name"] = json!("Theirs");
    // The document names addresses of another host than the test's.
    wish["certificates"]["value"] = json!(format!("{}/oauth2/jwks", idp.management_url()));
    let made = admin.json("POST", ADMIN, &wish).await.expect("register").expect(201).json();
    let path = format!("{ADMIN}/{}", text(&made, "id"));
    admin.json("POST", ADMIN, &wish).await.expect("register").expect(409);
    assert_eq!(call().await.expect(403).json()["code"], "900908", "good, but mapped to no application");

    let store = format!("/api/am/devportal/v3/applications/{}", published.application);
    let mapping = json!({"consumerKey": theirs.client_id, "keyManager": "Theirs", "keyType": "PRODUCTION"});
    let mapped = admin.json("POST", &format!("{store}/map-keys"), &mapping).await.expect("map").expect(200).json();
    assert_eq!((&mapped["mode"], &mapped["keyManager"]), (&json!("MAPPED"), &json!("Theirs")));
    call().await.expect(200);
    let listed = admin.get(&format!("{store}/oauth-keys")).await.expect("list").expect(200).json();
    assert_eq!(listed["count"], 2, "{listed}");
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token { format!("{}Q", &token[..token.len() - 1]) } else { forged };
    node.gateway().with_bearer(&forged).get(&menu).await.expect("call").expect(401);

    // Switched off, its tokens are refused when the answer comes; switched on, they are good again.
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    for (is_enabled, status) in [(false, 401), (true, 200)] {
        body["enabled"] = json!(is_enabled);
        admin.json("PUT", &path, &body).await.expect("update").expect(200);
        call().await.expect(status);
    }
    let key = format!("{store}/oauth-keys/{}", text(&mapped, "keyMappingId"));
    admin.send("DELETE", &key, &[], "").await.expect("unmap").expect(200);
    assert_eq!(call().await.expect(403).json()["code"], "900908");
    admin.json("POST", &format!("{store}/map-keys"), &mapping).await.expect("map").expect(200);
    call().await.expect(200);
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    call().await.expect(401);
    admin.get(&path).await.expect("get").expect(404);
    // Its own tokens go on as before.
    let own = journey::token(node, &published).await;
    node.gateway().with_bearer(&own).get(&menu).await.expect("call").expect(200);
}
