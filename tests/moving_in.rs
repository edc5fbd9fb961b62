//! Declarative files of Kong and APISIX, imported into a real node: what becomes of them is called, what does not is named.

mod harness;

use std::fs;
use std::path::PathBuf;

use harness::backend::Backend;
use harness::journey::text;
use harness::{Cluster, Node};
use serde_json::{Value, json};

/// Writes a file of this folder with the backend's address in it.
fn file(cluster: &Cluster, name: &str, backend: &Backend) -> PathBuf {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/moving").join(name);
    let place = backend.url().trim_start_matches("http://").to_owned();
    let (host, port) = place.split_once(':').expect("host and port");
    let template = fs::read_to_string(from).expect("the file");
    let to = cluster.path(name);
    fs::write(&to, template.replace("BACKEND", &place).replace("HOST", host).replace("PORT", port)).expect("a copy");
    to
}

/// Returns what is named as left, as `LINE: WHAT`.
fn left(output: &std::process::Output) -> Vec<String> {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = |line: &str| {
        let mut parts = line.strip_prefix("left: ")?.splitn(3, ':').skip(1);
        let (number, rest) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(format!("{number}:{rest}"))
    };
    told.lines().filter_map(place).collect()
}

fn assert_left(output: &std::process::Output, wanted: &[&str]) {
    let left = left(output);
    for one in wanted {
        assert!(left.iter().any(|line| line.starts_with(one)), "{one} is not among {left:#?}");
    }
    assert_eq!(left.len(), wanted.len(), "{left:#?}");
}

/// Issues an API key for an application by its name.
fn key_of(cluster: &Cluster, application: &str, server: &str) -> String {
    let told =
        cluster.cli_ok(&["key", "api-key", "issue", application, "--server", server, "--data-dir", "n1", "-o", "json"]);
    text(&serde_json::from_str::<Value>(&told).expect("JSON"), "apikey")
}

async fn call(node: &Node, path: &str, key: Option<&str>) -> harness::http::Reply {
    let headers: Vec<(&str, &str)> = key.map(|key| ("apikey", key)).into_iter().collect();
    node.gateway().send("GET", path, &headers, "").await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_kong_becomes_apis_plans_and_applications_and_the_rest_is_named_with_its_line() {
    let cluster = Cluster::start(1).await;
    let (node, backend) = (&cluster.nodes[0], Backend::start("production").await);
    let path = file(&cluster, "kong.yml", &backend);
    let path = path.to_str().expect("a path");
    let wanted = [
        "22: plugin request-transformer: append",
        "28: route old-orders: path ~/v1/orders/",
        "37: route site: hosts",
        "42: plugin cors: max_age",
        "49: plugin ip-restriction",
        "52: plugin hmac-auth",
        "56: route feed",
        "67: upstream site-upstream: healthchecks",
        "73: keyauth_credentials of consumer phone",
        "78: plugin prometheus",
        "79: plugin acl: protocols",
        "86: file: vaults",
    ];
    // Without a server: what would be made.
    let plan = cluster.cli(&["import", "kong", path, "--dry-run", "-o", "json"]);
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    assert_left(&plan, &wanted);
    let body: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    assert_eq!(body["policies"][0]["name"], "5PerMin", "{body:#}");
    let strict = cluster.cli(&["import", "kong", path, "--strict", "--data-dir", "n1"]);
    assert_eq!(strict.status.code(), Some(1));
    assert_eq!(node.admin().get("/api/am/publisher/v4/apis").await.expect("a list").expect(200).json()["count"], 0);

    let server = node.management_url();
    let arguments = ["import", "kong", path, "--data-dir", "n1", "--server", &server];
    // As after an import that broke off: everything is made, and nothing published or subscribed to.
    let made = cluster.cli(&[&arguments[..], &["--no-publish"]].concat());
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{told}");
    assert!(told.contains("phone is not subscribed to orders, which is not published"), "{told}");
    call(node, "/orders/7", None).await.expect(404);
    let done = cluster.cli(&arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_left(&done, &wanted);

    // At the paths that they had: with the proof they asked for, or open, and what was done to calls is done.
    call(node, "/orders/7", None).await.expect(401);
    let key = key_of(&cluster, "phone", &server);
    let seen = call(node, "/orders/7", Some(&key)).await.expect(200).json();
    assert_eq!((&seen["path"], &seen["headers"]["x-shop"]), (&json!("/7"), &json!("portcullis")), "{seen}");
    assert_eq!(call(node, "/site/a.css", None).await.expect(200).json()["path"], "/static/a.css");
    // A limit of five a minute is five a minute.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(call(node, "/orders/7", Some(&key)).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    // Who is in none of the groups is not subscribed; what would let pass more than before is not published.
    call(node, "/v1/orders/7", Some(&key)).await.expect(403);
    call(node, "/intern", Some(&key)).await.expect(404);

    // Again: nothing is there twice.
    let again = cluster.cli(&arguments);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let list = node.admin().get("/api/am/publisher/v4/apis").await.expect("a list").expect(200).json();
    assert_eq!(list["count"], 4, "{list:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_apisix_becomes_apis_plans_and_applications_and_the_rest_is_named_with_its_line() {
    let cluster = Cluster::start(1).await;
    let (node, backend) = (&cluster.nodes[0], Backend::start("production").await);
    let path = file(&cluster, "apisix.yaml", &backend);
    let server = node.management_url();
    let path = path.to_str().expect("a path");
    let done = cluster.cli(&["import", "apisix", path, "--data-dir", "n1", "--server", &server]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_left(
        &done,
        &[
            "21: upstream of hello: type chash",
            "33: route some: vars",
            "35: route user: uri /users/:id",
            "42: plugin ldap-auth",
            "54: key-auth of consumer phone",
            "58: plugin prometheus",
            "60: file: ssls",
        ],
    );
    call(node, "/orders/7", None).await.expect(401);
    let key = key_of(&cluster, "phone", &server);
    let seen = call(node, "/orders/7", Some(&key)).await.expect(200).json();
    assert_eq!((&seen["path"], &seen["headers"]["x-shop"]), (&json!("/shop/7"), &json!("portcullis")), "{seen}");
    // A route without a star is that path alone.
    let hello = call(node, "/hello", None).await.expect(200);
    assert_eq!((hello.header("x-answered-by"), hello.json()["path"].as_str()), ("gateway", Some("/hello")));
    call(node, "/hello/there", None).await.expect(404);
    // What is asked for by a condition that gateways do not know is not published.
    call(node, "/some/thing", None).await.expect(404);
}
