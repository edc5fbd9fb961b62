//! Archives of applications: out of one cluster and into another, with keys that go on to be good.

mod harness;

use harness::Cluster;
use harness::backend::Backend;
use harness::http::{Client, Reply};
use harness::journey::{self, Wish};
use serde_json::{Value, json};

const STORE: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";

async fn import(admin: &Client, query: &str, archive: &[u8]) -> Reply {
    let mut form = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n".to_vec();
    form.extend_from_slice(archive);
    form.extend_from_slice(b"\r\n--x--\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    admin.send("POST", &format!("{STORE}/applications/import{query}"), &kind, form).await.expect("import")
}

async fn export(admin: &Client, query: &str) -> Reply {
    let path = format!("{STORE}/applications/export?appName=pizza%20app&appOwner=admin{query}");
    admin.get(&path).await.expect("export").expect(200)
}

async fn applications(client: &Client) -> Value {
    client.get(&format!("{STORE}/applications")).await.expect("applications").expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_moves_with_its_keys_and_subscriptions() {
    let (old, new) = (Cluster::start(1).await, Cluster::start(1).await);
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish::new("pizza", &url);
    let published = journey::publish_and_subscribe(&old.nodes[0], &wish).await;
    let archive = export(&old.nodes[0].admin(), "&withKeys=true").await;
    assert_eq!(archive.header("content-type"), "application/zip");
    let without = export(&old.nodes[0].admin(), "&format=JSON").await;

    // The API is not there yet: the application is, and what it was not subscribed to is said.
    let (node, admin) = (&new.nodes[0], new.nodes[0].admin());
    let skipped = import(&admin, "", &without.body).await.expect(207).json();
    assert_eq!((&skipped["count"], &skipped["list"][0]["name"]), (&json!(1), &json!("pizza")));
    journey::publish(node, &wish).await;
    import(&admin, "", &archive.body).await.expect(409);
    let changed = import(&admin, "?update=true", &archive.body).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["subscriptionCount"]), (&json!("pizza app"), &json!(1)));

    // The keys of the old cluster are good in the new one.
    let token = journey::token(node, &published).await;
    let menu = format!("{}/menu", published.path);
    node.gateway().with_bearer(&token).get(&menu).await.expect("call").expect(200);
    let again = import(&admin, "?update=true", &archive.body).await.expect(200).json();
    assert_eq!(again["subscriptionCount"], 1, "a second time changes nothing");
    journey::token(node, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_an_application_is_to_be_can_be_said_and_only_who_may_do_that() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let (node, admin) = (&cluster.nodes[0], cluster.nodes[0].admin());
    journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let user = json!({"username": "ann", "password": "Enough-0f-it", "roles": ["Internal/subscriber"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let archive = export(&admin, "").await;
    let ann = node.as_user("ann", "Enough-0f-it");
    import(&ann, "", &archive.body).await.expect(403);
    import(&admin, "?appOwner=nobody", &archive.body).await.expect(404);
    import(&admin, "?appOwner=ann", &archive.body).await.expect(200);
    let hers = applications(&ann).await;
    assert_eq!((&hers["count"], &hers["list"][0]["owner"]), (&json!(1), &json!("ann")));
    assert_eq!(hers["list"][0]["subscriptionCount"], 1);
    assert_eq!(applications(&admin).await["count"], 1, "the first stays whose it is");
    import(&admin, "?preserveOwner=true", &archive.body).await.expect(409);
    assert!(import(&admin, "", b"hello").await.expect(400).text().contains("not a zip file"));
    let path = format!("{STORE}/applications/export?appName=none&appOwner=admin");
    admin.get(&path).await.expect("export").expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_passes_neither_by_approvals_nor_by_who_a_plan_is_for() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let (node, admin) = (&cluster.nodes[0], cluster.nodes[0].admin());
    journey::publish_and_subscribe(node, &Wish { plan: "Gold", ..Wish::new("pizza", &url) }).await;
    let user = json!({"username": "ann", "password": "Enough-0f-it", "roles": ["Internal/subscriber"]});
    admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let archive = export(&admin, "").await;
    let ann = node.as_user("ann", "Enough-0f-it");

    // A plan that is not for the owner's roles is none for the owner, whatever is to stand for it.
    let plans = format!("{ADMIN}/throttling/policies/subscription");
    let listed = admin.get(&plans).await.expect("plans").expect(200).json();
    let named = |one: &&Value| one["policyName"] == "Gold";
    let plan = listed["list"].as_array().into_iter().flatten().find(named).expect("the plan");
    let path = format!("{plans}/{}", plan["policyId"].as_str().expect("its id"));
    let mut plan = admin.get(&path).await.expect("plan").expect(200).json();
    plan["permissions"] = json!({"permissionType": "DENY", "roles": ["Internal/subscriber"]});
    admin.json("PUT", &path, &plan).await.expect("permission").expect(200);
    for query in ["?appOwner=ann", "?appOwner=ann&update=true&ignoreTier=true"] {
        let left_out = import(&admin, query, &archive.body).await.expect(207).json();
        assert_eq!((&left_out["count"], &left_out["list"][0]["name"]), (&json!(1), &json!("pizza")), "{left_out}");
        assert_eq!(applications(&ann).await["list"][0]["subscriptionCount"], 0);
    }
    plan["permissions"] = json!(null);
    admin.json("PUT", &path, &plan).await.expect("permission").expect(200);
    let id = applications(&ann).await["list"][0]["applicationId"].as_str().expect("its id").to_owned();
    ann.send("DELETE", &format!("{STORE}/applications/{id}"), &[], "").await.expect("delete").expect(200);

    // What waits for approval is there, and no more.
    let config = format!("{ADMIN}/tenant-config");
    let mut said = admin.get(&config).await.expect("configuration").expect(200).json();
    said["Workflows"] = json!({"APPLICATION_CREATION": "approval"});
    admin.json("PUT", &config, &said).await.expect("configure").expect(200);
    let waits = import(&admin, "?appOwner=ann", &archive.body).await.expect(207).json();
    assert_eq!((&waits["count"], &waits["application"]["status"]), (&json!(1), &json!("CREATED")), "{waits}");
    assert!(waits["message"].as_str().expect("why").contains("waits for approval"), "{waits}");
    assert_eq!(applications(&ann).await["list"][0]["subscriptionCount"], 0);
    let tasks = admin.get(&format!("{ADMIN}/workflows")).await.expect("tasks").expect(200).json();
    let task = tasks["list"][0]["referenceId"].as_str().expect("a task");
    let decide = format!("{ADMIN}/workflows/update-workflow-status?workflowReferenceId={task}");
    admin.json("POST", &decide, &json!({"status": "APPROVED"})).await.expect("decide").expect(200);
    let approved = import(&admin, "?appOwner=ann&update=true", &archive.body).await.expect(200).json();
    assert_eq!((&approved["status"], &approved["subscriptionCount"]), (&json!("APPROVED"), &json!(1)), "{approved}");
}
