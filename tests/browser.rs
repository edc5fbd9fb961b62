//! The main journeys through the portals in a real browser. Skipped, with a message, where Chromium or ChromeDriver is
//! not installed; `scripts/browser.sh` installs them. Pictures are kept below `target/tmp/pictures`.

mod harness;

use harness::archive::zip;
use harness::backend::Backend;
use harness::browser::Browser;
use harness::http::multipart_of_bytes;
use harness::journey;
use harness::{Cluster, PASSWORD};
use serde_json::json;

/// Takes pictures of a page, and fails where something is in the way of those who do not see it or use no mouse.
async fn look(browser: &Browser, name: &str) {
    let barriers = browser.barriers().await;
    assert!(barriers.is_empty(), "{name}: {barriers:#?}");
    browser.picture(name).await;
    let bytes = browser.script("return document.documentElement.outerHTML.length").await;
    assert!(bytes.as_u64().expect("a length") < 100_000, "{name} has {bytes} characters");
}

/// Publishes an API by clicking: import, backend, deploy, publish.
async fn publish(browser: &Browser, base: &str, backend: &str) {
    browser.open(&format!("{base}/publisher")).await;
    look(browser, "sign-in").await;
    browser.sign_in("admin", PASSWORD).await;
    browser.wait_for("No API yet").await;
    look(browser, "publisher-empty").await;
    browser.follow("Create the first one").await;
    let broken = "openapi: 3.0.3\ninfo:\n  title: pizza\n  version: 1.0.0\npaths: [";
    browser.fill("text", broken).await;
    browser.press("Import").await;
    browser.wait_for("line ").await;
    look(browser, "publisher-create-wrong").await;
    browser.fill("text", "").await;
    let file = std::env::temp_dir().join(format!("portcullis-browser-{}.yaml", std::process::id()));
    std::fs::write(&file, broken).expect("a file");
    browser.choose_file("file", &file).await;
    browser.press("Import").await;
    browser.wait_for("line ").await;
    let server = Backend::with_document(journey::definition("pizza")).await;
    browser.fill("url", &format!("{}/nothing", server.url())).await;
    browser.press("Import").await;
    browser.wait_for("status 404").await;
    std::fs::write(&file, journey::definition("pizza")).expect("a file");
    browser.fill("url", "").await;
    browser.choose_file("file", &file).await;
    browser.fill("i-context", "/pizza").await;
    browser.fill("i-endpoint", backend).await;
    browser.choose("i-plan", "Unlimited").await;
    browser.press("Import").await;
    browser.wait_for("The API is created.").await;
    std::fs::remove_file(&file).expect("the file");
    look(browser, "publisher-overview").await;
    browser.follow("Design").await;
    browser.wait_for("Business plans").await;
    look(browser, "publisher-design").await;
    browser.follow("Policies").await;
    browser.wait_for("On the way to the backend").await;
    look(browser, "publisher-policies").await;
    browser.follow("Revisions").await;
    browser.press("Make a revision and deploy it").await;
    browser.wait_for("every gateway serves it now").await;
    look(browser, "publisher-revisions").await;
    browser.follow("Lifecycle").await;
    browser.press("Publish").await;
    browser.wait_for("The API is published now.").await;
    look(browser, "publisher-lifecycle").await;
    browser.follow("Statistics").await;
    browser.wait_for("Nothing was called").await;
    look(browser, "publisher-statistics").await;
    browser.follow("Comments").await;
    browser.fill("text", "Is there a menu for two?").await;
    browser.press("Say it").await;
    browser.wait_for("Said.").await;
    look(browser, "publisher-comments").await;
    browser.follow("APIs").await;
    browser.wait_for("/pizza/1.0.0").await;
    look(browser, "publisher-list").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_published_found_subscribed_to_and_called_by_clicking() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(1).await;
    let (base, backend) = (cluster.nodes[0].management_url(), Backend::start("production").await);
    publish(&browser, &base, &backend.url()).await;
    browser.press("Sign out").await;
    browser.wait_for("APIs, from design to call").await;
    look(&browser, "front").await;

    // Somebody new: sign up, subscribe, get a key, call.
    browser.open(&format!("{base}/devportal")).await;
    browser.wait_for("To the first call").await;
    look(&browser, "store-catalogue").await;
    browser.follow("Sign up, or sign in").await;
    browser.fill("username", "mia moe").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign up").await;
    browser.wait_for("username: ").await;
    look(&browser, "sign-up-wrong").await;
    browser.fill("username", "mia").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Sign up").await;
    browser.wait_for("You are signed up, mia").await;
    browser.follow("Go on").await;
    browser.sign_in("mia", PASSWORD).await;
    browser.wait_for("To the first call").await;
    browser.follow("pizza").await;
    browser.wait_for("Subscribe").await;
    look(&browser, "store-api").await;
    browser.press("Subscribe").await;
    browser.wait_for("Subscribed. Get a key and call it.").await;
    browser.press("Get a key").await;
    browser.choose("operation", "GET /menu").await;
    assert_eq!(backend.count(), 0);
    browser.press("Send").await;
    browser.wait_for("200 ").await;
    browser.wait_for("\"backend\": \"production\"").await;
    assert_eq!(backend.count(), 1, "the call went through the gateway to the backend once");
    look(&browser, "store-try").await;
    browser.follow("Reference").await;
    browser.wait_for("GET").await;
    look(&browser, "store-reference").await;
    browser.follow("Applications").await;
    browser.follow("My application").await;
    browser.wait_for("OAuth 2 keys").await;
    look(&browser, "store-application").await;
    browser.press("New secret").await;
    browser.wait_for("Keep it now").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_approved_and_a_limit_is_made_and_tested_by_clicking() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(3).await;
    let (one, admin) = (&cluster.nodes[0], cluster.nodes[1].admin());
    let base = one.management_url();
    let backend = Backend::start("production").await;
    journey::publish(one, &journey::Wish::new("pizza", &backend.url())).await;
    let path = "/api/am/admin/v4/tenant-config";
    let mut config = admin.get(path).await.expect("configuration").expect(200).json();
    config["Workflows"] = json!({"APPLICATION_CREATION": "approval"});
    admin.json("PUT", path, &config).await.expect("configure").expect(200);
    let shop = json!({"name": "Shop", "throttlingPolicy": "Unlimited"});
    admin.json("POST", "/api/am/devportal/v3/applications", &shop).await.expect("application").expect(201);

    browser.open(&format!("{base}/admin/tasks")).await;
    browser.sign_in("admin", PASSWORD).await;
    browser.wait_for("application [Shop]").await;
    look(&browser, "admin-tasks").await;
    browser.press("Approve").await;
    browser.wait_for("Nothing waits").await;
    browser.follow("Cluster").await;
    browser.wait_for("may still fail").await;
    look(&browser, "admin-cluster").await;
    // The page renews itself.
    admin.send("PUT", "/api/portcullis/v1/cluster/nodes/3/drain", &[], "").await.expect("draining").expect(200);
    browser.wait_for("drained").await;
    browser.follow("Policies").await;
    browser.wait_for("Business plans").await;
    look(&browser, "admin-policies").await;
    browser.follow("New: Business plans").await;
    browser.fill("policyName", "Tiny").await;
    browser.fill("count", "7").await;
    browser.press("Save").await;
    browser.wait_for("7 calls per min").await;
    browser.follow("Test a call").await;
    browser.fill("api", "pizza:1.0.0").await;
    browser.fill("path", "/menu").await;
    browser.press("Test").await;
    browser.wait_for("What it meets").await;
    look(&browser, "admin-test").await;
    for (part, seen) in [
        ("Deny list", "Nobody is turned away"),
        ("Users", "admin"),
        ("Tenants", "carbon.super"),
        ("Key managers", "no other key manager"),
        ("Audit", "DecideTask"),
        ("Settings", "Whoever comes may sign up"),
    ] {
        browser.follow(part).await;
        browser.wait_for(seen).await;
        look(&browser, &format!("admin-{}", part.to_lowercase().replace(' ', "-"))).await;
    }
}

/// Publishes APIs and calls them, well and badly, until statistics tell of it; returns the first with its application.
async fn called(node: &harness::Node, backend: &str) -> journey::Published {
    let mut all = Vec::new();
    for name in ["pizza", "pasta", "salad", "soup"] {
        let published = journey::publish_and_subscribe(node, &journey::Wish::new(name, backend)).await;
        let client = node.gateway().with_bearer(&journey::token(node, &published).await);
        for number in 0..=all.len() * 5 {
            client.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
            client.get(&format!("{}/order/{number}", published.path)).await.expect("call").expect(200);
            client.get(&format!("{}/nothing", published.path)).await.expect("call").expect(404);
        }
        node.gateway().get(&format!("{}/menu", published.path)).await.expect("call").expect(401);
        all.push(published);
    }
    harness::until("the calls to be told of", async || {
        let told = node.admin().get("/api/portcullis/v1/statistics/apis").await.ok()?.json();
        (told["list"].as_array()?.len() == 4).then_some(())
    })
    .await;
    all.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_and_a_theme_are_looked_at_and_an_api_is_tried_by_its_publisher() {
    let Some(browser) = Browser::start().await else { return };
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[statistics]\ngather_ms = 200\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let (base, backend) = (node.management_url(), Backend::start("production").await);
    let published = called(node, &backend.url()).await;
    browser.open(&format!("{base}/admin/statistics?range=1h")).await;
    browser.sign_in("admin", PASSWORD).await;
    browser.wait_for("pizza 1.0.0: GET /menu").await;
    look(&browser, "admin-statistics").await;
    browser.script("document.querySelectorAll('.statistics details').forEach((one) => { one.open = true; })").await;
    look(&browser, "admin-statistics-tables").await;
    browser.follow("Growth").await;
    browser.wait_for("what was deleted is not counted").await;
    look(&browser, "admin-statistics-growth").await;
    browser.follow("Live").await;
    browser.wait_for("Calls are shown as they are answered.").await;
    let client = node.gateway().with_bearer(&journey::token(node, &published).await);
    client.get("/pizza/1.0.0/menu").await.expect("call").expect(200);
    browser.wait_for("/pizza/1.0.0/menu").await;
    look(&browser, "admin-statistics-live").await;

    browser.open(&format!("{base}/publisher/apis/{}/statistics?range=1h", published.api)).await;
    browser.wait_for("client errors (4xx)").await;
    look(&browser, "publisher-statistics-calls").await;
    browser.follow("Try it").await;
    browser.press("Get a key").await;
    browser.choose("operation", "GET /menu").await;
    browser.press("Send").await;
    browser.wait_for("200 ").await;
    browser.wait_for("\"backend\": \"production\"").await;
    look(&browser, "publisher-try").await;
    browser.open(&format!("{base}/devportal/applications/{}/usage?range=1h", published.application)).await;
    browser.wait_for("pizza 1.0.0").await;
    look(&browser, "store-usage").await;

    let theme = json!({"custom": {"appBar": {"logo": "logo.gif", "background": "#335533"}}}).to_string();
    let archive = zip(&[("userTheme.json", theme.as_bytes()), ("logo.gif", b"GIF89a....")]);
    let (body, kind) = multipart_of_bytes(&[("file", Some("theme.zip"), &archive)]);
    let path = "/api/am/admin/v4/org-themes";
    node.admin().send("POST", path, &[("content-type", &kind)], body).await.expect("a theme").expect(200);
    browser.open(&format!("{base}/admin/theme")).await;
    browser.wait_for("draft").await;
    look(&browser, "admin-theme").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_key_managers_and_settings_are_changed_and_a_node_is_removed_by_clicking() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let gone = cluster.followers().await[0] + 1;
    let base = cluster.nodes[leader].management_url();
    browser.open(&format!("{base}/admin/roles")).await;
    browser.sign_in("admin", PASSWORD).await;
    browser.wait_for("Internal/creator").await;
    browser.open_details("New role").await;
    browser.fill("name", "developers").await;
    browser.press("Make the role").await;
    browser.wait_for("Nobody holds this role.").await;
    browser.fill("users", "admin").await;
    browser.press("Give").await;
    browser.wait_for("1 user has the role now.").await;
    look(&browser, "admin-role").await;
    browser.follow("Roles").await;
    browser.wait_for("developers").await;
    look(&browser, "admin-roles").await;

    browser.follow("Key managers").await;
    browser.open_details("New key manager").await;
    browser.fill("name", "Keycloak").await;
    browser.fill("issuer", "https://idp.example.com").await;
    browser.fill("jwks", "https://idp.example.com/jwks").await;
    browser.press("Register").await;
    browser.wait_for("Gateways take tokens of Keycloak now.").await;
    browser.follow("Keycloak").await;
    browser.wait_for("Gateways take its tokens").await;
    look(&browser, "admin-key-manager").await;
    browser.fill("tokenEndpoint", "https://idp.example.com/token").await;
    browser.press("Save").await;
    browser.wait_for("Saved: in force on every gateway.").await;

    browser.follow("Settings").await;
    browser.wait_for("Whoever comes may sign up").await;
    browser.fill("role_mappings", "Internal/creator = developers").await;
    browser.press("Save").await;
    browser.wait_for("Saved.").await;
    browser.open_details("Everything, as JSON").await;
    browser.fill("text", "{\n\"RESTAPIScopes\": 1,\n}").await;
    browser.press("Save JSON").await;
    browser.wait_for("line 3, column 1").await;
    look(&browser, "admin-settings-wrong").await;

    browser.follow("Policies").await;
    browser.follow("Counters").await;
    browser.wait_for("No counter is open").await;
    look(&browser, "admin-counters").await;

    browser.open(&format!("{base}/admin/nodes/{gone}/remove")).await;
    browser.wait_for("It is taken out for good").await;
    look(&browser, "admin-removal").await;
    let typed = browser.script("return document.querySelector('label[for=typed] code').innerText").await;
    browser.fill("typed", "another").await;
    browser.press("Remove this node").await;
    browser.wait_for("nothing was done").await;
    browser.fill("typed", typed.as_str().expect("what to type")).await;
    browser.press("Remove this node").await;
    browser.wait_for("is removed. Its certificate is refused").await;
    look(&browser, "admin-cluster-after").await;
    harness::until("two nodes in the cluster", async || {
        (cluster.status().await?["nodes"].as_array()?.len() == 2).then_some(())
    })
    .await;
}
