//! Bad input: each a clear error with the right status or exit code, nothing changed, no panic.

mod harness;

use std::io::{Read as _, Write as _};

use harness::Cluster;
use harness::backend::Backend;
use harness::http::multipart;
use harness::journey::{self, Wish, definition};
use serde_json::{Value, json};

const APIS: &str = "/api/am/publisher/v4/apis";

fn api(name: &str) -> Value {
    json!({
        "name": name, "context": format!("/{name}"), "version": "1.0.0", "policies": ["Gold"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:9"}},
        "operations": [{"target": "/*", "verb": "GET"}],
    })
}

/// The body of an error says what, in the original's form.
#[track_caller]
fn assert_explained(body: &Value) {
    assert!(body["code"].is_number() || body["code"].is_string(), "{body}");
    let words = format!("{} {}", body["message"], body["description"]);
    assert!(words.len() > 20, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_management_requests_are_explained_and_change_nothing() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    admin.json("POST", APIS, &api("taken")).await.expect("create").expect(201);
    let with = |field: &str, value: Value| {
        let mut api = api("fresh");
        api[field] = value;
        api
    };
    let cases = [
        ("unknown plan", with("policies", json!(["Platinum"])), 400),
        ("name too long", with("name", json!("x".repeat(61))), 400),
        ("context too long", with("context", json!(format!("/{}", "x".repeat(300)))), 400),
        ("version too long", with("version", json!("1".repeat(31))), 400),
        ("wrong type", with("name", json!(7)), 400),
        ("wrong type inside", with("operations", json!([{"target": 7, "verb": "GET"}])), 400),
        ("unknown verb", with("operations", json!([{"target": "/", "verb": "FETCH"}])), 400),
        (
            "bad endpoint",
            with("endpointConfig", json!({"endpoint_type": "http", "production_endpoints": {"url": "not a url"}})),
            400,
        ),
        ("duplicate name", with("name", json!("taken")), 409),
        ("duplicate context", with("context", json!("/taken")), 409),
    ];
    for (what, body, status) in cases {
        let reply = admin.json("POST", APIS, &body).await.expect("an answer");
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_explained(&reply.json());
    }
    let json_type = [("content-type", "application/json")];
    let broken = admin.send("POST", APIS, &json_type, "{\"name\": ").await.expect("an answer").expect(400);
    assert_explained(&broken.json());
    let huge = admin.send("POST", APIS, &json_type, vec![b' '; 13 << 20]).await;
    assert!(huge.is_err() || huge.as_ref().is_ok_and(|reply| reply.status == 413), "{huge:?}");
    admin.send("POST", APIS, &[("content-type", "text/plain")], "hello").await.expect("an answer").expect(415);
    admin.get(&format!("{APIS}/no-such-id")).await.expect("an answer").expect(404);
    admin.get("/no/such/page").await.expect("an answer").expect(404);
    node.anonymous().with_basic("admin", "wrong").get(APIS).await.expect("an answer").expect(401);
    let listed = admin.get(APIS).await.expect("list").expect(200).json();
    assert_eq!(listed["count"], 1, "nothing but the first API was made: {listed}");
    node.assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_definitions_are_explained_and_change_nothing() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let good = json!({"name": "pizza", "context": "/pizza", "version": "1.0.0", "policies": ["Gold"]}).to_string();
    let documents = [
        ("not YAML", "openapi: [3.0.3".to_owned()),
        ("not OpenAPI", "title: a poem\n".to_owned()),
        ("empty", String::new()),
        ("paths of the wrong type", "openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths: 7\n".to_owned()),
        ("unknown version", "openapi: 9.0.0\ninfo: {title: a, version: '1'}\npaths: {}\n".to_owned()),
        ("binary", "\u{0}\u{1}\u{2}".to_owned()),
    ];
    for (what, document) in documents {
        let (body, kind) = multipart(&[("file", Some("api.yaml"), &document), ("additionalProperties", None, &good)]);
        let path = format!("{APIS}/import-openapi");
        let reply = admin.send("POST", &path, &[("content-type", &kind)], body).await.expect("an answer");
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
        assert_explained(&reply.json());
    }
    let (body, kind) =
        multipart(&[("file", Some("api.yaml"), &definition("pizza")), ("additionalProperties", None, "{")]);
    let reply = admin.send("POST", &format!("{APIS}/import-openapi"), &[("content-type", &kind)], body).await;
    assert_explained(&reply.expect("an answer").expect(400).json());
    assert_eq!(admin.get(APIS).await.expect("list").expect(200).json()["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_and_smuggled_requests_reach_no_backend() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let token = journey::token(node, &published).await;
    let head = format!("POST {}/order HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n", published.path);
    let requests = [
        format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}Content-Length: -1\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{head}Bad Header: x\r\n\r\n"),
        "\u{16}\u{3}\u{1} not http\r\n\r\n".to_owned(),
    ];
    let address = std::net::SocketAddr::from((node.address, 8280));
    for request in requests {
        let mut stream = std::net::TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(harness::PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("write");
        let mut answer = Vec::new();
        // The gateway answers 400, or closes without a word; both are right, a 200 is not.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request:?} got {answer}");
    }
    drop(std::net::TcpStream::connect(address).and_then(|mut stream| stream.write_all(b"GET /pizza/1.0.0/me")));
    assert_eq!(backend.count(), 0);
    node.gateway().with_bearer(&token).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_command_lines_and_settings_are_explained() {
    let mut cluster = Cluster::empty();
    let address = cluster.address(1).to_string();
    cluster.bootstrap().await;
    let fails = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = cluster.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
    };
    fails(&["cluster", "bootstrap", "--data-dir", "n1", "--bind", &address], 5, &["n1", "try"]);
    fails(&["server", "--data-dir", "n1"], 5, &["in use", "try"]);
    fails(&["server", "--data-dir", "nowhere"], 3, &["nowhere", "bootstrap"]);
    fails(&["cluster", "join", "--data-dir", "n9", "--bind", "127.0.0.9", "--token", "nonsense"], 1, &["token"]);
    fails(&["cluster", "statsu"], 2, &["status"]);
    let server = cluster.nodes[0].management_url();
    let wrong = cluster.cli(&["cluster", "status", "--server", "https://127.255.255.1:9443", "--data-dir", "n1"]);
    assert_eq!(wrong.status.code(), Some(6), "{}", String::from_utf8_lossy(&wrong.stderr));

    let token = cluster.join_token();
    let used = ["cluster", "join", "--data-dir", "n2", "--bind", "127.0.0.250", "--token", &token];
    cluster.cli_ok(&used);
    fails(&["cluster", "join", "--data-dir", "n3", "--bind", "127.0.0.251", "--token", &token], 4, &["token"]);
    assert!(!cluster.path("n3/identity.json").exists(), "a refused join leaves no identity behind");

    std::fs::create_dir(cluster.path("n4")).expect("a directory");
    std::fs::write(cluster.path("n1/node.toml.bak"), "").expect("a file");
    let settings = cluster.path("n1/node.toml");
    let good = std::fs::read_to_string(&settings).expect("node.toml");
    std::fs::write(&settings, format!("{good}\n[gatway]\nhttp_port = 1\n")).expect("node.toml");
    fails(&["config", "check", "--data-dir", "n1"], 1, &["gatway", "gateway"]);
    fails(&["config", "show", "--data-dir", "n9"], 3, &["no directory", "n9"]);
    std::fs::write(&settings, good).expect("node.toml");
    cluster.cli_ok(&["cluster", "status", "--server", &server, "--data-dir", "n1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let cluster = Cluster::empty();
    let address = cluster.address(1).to_string();
    let password_file = cluster.password_file();
    let password_file = password_file.to_str().expect("UTF-8 path");
    cluster.cli_ok(&[
        "cluster",
        "bootstrap",
        "--data-dir",
        "n1",
        "--bind",
        &address,
        "--admin-password-file",
        password_file,
    ]);
    let _taken = std::net::TcpListener::bind((cluster.address(1), 8280)).expect("the port is free");
    let output = cluster.cli(&["server", "--data-dir", "n1"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("8280") && said.contains("in use"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_not_let_in() {
    let one = Cluster::start(1).await;
    let mut other = Cluster::empty();
    other.bootstrap().await;
    // The other cluster's certificate does not open the first one's cluster port.
    let stranger = harness::Client::secure(
        &format!("https://{}:7443", one.nodes[0].address),
        &other.nodes[0].data_dir.join("tls/ca.pem"),
    );
    assert!(stranger.connect().await.is_err());
    let token = one.join_token();
    let mixed = other.join_token();
    assert_ne!(token, mixed);
    one.nodes[0].assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_authority_than_the_saved_one_is_refused_until_it_is_forgotten() {
    let mut cluster = Cluster::empty();
    cluster.bootstrap().await;
    let server = cluster.nodes[0].management_url();
    cluster.cli_ok(&["login", "--server", &server]);
    cluster.cli_ok(&["cluster", "status"]);

    // The cluster was made anew at the same address: the context holds the authority of the one before.
    let file = cluster.path(".config/portcullis/contexts.toml");
    let saved = std::fs::read_to_string(&file).expect("contexts.toml");
    let pinned =
        saved.split("ca_fingerprint = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a fingerprint");
    std::fs::write(&file, saved.replace(pinned, &"0".repeat(64))).expect("contexts.toml");
    let refused = cluster.cli(&["cluster", "status"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(6), "{said}");
    assert!(said.contains("is not the server it was") && said.contains("--forget"), "{said}");

    cluster.cli_ok(&["login", "--server", &server, "--forget"]);
    cluster.cli_ok(&["cluster", "status"]);

    let refused = cluster.cli(&["cluster", "status", "--ca-file", "nowhere.pem"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("nowhere.pem") && said.contains("No such file"), "{said}");
}
