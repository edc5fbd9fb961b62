//! API keys on real processes: issued on one node, used on every other, and on none once they are revoked.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Cluster, Node};
use serde_json::json;

/// Has an API accept these proofs, in force at once.
async fn accept(node: &Node, api: &str, schemes: &serde_json::Value, further: &serde_json::Value) {
    let admin = node.admin();
    let path = format!("/api/am/publisher/v4/apis/{api}");
    let mut body = admin.get(&path).await.expect("get").expect(200).json();
    body["securityScheme"] = schemes.clone();
    for (name, value) in further.as_object().expect("an object") {
        body[name] = value.clone();
    }
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    journey::deploy(&admin, api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_on_every_node_until_its_revocation_returns() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    accept(&cluster.nodes[0], &published.api, &json!(["oauth2", "api_key"]), &json!({})).await;
    let store = format!("/api/am/devportal/v3/applications/{}/api-keys/PRODUCTION", published.application);
    for (number, form) in ["jwt", "opaque"].into_iter().enumerate() {
        let wish = json!({"validityPeriod": 3600, "additionalProperties": {"keyForm": form}});
        let issuing = cluster.nodes[number].admin();
        let issued = issuing.json("POST", &format!("{store}/generate"), &wish).await.expect("issue").expect(200).json();
        let key = text(&issued, "apikey");
        assert_eq!(key.split('.').count(), if form == "jwt" { 3 } else { 1 });
        for node in &cluster.nodes {
            let seen = call(node, &menu, &key).await.expect(200).json();
            assert_eq!((&seen["path"], &seen["headers"]["apikey"]), (&json!("/menu"), &json!(null)), "{seen}");
            let by_query = node.gateway().get(&format!("{menu}?apikey={key}&size=l")).await.expect("call").expect(200);
            assert_eq!(by_query.json()["path"], "/menu?size=l", "the key stays at the gateway");
        }
        let revoking = cluster.nodes[2].admin();
        let revoked = revoking.json("POST", &format!("{store}/revoke"), &json!({"apikey": key})).await.expect("revoke");
        assert_eq!(revoked.expect(200).header("x-fence-unreached"), "");
        for node in &cluster.nodes {
            let refused = call(node, &menu, &key).await.expect(401);
            assert_eq!(refused.json()["code"], "900901", "{}", refused.text());
        }
    }
    // Tokens go on as before.
    let token = journey::token(&cluster.nodes[1], &published).await;
    cluster.nodes[2].gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
}

async fn call(node: &Node, path: &str, key: &str) -> harness::http::Reply {
    node.gateway().send("GET", path, &[("ApiKey", key)], "").await.expect("call")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_issues_lists_and_revokes() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    accept(node, &published.api, &json!(["api_key"]), &json!({"apiKeyHeader": "X-Shop-Key"})).await;
    let server = node.management_url();
    let cli = |arguments: &[&str]| {
        let ca = node.data_dir.join("tls/ca.pem");
        let mut all = vec!["key", "api-key"];
        all.extend(arguments);
        all.extend(["--server", &server, "--ca-file", ca.to_str().expect("a path")]);
        cluster.cli(&all)
    };
    let near = cli(&["issue", "pizza app", "--permit-ip", "127.0.0.0/8", "--name", "near", "--valid-for", "30d"]);
    assert!(near.status.success(), "{near:?}");
    let near = String::from_utf8_lossy(&near.stdout).trim().to_owned();
    let far = cli(&["issue", "pizza app", "--permit-ip", "192.0.2.0/24", "--form", "opaque"]);
    let far = String::from_utf8_lossy(&far.stdout).trim().to_owned();
    let call = |key: String| {
        let gateway = node.gateway();
        let menu = menu.clone();
        async move { gateway.send("GET", &menu, &[("X-Shop-Key", &key)], "").await.expect("call") }
    };
    assert_eq!(call(near.clone()).await.expect(200).json()["headers"]["x-shop-key"], json!(null));
    assert_eq!(call(far).await.expect(403).json()["code"], "900908");
    let token = journey::token(node, &published).await;
    let refused = node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(401);
    assert_eq!(refused.json()["code"], "900902", "{}", refused.text());
    assert!(refused.header("www-authenticate").starts_with("ApiKey realm"), "{:?}", refused.headers);

    let listed = cli(&["list", "pizza app", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["count"], 2, "{listed}");
    let first = listed["list"].as_array().expect("a list").iter().find(|key| key["name"] == "near").expect("near");
    let id = text(first, "keyId");
    assert_eq!(cli(&["revoke", "pizza app", &id]).status.code(), Some(2), "nobody can be asked");
    call(near.clone()).await.expect(200);
    let revoked = cli(&["revoke", "pizza app", &id, "--yes"]);
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(call(near).await.expect(401).json()["code"], "900901");
    assert_eq!(cli(&["list", "no such app"]).status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_consumer_keys_and_gets_tokens_by_them() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let server = node.management_url();
    let cli = |arguments: &[&str]| {
        let ca = node.data_dir.join("tls/ca.pem");
        let mut all = vec!["key", "oauth"];
        all.extend(arguments);
        all.extend(["--server", &server, "--ca-file", ca.to_str().expect("a path")]);
        cluster.cli(&all)
    };
    let told = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let call = |token: String| {
        let (gateway, menu) = (node.gateway().with_bearer(&token), menu.clone());
        async move { gateway.get(&menu).await.expect("call") }
    };
    let there = told(cli(&["list", "pizza app"]));
    assert!(there.contains("PRODUCTION") && there.contains("client_credentials"), "{there}");
    call(told(cli(&["token", "pizza app"]))).await.expect(200);
    assert_eq!(cli(&["token", "pizza app", "--kind", "sandbox"]).status.code(), Some(3));

    let before = told(cli(&["list", "pizza app", "-o", "name"]));
    assert_eq!(cli(&["delete", "pizza app"]).status.code(), Some(2), "nobody can be asked");
    told(cli(&["delete", "pizza app", "--dry-run"]));
    let old = told(cli(&["token", "pizza app"]));
    told(cli(&["delete", "pizza app", "--yes"]));
    call(old).await.expect(401);
    assert_eq!(told(cli(&["list", "pizza app", "-o", "name"])), "");
    let made = told(cli(&["generate", "pizza app", "--grant", "client_credentials", "-o", "json"]));
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let (key, secret) = (text(&made, "consumerKey"), text(&made, "consumerSecret"));
    assert_ne!(key, before);
    let token = journey::token_of(node, (&key, &secret)).await;
    call(token).await.expect(200);
    assert_eq!(cli(&["generate", "pizza app"]).status.code(), Some(5), "it is there already");

    let renewed = told(cli(&["regenerate-secret", "pizza app", "--yes"]));
    assert!(renewed.contains(&key) && !renewed.contains(&secret), "{renewed}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let client = node.anonymous().with_basic(&key, &secret);
    client.send("POST", "/oauth2/token", &form, "grant_type=client_credentials").await.expect("reply").expect(401);
    call(told(cli(&["token", "pizza app", "--valid-for", "90s"]))).await.expect(200);
}
