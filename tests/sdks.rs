//! Clients that the Store writes are run against a gateway, where their languages are there.

mod harness;

use std::path::Path;
use std::process::Command;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use serde_json::{Value, json};

const STORE: &str = "/api/am/devportal/v3";
const PYTHON: &str = r#"
import json, sys
sys.path.insert(0, sys.argv[1])
from pizza_client import Client, ApiError
client = Client(base_url=sys.argv[2], access_token=sys.argv[3])
seen = [client.get_menu(), client.post_order(body={"pizza": "Margherita"}), client.get_order_order_id("a b&c")]
try:
    Client(base_url=sys.argv[2], access_token="wrong").get_menu()
except ApiError as error:
    seen.append(error.status)
print(json.dumps(seen))
"#;
const JAVASCRIPT: &str = r#"
const [, , module, address, token] = process.argv;
const { Client, ApiError } = await import(module);
const client = new Client({ baseUrl: address, accessToken: token });
const seen = [await client.getMenu(), await client.postOrder({ body: { pizza: "Margherita" } }), await client.getOrderOrderId("a b&c")];
try {
  await new Client({ baseUrl: address, accessToken: "wrong" }).getMenu();
} catch (error) {
  if (error instanceof ApiError) seen.push(error.status);
}
console.log(JSON.stringify(seen));
"#;

/// Runs a program and returns what it printed, read as JSON; `None` where there is no such program.
fn run(program: &str, arguments: &[&str]) -> Option<Value> {
    let output = Command::new(program).args(arguments).output().ok()?;
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn check(language: &str, seen: &Value) {
    let of = |number: usize, name: &str| seen[number][name].clone();
    assert_eq!((of(0, "method"), of(0, "path")), (json!("GET"), json!("/menu")), "{language}: {seen}");
    assert_eq!((of(1, "method"), of(1, "path")), (json!("POST"), json!("/order")), "{language}: {seen}");
    assert_eq!(seen[1]["headers"]["content-type"], "application/json", "{language}: {seen}");
    assert!(seen[1]["bytes"].as_u64() > Some(20), "{language}: {seen}");
    assert_eq!(of(2, "path"), "/order/a%20b%26c", "{language}: {seen}");
    assert_eq!(seen[3], 401, "{language}: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_call_the_api_that_they_were_written_of() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let api = journey::publish(node, &Wish::new("pizza", &url)).await;
    let path = format!("/api/am/publisher/v4/apis/{api}/swagger");
    let mut document = admin.get(&path).await.expect("definition").expect(200).json();
    document["paths"]["/order"]["post"]["requestBody"] = json!({"content": {"application/json": {}}});
    let (form, kind) = harness::http::multipart(&[("apiDefinition", None, &document.to_string())]);
    admin.send("PUT", &path, &[("content-type", &kind)], form).await.expect("definition").expect(200);
    let published = journey::subscribe(node, &Wish::new("pizza", &url), api.clone()).await;
    let token = journey::token(node, &published).await;
    let address = format!("{}/pizza/1.0.0", node.gateway().base().trim_end_matches('/'));

    let listed = admin.get(&format!("{STORE}/sdk-gen/languages")).await.expect("languages").expect(200).json();
    let languages: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(languages, ["javascript", "python"]);
    let unknown = admin.get(&format!("{STORE}/apis/{api}/sdks/cobol")).await.expect("sdk").expect(400).text();
    assert!(unknown.contains("python"), "{unknown}");
    for language in languages {
        let sdk = admin.get(&format!("{STORE}/apis/{api}/sdks/{language}")).await.expect("sdk").expect(200);
        assert_eq!(sdk.header("content-type"), "application/zip");
        let (archive, folder) = (cluster.path(&format!("{language}.zip")), cluster.path(language));
        std::fs::write(&archive, &sdk.body).expect("the archive");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let unpack = ["-m", "zipfile", "-e", &text(&archive), &text(&folder)];
        if run("python3", &unpack).is_none() {
            eprintln!("python3 is not there: clients were not run");
            return;
        }
        let package = folder.join("pizza-client");
        let seen = if language == "python" {
            let script = cluster.path("call.py");
            std::fs::write(&script, PYTHON).expect("the script");
            run("python3", &[&text(&script), &text(&package), &address, &token])
        } else {
            let script = cluster.path("call.mjs");
            std::fs::write(&script, JAVASCRIPT).expect("the script");
            run("node", &[&text(&script), &text(&package.join("index.js")), &address, &token])
        };
        match seen {
            Some(seen) => check(language, &seen),
            None => eprintln!("there is nothing to run {language} with: its client was not run"),
        }
    }
}
