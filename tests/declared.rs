//! A tenant's set-up in files: applied, compared, exported, applied elsewhere, and what is no longer there taken away.

mod harness;

use std::process::Output;

use harness::backend::Backend;
use harness::http::multipart;
use harness::{Cluster, Node};
use serde_json::{Value, json};

const SHOP: &str = include_str!("declared/shop.yaml");
const SECRETS: [&str; 3] =
    ["KEYMANAGER_STAFF__PASSWORD", "API_ORDERS_1_0_ENDPOINT_SECURITY_PRODUCTION_PASSWORD", OF_EU];

/// Runs a command against a node, with the secrets in its environment.
fn run(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = harness::node::command(&cluster.path("."));
    command.args(arguments).args(["--data-dir", "n1"]).env("PORTCULLIS_USER", "admin");
    command.env("PORTCULLIS_PASSWORD", harness::PASSWORD).env("SHOP_PASSWORD", "s3cret");
    for name in SECRETS {
        command.env(name, "s3cret");
    }
    command.output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn done(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = run(cluster, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    told(&output)
}

fn write(cluster: &Cluster, text: &str) {
    let directory = cluster.path("shop");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("shop.yaml"), text).expect("a file");
    let definition = include_str!("declared/openapi.yaml");
    std::fs::write(directory.join("openapi.yaml"), definition).expect("a file");
}

async fn list(node: &Node, path: &str) -> Vec<Value> {
    let body = node.admin().get(path).await.expect("a list").expect(200).json();
    body["list"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_in_files_is_applied_compared_and_moved() {
    let (cluster, elsewhere) = (Cluster::start(1).await, Cluster::start(1).await);
    let (node, backend) = (&cluster.nodes[0], Backend::start("production").await);
    let shop = SHOP.replace("BACKEND", &backend.url());
    write(&cluster, &shop);

    // What would be done is said, and nothing is done.
    let differs = run(&cluster, &["diff", "-f", "shop"]);
    assert_eq!(differs.status.code(), Some(1), "{}", told(&differs));
    assert!(told(&differs).contains("+ Api orders 1.0: to be made"), "{}", told(&differs));
    assert!(done(&cluster, &["apply", "-f", "shop", "--dry-run"]).contains("nothing was done"));
    assert!(list(node, "/api/am/publisher/v4/apis").await.is_empty());

    let first = done(&cluster, &["apply", "-f", "shop"]);
    assert!(first.contains("passed over") && first.contains("+ Application phone: made"), "{first}");
    // It is in force: deployed and published, with the plan's subscription.
    node.gateway().get("/orders/1.0/menu").await.expect("an answer").expect(401);
    node.gateway().get("/orders/1.0/open").await.expect("an answer").expect(200);
    let seen = list(node, "/api/am/devportal/v3/apis").await;
    assert!(seen.iter().any(|api| api["name"] == "orders"), "{seen:?}");

    // Again: nothing changes, and that is said.
    let again = done(&cluster, &["apply", "-f", "shop"]);
    assert!(again.contains("nothing changed"), "{again}");
    let same = run(&cluster, &["diff", "-f", "shop"]);
    assert_eq!((same.status.code(), String::from_utf8_lossy(&same.stdout).trim()), (Some(0), ""), "{}", told(&same));
    assert!(done(&cluster, &["apply", "-f", "shop", "--send-secrets"]).contains("KeyManager staff: changed"));

    // What is exported is the same elsewhere; so are a policy of one's own that the API applies, and a certificate.
    let specification = "category: Mediation\nname: stamp\nversion: v1\ndisplayName: Stamp\ndescription: Says who\n\
                         policyAttributes: []\napplicableFlows: [response]\nsupportedGateways: [Synapse]\nsupportedApiTypes: [HTTP]\n";
    let definition = "<property name=\"x-stamp\" value=\"shop\" scope=\"transport\"/>";
    let (body, content_type) = multipart(&[
        ("policySpecFile", Some("stamp.yaml"), specification),
        ("synapsePolicyDefinitionFile", Some("stamp.j2"), definition),
    ]);
    let policies = "/api/am/publisher/v4/operation-policies";
    node.admin().send("POST", policies, &[("content-type", &content_type)], body).await.expect("a policy").expect(201);
    let own = rcgen::generate_simple_self_signed(vec!["orders.example".to_owned()]).expect("a certificate").cert.pem();
    let indented = own.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let certificate = format!(
        "---\nkind: EndpointCertificate\nmetadata: {{name: orders}}\nspec:\n  endpoint: https://orders.example\n  certificate: |\n{indented}"
    );
    let shop = shop.replace(
        "  context: /orders\n",
        "  context: /orders\n  apiPolicies: {response: [{policyName: stamp, policyVersion: v1, parameters: {}}]}\n",
    ) + &certificate;
    write(&cluster, &shop);
    let more = done(&cluster, &["apply", "-f", "shop"]);
    assert!(more.contains("apiPolicies") && more.contains("EndpointCertificate orders: made"), "{more}");
    assert!(done(&cluster, &["apply", "-f", "shop"]).contains("nothing changed"));
    let stamped = node.gateway().get("/orders/1.0/open").await.expect("an answer").expect(200);
    assert_eq!(stamped.header("x-stamp"), "shop");
    let exported = run(&cluster, &["export"]);
    assert!(exported.status.success(), "{}", told(&exported));
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert_eq!(text.matches("kind: OperationPolicy").count(), 1, "what comes with the program is exported");
    assert!(!text.contains("s3cret"), "a secret is exported");
    std::fs::write(elsewhere.path("all.yaml"), &text).expect("a file");
    done(&elsewhere, &["apply", "-f", "all.yaml"]);
    let theirs = run(&elsewhere, &["export"]);
    assert_eq!(String::from_utf8_lossy(&theirs.stdout), text, "{}", told(&theirs));
    let again = done(&elsewhere, &["apply", "-f", "all.yaml"]);
    assert!(again.contains("nothing changed"), "{again}");
    let call = elsewhere.nodes[0].gateway().get("/orders/1.0/open").await.expect("an answer").expect(200);
    assert_eq!(call.header("x-stamp"), "shop");

    // A change is found, named, made, and reaches gateways; also where somebody changed it beside the files.
    write(
        &cluster,
        &shop
            .replace("requestCount: 100", "requestCount: 200")
            .replace("context: /orders", "context: /orders\n  description: more"),
    );
    let differs = run(&cluster, &["diff", "-f", "shop", "-o", "json"]);
    assert_eq!(differs.status.code(), Some(1));
    let steps: Value = serde_json::from_slice(&differs.stdout).expect("JSON");
    let paths: Vec<&str> = steps
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["changes"][0]["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(paths, ["defaultLimit.requestCount.requestCount", "description"], "{steps:#}");
    done(&cluster, &["apply", "-f", "shop"]);
    assert!(done(&cluster, &["apply", "-f", "shop"]).contains("nothing changed"));
    let api =
        seen.iter().find(|api| api["name"] == "orders").expect("orders")["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/am/publisher/v4/apis/{api}");
    let mut body = node.admin().get(&path).await.expect("an API").expect(200).json();
    // What the file says is made so again; what it does not say stays, and gets to gateways.
    body["description"] = json!("beside");
    body["tags"] = json!(["beside"]);
    node.admin().json("PUT", &path, &body).await.expect("a change").expect(200);
    let mended = done(&cluster, &["apply", "-f", "shop"]);
    assert!(mended.contains("description: \"beside\" → \"more\"") && !mended.contains("tags"), "{mended}");
    let mut body = node.admin().get(&path).await.expect("an API").expect(200).json();
    assert_eq!(body["tags"], json!(["beside"]));
    assert!(done(&cluster, &["apply", "-f", "shop"]).contains("nothing changed"));
    body["tags"] = json!(["not deployed"]);
    node.admin().json("PUT", &path, &body).await.expect("a change").expect(200);
    assert!(done(&cluster, &["apply", "-f", "shop"]).contains("deployments: \"an earlier state\""));
    assert!(done(&cluster, &["apply", "-f", "shop"]).contains("nothing changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_selected_is_taken_away_and_what_is_wrong_is_told() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let category = |name: &str| format!("kind: Category\nmetadata: {{name: {name}}}\nspec: {{description: d}}\n---\n");
    let file = cluster.path("c.yaml");
    std::fs::write(&file, category("shop-a") + &category("shop-b") + &category("other")).expect("a file");
    done(&cluster, &["apply", "-f", "c.yaml"]);
    std::fs::write(&file, category("shop-a")).expect("a file");
    let prune = ["apply", "-f", "c.yaml", "--prune", "--selector", "name=shop-*"];
    assert!(done(&cluster, &[&prune[..], &["--dry-run"]].concat()).contains("- Category shop-b: to be deleted"));
    assert_eq!(list(node, "/api/am/admin/v4/api-categories").await.len(), 3);
    let pruned = done(&cluster, &prune);
    assert!(pruned.contains("- Category shop-b: deleted") && !pruned.contains("other"), "{pruned}");
    // Kinds that are not in the files are not touched, whatever is selected.
    let pruned = done(&cluster, &["apply", "-f", "c.yaml", "--prune", "--selector", "name=*"]);
    assert!(pruned.contains("- Category other: deleted") && pruned.contains("1 of 2 objects"), "{pruned}");
    let plain = run(&cluster, &["apply", "-f", "c.yaml", "--prune"]);
    assert_eq!(plain.status.code(), Some(2), "{}", told(&plain));

    for (text, what) in [
        ("kind: Nothing\nspec: {}\n", "is no kind"),
        ("kind: [", "c.yaml"),
        (
            "kind: Application\nmetadata: {name: a}\nspec: {throttlingPolicy: Unlimited, subscriptions: [{api: x, version: '1', throttlingPolicy: Gold}]}\n",
            "there is no API x 1",
        ),
        (
            "kind: KeyManager\nmetadata: {name: k}\nspec: {type: custom, issuer: '${env:PORTCULLIS_NOT_SET}'}\n",
            "PORTCULLIS_NOT_SET",
        ),
    ] {
        std::fs::write(&file, text).expect("a file");
        let refused = run(&cluster, &["apply", "-f", "c.yaml"]);
        assert!(!refused.status.success() && told(&refused).contains(what), "{text}: {}", told(&refused));
    }
    let failed = run(&cluster, &["diff", "-f", "nowhere.yaml"]);
    assert_eq!(failed.status.code(), Some(2), "{}", told(&failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_managers_of_all_tenants_are_left_by_exports_and_not_taken_away() {
    let cluster = Cluster::start(1).await;
    let (node, file) = (&cluster.nodes[0], cluster.path("c.yaml"));
    let manager = json!({
        "name": "theirs", "type": "custom", "issuer": "https://theirs.example",
        "introspectionEndpoint": "https://theirs.example/introspect", "enableSelfValidationJWT": false,
        "additionalProperties": {"Username": "portcullis", "Password": "s3cret"},
    });
    let global = "/api/am/admin/v4/global-key-managers";
    node.admin().json("POST", global, &manager).await.expect("a key manager").expect(201);

    let exported = run(&cluster, &["export"]);
    assert!(exported.status.success(), "{}", told(&exported));
    let text = String::from_utf8_lossy(&exported.stdout);
    assert!(!text.contains("kind: KeyManager"), "{text}");

    let staff = "kind: KeyManager\nmetadata: {name: staff}\nspec:\n  type: custom\n  issuer: https://staff.example\n  \
                 introspectionEndpoint: https://staff.example/introspect\n  enableSelfValidationJWT: false\n  \
                 additionalProperties: {Username: portcullis, Password: '${env:SHOP_PASSWORD}'}\n";
    std::fs::write(&file, staff).expect("a file");
    let pruned = done(&cluster, &["apply", "-f", "c.yaml", "--prune", "--selector", "name=*"]);
    assert!(!pruned.contains("- KeyManager"), "{pruned}");
    assert_eq!(list(node, global).await.len(), 1);
}

/// APIs of every type, with definitions in the document and beside it.
const TYPES: &str = r#"
kind: Api
metadata: {name: films, version: "1"}
spec:
  type: GRAPHQL
  context: /films
  policies: [Unlimited]
  endpointConfig: {endpoint_type: http, production_endpoints: {url: "BACKEND"}}
  definitionFile: films.graphql
  complexity: [{type: Film, field: title, complexityValue: 3}]
  deployments: [{name: Default, vhost: localhost, displayOnDevportal: true}]
  lifeCycleStatus: PUBLISHED
---
kind: Api
metadata: {name: menu, version: "1"}
spec:
  type: SOAP
  context: /soap
  policies: [Unlimited]
  endpointConfig: {endpoint_type: http, production_endpoints: {url: "BACKEND"}}
  definition: |
    <wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
      <wsdl:service name="Menu">
        <wsdl:port name="MenuSoap" binding="x"><soap:address location="http://inside.example/menu"/></wsdl:port>
      </wsdl:service>
    </wsdl:definitions>
---
kind: Api
metadata: {name: chat, version: "1"}
spec:
  type: WS
  context: /chat
  policies: [AsyncUnlimited]
  endpointConfig: {endpoint_type: ws, production_endpoints: {url: "ws://inside.example"}}
  definition:
    asyncapi: 2.6.0
    info: {title: chat, version: "1"}
    channels: {"rooms/{room}": {subscribe: {message: {name: said}}, publish: {}}}
---
kind: Api
metadata: {name: ticks, version: "1"}
spec:
  type: SSE
  context: /ticks
  policies: [AsyncUnlimited]
  endpointConfig: {endpoint_type: http, production_endpoints: {url: "http://inside.example"}}
  definition:
    asyncapi: 2.6.0
    info: {title: ticks, version: "1"}
    channels: {prices: {subscribe: {}}}
---
kind: Api
metadata: {name: plain, version: "1"}
spec:
  context: /plain
  endpointConfig: {endpoint_type: http, production_endpoints: {url: "http://127.0.0.1:1"}}
  endpoints:
    - name: eu
      deploymentStage: PRODUCTION
      endpointConfig:
        endpoint_type: http
        production_endpoints: {url: "BACKEND"}
        endpoint_security: {production: {enabled: true, type: BASIC, username: u, password: "${env:SHOP_PASSWORD}"}}
    - name: us
      deploymentStage: PRODUCTION
      endpointConfig: {endpoint_type: http, production_endpoints: {url: "http://127.0.0.1:2"}}
  primaryProductionEndpoint: eu
  operations: [{verb: GET, target: /open, authType: None}]
  deployments: [{name: Default, vhost: localhost, displayOnDevportal: true}]
"#;
const FILMS: &str = "type Query {\n  film(id: ID): Film\n}\ntype Film {\n  title: String\n}\n";
const OF_EU: &str = "API_PLAIN_1_EU_ENDPOINT_SECURITY_PRODUCTION_PASSWORD";

#[tokio::test(flavor = "multi_thread")]
async fn apis_of_every_type_and_named_endpoints_are_in_files() {
    let (cluster, elsewhere) = (Cluster::start(1).await, Cluster::start(1).await);
    let backend = Backend::start("production").await;
    let types = TYPES.replace("BACKEND", &backend.url());
    std::fs::write(cluster.path("types.yaml"), &types).expect("a file");
    std::fs::write(cluster.path("films.graphql"), FILMS).expect("a file");
    let made = done(&cluster, &["apply", "-f", "types.yaml"]);
    assert_eq!(made.matches(": made").count(), 5, "{made}");
    let again = done(&cluster, &["apply", "-f", "types.yaml"]);
    assert!(again.contains("nothing changed"), "{again}");
    // Calls go to the endpoint that the file chose, with its password.
    let gateway = cluster.nodes[0].gateway();
    let answer = gateway.get("/plain/1/open").await.expect("an answer").expect(200).json();
    assert_eq!(answer["headers"]["authorization"], "Basic dTpzM2NyZXQ=", "{answer}");
    gateway.get("/films/1").await.expect("an answer").expect(401);

    // The same elsewhere, and exported the same from there.
    let exported = run(&cluster, &["export", "--kind", "Api"]);
    assert!(exported.status.success(), "{}", told(&exported));
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert!(!text.contains("s3cret") && text.contains(OF_EU) && !text.contains("EndpointId"), "{text}");
    std::fs::write(elsewhere.path("all.yaml"), &text).expect("a file");
    done(&elsewhere, &["apply", "-f", "all.yaml"]);
    let theirs = run(&elsewhere, &["export", "--kind", "Api"]);
    assert_eq!(String::from_utf8_lossy(&theirs.stdout), text, "{}", told(&theirs));
    assert!(done(&elsewhere, &["apply", "-f", "all.yaml"]).contains("nothing changed"));
    let answer = elsewhere.nodes[0].gateway().get("/plain/1/open").await.expect("an answer").expect(200).json();
    assert_eq!(answer["headers"]["authorization"], "Basic dTpzM2NyZXQ=", "{answer}");

    // Changes of definitions, costs and endpoints are found and reach gateways; an endpoint that is gone is deleted.
    std::fs::write(cluster.path("films.graphql"), FILMS.replace("title: String", "title: String\n  year: Int"))
        .expect("a file");
    let mut changed = types.replace("complexityValue: 3", "complexityValue: 4").replace("said", "spoken");
    let eu = changed.find("    - name: eu").expect("eu")..changed.find("    - name: us").expect("us");
    changed.replace_range(eu, "");
    let changed = changed.replace("primaryProductionEndpoint: eu", "primaryProductionEndpoint: us");
    let changed = changed
        .replace("http://127.0.0.1:2", &backend.url())
        .replace("http://inside.example/menu", "http://other.example/menu");
    std::fs::write(cluster.path("types.yaml"), &changed).expect("a file");
    let told = done(&cluster, &["apply", "-f", "types.yaml"]);
    for part in
        ["definition:", "complexity[0].complexityValue", "spoken", "endpoints[eu]", "primaryProductionEndpoint:"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let again = done(&cluster, &["apply", "-f", "types.yaml"]);
    assert!(again.contains("nothing changed"), "{again}");
    let answer = gateway.get("/plain/1/open").await.expect("an answer").expect(200).json();
    assert_eq!(answer["headers"]["authorization"], Value::Null, "{answer}");

    // What cannot be is told.
    for (text, what) in [
        (
            "kind: Api\nmetadata: {name: a, version: '1'}\nspec: {context: /a, primaryProductionEndpoint: gone}\n",
            "no endpoint gone",
        ),
        (
            "kind: Api\nmetadata: {name: a2, version: '1'}\nspec: {type: WS, context: /a2, definition: words}\n",
            "must be a map",
        ),
        ("kind: Api\nmetadata: {name: chat, version: '1'}\nspec: {type: SSE}\n", "type"),
    ] {
        std::fs::write(cluster.path("wrong.yaml"), text).expect("a file");
        let refused = run(&cluster, &["apply", "-f", "wrong.yaml"]);
        assert!(!refused.status.success() && self::told(&refused).contains(what), "{text}: {}", self::told(&refused));
    }
}
