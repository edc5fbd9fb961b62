//! Archives of APIs: out of one cluster and into another, by the command line and by REST, with all that belongs to them.

mod harness;

use harness::backend::Backend;
use harness::http::multipart;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused_with_its_reason_and_leaves_nothing() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let api = pizza(&cluster, &backend.url()).await;
    let admin = cluster.nodes[0].admin();
    let import = async |bytes: &[u8]| {
        let mut form = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n".to_vec();
        form.extend_from_slice(bytes);
        form.extend_from_slice(b"\r\n--x--\r\n");
        let kind = [("content-type", "multipart/form-data; boundary=x")];
        admin.send("POST", &format!("{PUBLISHER}/apis/import"), &kind, form).await.expect("import")
    };
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
}
