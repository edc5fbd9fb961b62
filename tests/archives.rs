//! Archives of APIs: out of one cluster and into another, by the command line and by REST, with all that belongs to them.

mod harness;

use harness::archive::zip;
use harness::backend::Backend;
use harness::http::{Reply, archive_form, multipart};
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const PUBLISHER: &str = "/api/am/publisher/v4";

async fn find(admin: &Client, name: &str) -> Value {
    let found = admin.get(&format!("{PUBLISHER}/apis?query=name:{name}")).await.expect("find").expect(200).json();
    found["list"][0].clone()
}

/// A pizza API with a policy on one operation and a document, published.
async fn pizza(cluster: &Cluster, url: &str) -> String {
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let api = journey::publish(node, &Wish::new("pizza", url)).await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    body["tags"] = json!(["food"]);
    body["operations"][0]["operationPolicies"] = json!({"request": [{
        "policyName": "addHeader", "policyVersion": "v1", "parameters": {"headerName": "x-oven", "headerValue": "hot"},
    }]});
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    let document = json!({"name": "Guide", "type": "HOWTO", "sourceType": "MARKDOWN", "visibility": "API_LEVEL"});
    let made = admin.json("POST", &format!("{path}/documents"), &document).await.expect("document").expect(201).json();
    let (form, content_type) = multipart(&[("inlineContent", None, "# Baking")]);
    let content = format!("{path}/documents/{}/content", text(&made, "documentId"));
    admin.send("POST", &content, &[("content-type", &content_type)], form).await.expect("content").expect(200);
    let certificate =
        rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate").cert.pem();
    for (path, alias, more, status) in [
        (format!("{path}/client-certs/SANDBOX"), "ann", ("tier", None, "Unlimited"), 200),
        (format!("{PUBLISHER}/endpoint-certificates"), "oven", ("endpoint", None, url), 200),
    ] {
        let parts = [("certificate", Some("a.crt"), certificate.as_str()), ("alias", None, alias), more];
        let (form, content_type) = multipart(&parts);
        admin.send("POST", &path, &[("content-type", &content_type)], form).await.expect("certificate").expect(status);
    }
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_moves_from_one_cluster_to_another_with_all_that_belongs_to_it() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let backend = Backend::start("production").await;
    let url = backend.url();
    pizza(&old, &url).await;
    let archive = new.path("pizza.zip");
    let file = archive.to_str().expect("UTF-8");
    let server = old.nodes[0].management_url();
    old.cli_ok(&["api", "export", "pizza", "1.0.0", "--file", file, "--server", &server, "--data-dir", "n1"]);

    let server = new.nodes[0].management_url();
    let to = ["--server", server.as_str(), "--data-dir", "n1"];
    let admin = new.nodes[0].admin();
    new.cli_ok(&[&["import", "wso2", file, "--dry-run"][..], &to].concat());
    assert!(find(&admin, "pizza").await.is_null(), "a dry run changes nothing");
    new.cli_ok(&[&["import", "wso2", file][..], &to].concat());
    let api = find(&admin, "pizza").await;
    assert_eq!((&api["lifeCycleStatus"], &api["provider"]), (&json!("PUBLISHED"), &json!("admin")));
    let path = format!("{PUBLISHER}/apis/{}", text(&api, "id"));
    let body = admin.get(&path).await.expect("api").expect(200).json();
    assert_eq!((&body["tags"], &body["context"]), (&json!(["food"]), &json!("/pizza")));
    let documents = admin.get(&format!("{path}/documents")).await.expect("documents").expect(200).json();
    let content = format!("{path}/documents/{}/content", text(&documents["list"][0], "documentId"));
    assert_eq!(admin.get(&content).await.expect("content").expect(200).text(), "# Baking");
    for (path, alias) in
        [(format!("{path}/client-certs/SANDBOX"), "ann"), (format!("{PUBLISHER}/endpoint-certificates"), "oven")]
    {
        let all = admin.get(&path).await.expect("certificates").expect(200).json();
        assert_eq!((&all["count"], &all["certificates"][0]["alias"]), (&json!(1), &json!(alias)), "{all}");
    }
    let wish = Wish::new("pizza", &url);
    let subscribed = journey::subscribe(&new.nodes[0], &wish, text(&api, "id")).await;
    let token = journey::token(&new.nodes[0], &subscribed).await;
    let menu = new.nodes[0].gateway().with_bearer(&token).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
    assert_eq!(menu.json()["headers"]["x-oven"], "hot", "{}", menu.text());

    // The same again is refused, or changes what is there.
    let twice = new.cli(&[&["api", "import", file][..], &to].concat());
    assert_eq!(twice.status.code(), Some(5), "{}", String::from_utf8_lossy(&twice.stderr));
    for _ in 0..5 {
        new.cli_ok(&[&["api", "import", file, "--update", "--rotate-revision"][..], &to].concat());
    }
    let revisions = admin.get(&format!("{path}/revisions")).await.expect("revisions").expect(200).json();
    assert_eq!((&revisions["count"], &revisions["list"][4]["id"].is_string()), (&json!(5), &true));
    let full = new.cli(&[&["api", "import", file, "--update"][..], &to].concat());
    assert!(!full.status.success(), "a sixth revision was made");
    new.nodes[0].gateway().with_bearer(&token).get("/pizza/1.0.0/menu").await.expect("call").expect(200);
}

async fn import(admin: &Client, path: &str, bytes: &[u8]) -> Reply {
    let (form, content_type) = archive_form(bytes);
    let kind = [("content-type", content_type)];
    admin.send("POST", &format!("{PUBLISHER}{path}"), &kind, form).await.expect("import")
}

const SPECIFICATION: &str = "category: Mediation\nname: stamp\nversion: v2\ndisplayName: Stamp\npolicyAttributes:\n- name: who\n  required: true\n  type: String\napplicableFlows:\n- response\nsupportedGateways:\n- Synapse\nsupportedApiTypes:\n- HTTP\n";
const DEFINITION: &str = "<property name=\"x-stamp\" value=\"{{ who }}\" scope=\"transport\"/>";

/// An API with a policy of its own on every answer, and a named endpoint that it chose; in a product.
async fn meal(cluster: &Cluster, url: &str, other: &str) {
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let api = journey::publish(node, &Wish::new("pizza", url)).await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let (form, kind) = multipart(&[
        ("policySpecFile", Some("stamp.yaml"), SPECIFICATION),
        ("synapsePolicyDefinitionFile", Some("stamp.j2"), DEFINITION),
    ]);
    let policies = format!("{path}/operation-policies");
    admin.send("POST", &policies, &[("content-type", &kind)], form).await.expect("policy").expect(201);
    let endpoint = json!({"name": "eu", "deploymentStage": "PRODUCTION", "endpointConfig": {
        "endpoint_type": "http", "production_endpoints": {"url": other},
    }});
    let made = admin.json("POST", &format!("{path}/endpoints"), &endpoint).await.expect("endpoint").expect(201);
    let mut body = admin.get(&path).await.expect("api").expect(200).json();
    let stamp = json!({"policyName": "stamp", "policyVersion": "v2", "parameters": {"who": "cyd"}});
    body["apiPolicies"] = json!({"response": [stamp]});
    body["primaryProductionEndpointId"] = made.json()["id"].clone();
    admin.json("PUT", &path, &body).await.expect("update").expect(200);
    journey::deploy(&admin, &api).await;
    let product = json!({
        "name": "meal", "context": "/meal", "policies": ["Unlimited"],
        "apis": [{"apiId": api, "operations": [{"verb": "GET", "target": "/menu"}]}],
    });
    let product = admin.json("POST", &format!("{PUBLISHER}/api-products"), &product).await.expect("product");
    let path = format!("{PUBLISHER}/api-products/{}", text(&product.expect(201).json(), "id"));
    let revision = admin.json("POST", &format!("{path}/revisions"), &json!({})).await.expect("revision").expect(201);
    let deploy = format!("{path}/deploy-revision?revisionId={}", text(&revision.json(), "id"));
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    admin.json("POST", &deploy, &places).await.expect("deploy").expect(200);
    let publish = format!(
        "{PUBLISHER}/api-products/change-lifecycle?action=Publish&apiProductId={}",
        path.rsplit('/').next().unwrap_or_default()
    );
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_moves_with_its_apis_their_policies_and_their_endpoints() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let (usual, other) = (Backend::start("usual").await, Backend::start("other").await);
    meal(&old, &usual.url(), &other.url()).await;
    let path = format!("{PUBLISHER}/api-products/export?name=meal&version=1.0.0");
    let archive = old.nodes[0].admin().get(&path).await.expect("export").expect(200);
    assert_eq!(archive.header("content-type"), "application/zip");

    let (node, admin) = (&new.nodes[0], new.nodes[0].admin());
    let missing = import(&admin, "/api-products/import", &archive.body).await.expect(404).text();
    assert!(missing.contains("pizza:1.0.0"), "{missing}");
    // A product that is refused leaves none of its APIs: not where its context is taken, nor where its plan is missing.
    let api = json!({"name": "other", "version": "1.0.0", "context": "/meal"});
    let taken = admin.json("POST", &format!("{PUBLISHER}/apis"), &api).await.expect("another").expect(201).json();
    let refused = import(&admin, "/api-products/import?importAPIs=true", &archive.body).await.expect(409).text();
    assert!(refused.contains("/meal"), "{refused}");
    let path = format!("{PUBLISHER}/apis/{}", text(&taken, "id"));
    admin.send("DELETE", &path, &[], "").await.expect("delete").expect(200);
    let apis = async || admin.get(&format!("{PUBLISHER}/apis")).await.expect("apis").expect(200).json();
    assert_eq!(apis().await["count"], 0);
    let old_admin = old.nodes[0].admin();
    let count = json!({"timeUnit": "min", "unitTime": 1, "requestCount": 5});
    let plan = json!({
        "policyName": "Meals", "displayName": "Meals", "description": "five a minute",
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": count},
        "stopOnQuotaReach": true, "billingPlan": "FREE", "customAttributes": [],
    });
    let plans = "/api/am/admin/v4/throttling/policies/subscription";
    old_admin.json("POST", plans, &plan).await.expect("plan").expect(201);
    let found = old_admin.get(&format!("{PUBLISHER}/api-products?query=name:meal")).await.expect("find").expect(200);
    let product = format!("{PUBLISHER}/api-products/{}", text(&found.json()["list"][0], "id"));
    let mut body = old_admin.get(&product).await.expect("product").expect(200).json();
    body["policies"] = json!(["Meals"]);
    old_admin.json("PUT", &product, &body).await.expect("update").expect(200);
    let export = format!("{PUBLISHER}/api-products/export?name=meal&version=1.0.0");
    let unknown = old_admin.get(&export).await.expect("export").expect(200);
    let refused = import(&admin, "/api-products/import?importAPIs=true", &unknown.body).await;
    assert!(refused.status >= 400 && refused.text().contains("Meals"), "{}: {}", refused.status, refused.text());
    assert_eq!(apis().await["count"], 0, "an API of a refused product is left");
    import(&admin, "/api-products/import?importAPIs=true", &archive.body).await.expect(200);
    let found = admin.get(&format!("{PUBLISHER}/api-products?query=name:meal")).await.expect("find").expect(200).json();
    assert_eq!((&found["count"], &found["list"][0]["state"]), (&json!(1), &json!("PUBLISHED")));
    let api = text(&find(&admin, "pizza").await, "id");
    let endpoints =
        admin.get(&format!("{PUBLISHER}/apis/{api}/endpoints")).await.expect("endpoints").expect(200).json();
    assert_eq!((&endpoints["count"], &endpoints["list"][0]["name"]), (&json!(1), &json!("eu")));
    let policies = format!("{PUBLISHER}/apis/{api}/operation-policies?query=name:stamp");
    assert_eq!(admin.get(&policies).await.expect("policies").expect(200).json()["count"], 1);

    let url = usual.url();
    let product = text(&found["list"][0], "id");
    let subscribed = journey::subscribe(node, &Wish::new("meal", &url), product).await;
    let token = journey::token(node, &subscribed).await;
    let menu = node.gateway().with_bearer(&token).get("/meal/1.0.0/menu").await.expect("call").expect(200);
    assert_eq!((menu.header("x-stamp"), menu.header("x-backend")), ("cyd", "other"));

    import(&admin, "/api-products/import", &archive.body).await.expect(409);
    let again = "/api-products/import?overwriteAPIProduct=true&overwriteAPIs=true&rotateRevision=true";
    import(&admin, again, &archive.body).await.expect(200);
    node.gateway().with_bearer(&token).get("/meal/1.0.0/menu").await.expect("call").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_apis_products_and_applications_come_in_by_one_command_in_any_order() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let (usual, other) = (Backend::start("usual").await, Backend::start("other").await);
    meal(&old, &usual.url(), &other.url()).await;
    let (url, admin) = (usual.url(), old.nodes[0].admin());
    journey::publish(&old.nodes[0], &Wish::new("pasta", &url)).await;
    let found = admin.get(&format!("{PUBLISHER}/api-products?query=name:meal")).await.expect("find").expect(200);
    let product = text(&found.json()["list"][0], "id");
    let subscribed = journey::subscribe(&old.nodes[0], &Wish::new("meal", &url), product).await;
    for (name, path) in [
        ("application", "/api/am/devportal/v3/applications/export?appName=meal%20app&appOwner=admin&withKeys=true"),
        ("product", "/api/am/publisher/v4/api-products/export?name=meal&version=1.0.0&format=JSON"),
        ("api", "/api/am/publisher/v4/apis/export?name=pasta&version=1.0.0"),
    ] {
        let archive = admin.get(path).await.expect("export").expect(200);
        std::fs::write(new.path(&format!("{name}.zip")), &archive.body).expect("a file");
    }
    std::fs::write(new.path("broken.zip"), "hello").expect("a file");

    let (node, server) = (&new.nodes[0], new.nodes[0].management_url());
    let import = |words: &[&str]| {
        let to = ["-o", "json", "--server", server.as_str(), "--data-dir", "n1"];
        let output = new.cli(&[&["import", "wso2"][..], words, &to].concat());
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let rows = told.as_array().expect("a list").iter();
        let rows: Vec<(String, String)> = rows.map(|row| (text(row, "kind"), text(row, "outcome"))).collect();
        (output.status.code(), rows, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let pair = |kind: &str, outcome: &str| (kind.to_owned(), outcome.to_owned());
    let files = ["application.zip", "product.zip", "broken.zip", "api.zip"];
    let (code, rows, told) = import(&[&files[..], &["--dry-run"]].concat());
    let all = |outcome: &str| {
        let kinds = ["API", "API product", "application"].map(|kind| pair(kind, outcome));
        [vec![pair("unknown", "refused")], kinds.to_vec()].concat()
    };
    assert_eq!((code, &rows), (Some(1), &all("readable")), "{told}");
    assert!(find(&node.admin(), "pasta").await.is_null(), "a dry run changes nothing");
    let (code, rows, told) = import(&files);
    assert_eq!((code, &rows), (Some(1), &all("imported")), "{told}");
    assert!(told.contains("1 of 4 archives") && told.contains("broken.zip"), "{told}");

    // The application's keys of the old cluster are good, and it may call what it could there.
    let token = journey::token(node, &subscribed).await;
    let menu = node.gateway().with_bearer(&token).get("/meal/1.0.0/menu").await.expect("call").expect(200);
    assert_eq!(menu.header("x-stamp"), "cyd");
    assert!(find(&node.admin(), "pizza").await.is_object(), "the product brought its API along");
    assert!(find(&node.admin(), "pasta").await.is_object());

    // What is there is refused, each by itself, or changed where that is wanted.
    let (code, rows, told) = import(&files[..2]);
    assert_eq!(
        (code, &rows),
        (Some(5), &vec![pair("API product", "refused"), pair("application", "refused")]),
        "{told}"
    );
    let words = ["product.zip", "application.zip", "--update", "--update-apis", "--rotate-revision"];
    let (code, rows, told) = import(&words);
    assert_eq!((code, rows.len()), (Some(0), 2), "{told}");
    assert!(rows.iter().all(|(_, outcome)| outcome == "imported"), "{rows:?}");
    node.gateway().with_bearer(&token).get("/meal/1.0.0/menu").await.expect("call").expect(200);
    let (code, rows, told) = import(&["application.zip", "--owner", "nobody"]);
    assert_eq!((code, &rows), (Some(3), &vec![pair("application", "refused")]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused_with_its_reason_and_leaves_nothing() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let api = pizza(&cluster, &backend.url()).await;
    let admin = cluster.nodes[0].admin();
    let import = async |bytes: &[u8]| import(&admin, "/apis/import", bytes).await;
    assert!(import(b"hello").await.expect(400).text().contains("not a zip file"));
    let export = format!("{PUBLISHER}/apis/export?apiId={api}&format=JSON");
    let exported = admin.get(&export).await.expect("export").expect(200);
    assert_eq!(exported.header("content-type"), "application/zip");
    assert!(import(&exported.body).await.expect(409).text().contains("already exists"));
    let mut damaged = exported.body.to_vec();
    damaged[100] ^= 0xff;
    import(&damaged).await.expect(400);
    admin.send("DELETE", &format!("{PUBLISHER}/apis/{api}"), &[], "").await.expect("delete").expect(200);
    assert_eq!(import(&exported.body).await.expect(200).text(), "API Imported Successfully");
    assert_eq!(find(&admin, "pizza").await["lifeCycleStatus"], "PUBLISHED");
    admin.get(&format!("{PUBLISHER}/apis/export?name=none&version=1")).await.expect("none").expect(404);
    let server: &[u8] = b"data: {name: tools, version: 1.0.0, context: /tools}";
    for (name, data, why) in [
        ("tools/mcp_server.yaml", server, "MCP servers are not carried"),
        (
            "tools/api.yaml",
            b"data: {name: tools, version: '1', context: /tools, type: MCP}",
            "MCP servers are not carried",
        ),
        (
            "tools/api.yaml",
            b"data: {name: tools, version: '1', context: /tools, mediationPolicies: [{name: regex_policy, type: in}]}",
            "regex_policy",
        ),
    ] {
        let refused = import(&zip(&[(name, data)])).await.expect(400).text();
        assert!(refused.contains(why), "{refused}");
    }
    let sequences =
        b"data: {name: tools, version: '1', context: /tools, mediationPolicies: [{name: json_fault, type: fault}]}";
    import(&zip(&[("tools/api.yaml", sequences)])).await.expect(200);
    let path = format!("{PUBLISHER}/apis/{}", text(&find(&admin, "tools").await, "id"));
    let body = admin.get(&path).await.expect("api").expect(200).json();
    assert_eq!(body["apiPolicies"]["fault"][0]["policyName"], "jsonFault", "{}", body["apiPolicies"]);
}

const CERTIFICATES: &str = "data: [{alias: kiln, endpoint: 'https://kiln.example'}]";

/// The archive of an API with a certificate of its backend, and with more files.
fn with_certificate(not_after: (i32, u8, u8), more: &[(&str, &str)]) -> Vec<u8> {
    let mut wish = rcgen::CertificateParams::new(vec!["kiln.example".to_owned()]).expect("a name");
    wish.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = wish.self_signed(&key).expect("a certificate").pem();
    let mut files = vec![
        ("kiln/api.yaml", "data: {name: kiln, version: 1.0.0, context: /kiln}"),
        ("kiln/Endpoint-certificates/endpoint_certificates.yaml", CERTIFICATES),
        ("kiln/Endpoint-certificates/kiln.crt", &certificate),
    ];
    files.extend(more);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    zip(&files)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_leaves_no_certificate_and_two_at_once_make_one_api() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.nodes[0].admin();
    let over = with_certificate((2020, 1, 1), &[]);
    for path in ["/apis/import?dryRun=true", "/apis/import"] {
        let refused = import(&admin, path, &over).await.expect(400).text();
        assert!(refused.contains("kiln: has ended on 01-01-2020"), "{refused}");
    }
    // What cannot be deployed fails after the certificate was brought.
    let nowhere = "data: [{deploymentEnvironment: Moon, deploymentVhost: localhost, displayOnDevportal: true}]";
    let lost = with_certificate((2999, 1, 1), &[("kiln/deployment_environments.yaml", nowhere)]);
    let refused = import(&admin, "/apis/import", &lost).await;
    assert!(refused.status >= 400 && refused.text().contains("Moon"), "{}: {}", refused.status, refused.text());
    let trusted = async || {
        let all = admin.get(&format!("{PUBLISHER}/endpoint-certificates")).await.expect("certificates");
        all.expect(200).json()["count"].clone()
    };
    assert_eq!((find(&admin, "kiln").await, trusted().await), (Value::Null, json!(0)));

    // One of those who come at once wins, and of the others nothing stays.
    let here = "data: [{deploymentEnvironment: Default, deploymentVhost: localhost, displayOnDevportal: true}]";
    let guide = "data: {name: Guide, type: HOWTO, sourceType: INLINE, visibility: API_LEVEL}";
    let more = [
        ("kiln/deployment_environments.yaml", here),
        ("kiln/Docs/Guide/document.yaml", guide),
        ("kiln/Docs/Guide/Guide", "hot"),
        ("kiln/notes.txt", "mine"),
    ];
    let good = with_certificate((2999, 1, 1), &more);
    let replies = futures_util::future::join_all((0..4).map(|_| import(&admin, "/apis/import", &good))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409], "{:?}", replies.iter().map(Reply::text).collect::<Vec<_>>());
    let done = replies.iter().find(|reply| reply.status == 200).expect("one").text();
    assert_eq!(done, "API Imported Successfully; not read: kiln/notes.txt");
    let path = format!("{PUBLISHER}/apis/{}", text(&find(&admin, "kiln").await, "id"));
    for (list, of) in [("apis?query=name:kiln", PUBLISHER), ("documents", &*path), ("revisions", &path)] {
        let all = admin.get(&format!("{of}/{list}")).await.expect("a list").expect(200).json();
        assert_eq!(all["count"], 1, "{list}: {all}");
    }
    assert_eq!(trusted().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_an_environment_go_before_what_the_archive_says() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let (there, here) = (Backend::start("there").await, Backend::start("here").await);
    journey::publish(&old.nodes[0], &Wish::new("pizza", &there.url())).await;
    let export = format!("{PUBLISHER}/apis/export?name=pizza&version=1.0.0");
    let exported = old.nodes[0].admin().get(&export).await.expect("export").expect(200);
    let admin = new.nodes[0].admin();

    // As apictl sends it: the project in an archive of its own, and the parameters beside.
    let certificate =
        rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate").cert.pem();
    let params = format!(
        "endpoints:\n  production:\n    url: {}\n    config: {{factor: 3, retryDelay: 10}}\npolicies: [Gold]\n\
        deploymentEnvironments:\n- {{deploymentEnvironment: Default, deploymentVhost: localhost, displayOnDevportal: true}}\n\
        certs:\n- {{hostName: 'https://a.example', alias: oven, path: oven.crt}}\n",
        here.url()
    );
    let wrapped = |params: &str| {
        let (params, certificate) = (params.as_bytes(), certificate.as_bytes());
        zip(&[
            ("apim7/SourceArchive.zip", &exported.body[..]),
            ("apim7/Deployment/intermediate_params.yaml", params),
            ("apim7/Deployment/params.yaml", b"environments: []"),
            ("apim7/Deployment/certificates/oven.crt", certificate),
        ])
    };
    let refused = import(&admin, "/apis/import", &wrapped("endpointType: tcp")).await.expect(400).text();
    assert!(refused.contains("endpointType") && find(&admin, "pizza").await.is_null(), "{refused}");
    assert_eq!(import(&admin, "/apis/import", &wrapped(&params)).await.expect(200).text(), "API Imported Successfully");
    let id = text(&find(&admin, "pizza").await, "id");
    let body = admin.get(&format!("{PUBLISHER}/apis/{id}")).await.expect("api").expect(200).json();
    assert_eq!(
        (&body["policies"], &body["endpointConfig"]["production_endpoints"]["config"]["factor"]),
        (&json!(["Gold"]), &json!("3"))
    );
    let trusted = admin.get(&format!("{PUBLISHER}/endpoint-certificates")).await.expect("list").expect(200).json();
    assert_eq!(trusted["certificates"][0]["alias"], "oven", "{trusted}");
    let subscribed =
        journey::subscribe(&new.nodes[0], &Wish { plan: "Gold", ..Wish::new("pizza", &here.url()) }, id).await;
    let token = journey::token(&new.nodes[0], &subscribed).await;
    let gateway = new.nodes[0].gateway().with_bearer(&token);
    let menu = gateway.get("/pizza/1.0.0/menu").await.expect("call").expect(200);
    assert_eq!(menu.header("x-backend"), "here");

    // The same by the command line, from a project as it is exported.
    std::fs::write(new.path("pizza.zip"), &exported.body).expect("a file");
    let params =
        format!("environments:\n- name: back\n  configs:\n    endpoints: {{production: {{url: {}}}}}\n", there.url());
    std::fs::write(new.path("params.yaml"), params).expect("a file");
    let server = new.nodes[0].management_url();
    let to = ["--server", server.as_str(), "--data-dir", "n1"];
    let words = ["import", "wso2", "pizza.zip", "--update", "--params", "params.yaml", "--environment", "back"];
    new.cli_ok(&[&words[..], &to].concat());
    let menu = gateway.get("/pizza/1.0.0/menu").await.expect("call").expect(200);
    assert_eq!(menu.header("x-backend"), "there");
}
