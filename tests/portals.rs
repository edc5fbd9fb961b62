//! The portals' pages over HTTP: who may see which, sign-ins on every node, forms of other sites, and what users wrote.

mod harness;

use harness::archive::zip;
use harness::backend::Backend;
use harness::http::{multipart, multipart_of_bytes};
use harness::journey::{self, Wish};
use harness::routes::missing_routes;
use harness::visitor::{Visitor, hidden};
use harness::{Cluster, Node, PASSWORD};
use serde_json::{Value, json};

/// A page, and those who see it, of: nobody, a subscriber, a creator, a publisher, an administrator.
type Row<'a> = (&'a str, [bool; 5]);

const EVERYBODY: [bool; 5] = [true; 5];
const SUBSCRIBERS: [bool; 5] = [false, true, false, false, true];
const MAKERS: [bool; 5] = [false, false, true, true, true];
const CREATORS: [bool; 5] = [false, false, true, false, true];
const PUBLISHERS: [bool; 5] = [false, false, false, true, true];
const ADMINS: [bool; 5] = [false, false, false, false, true];

async fn user(node: &Node, name: &str, role: &str) {
    let body = json!({"username": name, "password": PASSWORD, "roles": [role]});
    node.admin().json("POST", "/api/portcullis/v1/users", &body).await.expect("a user").expect(201);
}

/// Makes a document with a file, and returns its id.
async fn document_of(node: &Node, api: &str) -> String {
    let admin = node.admin();
    let path = format!("/api/am/publisher/v4/apis/{api}/documents");
    let body = json!({"name": "Sample", "type": "HOWTO", "sourceType": "FILE", "visibility": "API_LEVEL"});
    let made = admin.json("POST", &path, &body).await.expect("a document").expect(201).json();
    let id = journey::text(&made, "documentId");
    let (body, kind) = multipart(&[("file", Some("sample.txt"), "hello")]);
    let path = format!("{path}/{id}/content");
    admin.send("POST", &path, &[("content-type", &kind)], body).await.expect("a file").expect(200);
    id
}

async fn picture(node: &Node, api: &str) {
    let (body, kind) = multipart(&[("file", Some("a.gif"), "GIF89a....")]);
    let path = format!("/api/am/publisher/v4/apis/{api}/thumbnail");
    node.admin().send("PUT", &path, &[("content-type", &kind)], body).await.expect("a picture").expect(200);
}

/// Registers a key manager, and returns its id.
async fn key_manager(node: &Node) -> String {
    let body = json!({
        "name": "Other", "type": "custom", "issuer": "https://idp.example.com", "description": EVIL,
        "certificates": {"type": "JWKS", "value": "https://idp.example.com/jwks"},
    });
    let made = node.admin().json("POST", "/api/am/admin/v4/key-managers", &body).await.expect("a key manager");
    journey::text(&made.expect(201).json(), "id")
}

/// Makes a draft of a theme with a logo, and returns its id.
async fn theme(node: &Node) -> String {
    let look = json!({"custom": {"appBar": {"logo": "logo.gif"}}}).to_string();
    let archive = zip(&[("userTheme.json", look.as_bytes()), ("logo.gif", b"GIF89a....")]);
    let (body, kind) = multipart_of_bytes(&[("file", Some("theme.zip"), &archive)]);
    let made = node.admin().send("POST", "/api/am/admin/v4/org-themes", &[("content-type", &kind)], body).await;
    journey::text(&made.expect("a theme").expect(200).json(), "id")
}

/// Makes an application of a user, and returns its id.
async fn application_of(node: &Node, user: &str) -> String {
    let body = json!({"name": format!("App of {user}"), "throttlingPolicy": "Unlimited"});
    let made = node.as_user(user, PASSWORD).json("POST", "/api/am/devportal/v3/applications", &body).await;
    journey::text(&made.expect("an application").expect(201).json(), "applicationId")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_shown_to_those_who_have_its_scopes_and_to_nobody_else() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    for (name, role) in [("sue", "Internal/subscriber"), ("carl", "Internal/creator"), ("pat", "Internal/publisher")] {
        user(node, name, role).await;
    }
    let mut visitors = vec![Visitor::new(node)];
    for name in ["sue", "carl", "pat", "admin"] {
        visitors.push(Visitor::signed_in(node, name, PASSWORD).await);
    }
    let of_api = |page: &str| format!("/publisher/apis/{api}{page}");
    let in_store = |page: &str| format!("/devportal/apis/{api}{page}");
    let rows: Vec<Row<'_>> = vec![
        ("/", EVERYBODY),
        ("/sign-up", EVERYBODY),
        ("/publisher", MAKERS),
        ("/publisher?view=table&state=PUBLISHED&q=pizza", MAKERS),
        ("/publisher/create", CREATORS),
        ("/publisher/subscriptions", MAKERS),
        ("/devportal", EVERYBODY),
        ("/devportal?q=pizza&sort=new", EVERYBODY),
        ("/devportal?tenant=carbon.super", EVERYBODY),
        ("/t/carbon.super/devportal", EVERYBODY),
        ("/devportal/applications", SUBSCRIBERS),
        ("/admin", ADMINS),
        // Those who offer plans see them, as at the REST API.
        ("/admin/policies", MAKERS),
        ("/admin/policies/test", ADMINS),
        ("/admin/policies/subscription", ADMINS),
        ("/admin/policies/counters", ADMINS),
        ("/admin/policies/counters?level=subscription&policy=Gold&application=x&user=y&tenant=carbon.super", ADMINS),
        ("/admin/nodes/1/remove", ADMINS),
        ("/admin/statistics", ADMINS),
        ("/admin/statistics/csv/usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", ADMINS),
        ("/admin/statistics/growth?range=1y", ADMINS),
        ("/admin/statistics/live?status=5xx", ADMINS),
        ("/admin/roles", ADMINS),
        ("/admin/roles/Internal%2Fcreator", ADMINS),
        ("/admin/deny", ADMINS),
        ("/admin/tasks", ADMINS),
        ("/admin/users", ADMINS),
        ("/admin/tenants", ADMINS),
        ("/admin/key-managers", ADMINS),
        ("/admin/audit", ADMINS),
        ("/admin/settings", ADMINS),
        ("/admin/theme", ADMINS),
    ];
    let mut table: Vec<(String, [bool; 5])> = rows.into_iter().map(|(path, seen)| (path.to_owned(), seen)).collect();
    for page in ["", "/design", "/definition", "/policies", "/documents", "/revisions", "/lifecycle", "/subscriptions"]
    {
        table.push((of_api(page), MAKERS));
    }
    let values = "/statistics/csv/usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    for page in ["/comments", "/statistics", values, "/thumbnail", "/try"] {
        table.push((of_api(page), MAKERS));
    }
    let document = document_of(node, &api).await;
    for page in [format!("/documents/{document}"), format!("/documents/{document}/content")] {
        table.push((of_api(&page), MAKERS));
        table.push((in_store(&page), EVERYBODY));
    }
    table.push((format!("/admin/key-managers/{}", key_manager(node).await), ADMINS));
    let theme = theme(node).await;
    for end in ["content", "logo"] {
        table.push((format!("/admin/theme/{theme}/{end}"), ADMINS));
    }
    // An application is its owner's, whoever else may have applications.
    let of_sue = application_of(node, "sue").await;
    let owners = |end: &str| (format!("/devportal/applications/{of_sue}{end}"), [303, 200, 403, 403, 403]);
    let day = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    let of_owners = [owners(""), owners("/usage"), owners(&format!("/usage/csv/usage?{day}"))];
    let limit = json!({"policyName": "Tiny", "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": {
        "timeUnit": "min", "unitTime": 1, "requestCount": 7}}});
    let made = node.admin().json("POST", "/api/am/admin/v4/throttling/policies/subscription", &limit).await;
    let policy = journey::text(&made.expect("a policy").expect(201).json(), "policyId");
    table.push((format!("/admin/policies/subscription/{policy}"), MAKERS));
    picture(node, &api).await;
    table.push((in_store("/thumbnail"), EVERYBODY));
    for page in ["", "/reference", "/definition", "/try", "/documents", "/comments"] {
        table.push((in_store(page), EVERYBODY));
    }
    let statuses = |seen: &[bool; 5]| {
        let status = |number: usize| match (seen[number], number) {
            (true, _) => 200,
            (false, 0) => 303,
            (false, _) => 403,
        };
        [0, 1, 2, 3, 4].map(status)
    };
    let mut expectations: Vec<(String, [u16; 5])> = of_owners.to_vec();
    expectations.extend(table.iter().map(|(path, seen)| (path.clone(), statuses(seen))));
    let paths: Vec<&str> = expectations.iter().map(|(path, _)| path.as_str()).collect();
    // What tells of calls does not end, and what a theme looks like has an address that changes with it.
    let others = ["/admin/statistics/live/calls", "/devportal/looks/{tenant}/{id}/{version}/{file}"];
    assert_eq!(missing_routes("get(", &paths, &others), [""; 0], "each page is in the table");
    // Where there is no page, a page says so, in the portal's frame.
    for path in ["/publisher/nothing/here", "/devportal/nothing", "/admin/nothing"] {
        let reply = visitors[0].get(path).await.expect(404);
        let portal = path.split('/').nth(1).expect("a portal");
        assert!(reply.text().contains(&format!("href=\"/{portal}\"")), "{path}: {}", reply.text());
    }
    for path in ["/nothing", "/t/nobody.example/devportal"] {
        let sought =
            node.anonymous().send("GET", path, &[("accept", "text/html,*/*;q=0.8")], "").await.expect("a page");
        assert!(sought.expect(404).text().starts_with("<!doctype html>"), "{path}");
        let sought = node.anonymous().get(path).await.expect("an answer").expect(404);
        assert_eq!(sought.json()["code"], 404, "{path}: {}", sought.text());
    }
    // Programs get no page, also those that say that they take one; and who sends something is no reader.
    let no_pages = [
        ("GET", "/api/nothing"),
        ("GET", "/t/nobody.example/api/am/publisher/v4/apis"),
        ("POST", "/nothing"),
        ("POST", "/t/nobody.example/devportal"),
    ];
    for (verb, path) in no_pages {
        let told = node.anonymous().send(verb, path, &[("accept", "text/html, */*; q=.2")], "").await;
        assert_eq!(told.expect("an answer").expect(404).json()["code"], 404, "{verb} {path}");
    }
    let mut wrong = Vec::new();
    for (path, statuses) in &expectations {
        for (visitor, (number, expected)) in visitors.iter_mut().zip(statuses.iter().copied().enumerate()) {
            let reply = visitor.get(path).await;
            if reply.status != expected {
                wrong.push(format!("{path} for visitor {number}: {} instead of {expected}", reply.status));
            }
            assert!(reply.body.len() < 100_000, "{path} has {} bytes", reply.body.len());
            let policy = reply.header("content-security-policy");
            let is_framed_nowhere = policy.contains("frame-ancestors 'none'") || policy.contains("sandbox");
            assert!(is_framed_nowhere && reply.header("x-frame-options") == "DENY", "{path}: {:?}", reply.headers);
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_good_on_every_node_until_it_is_ended_on_any() {
    let cluster = Cluster::start(3).await;
    let [one, two, three] = &cluster.nodes[..] else { panic!("three nodes") };
    let mut visitor = Visitor::administrator(one).await;
    let again = Visitor::administrator(one).await;
    let cookie = "__Host-portcullis-sign-in";
    assert_ne!(visitor.cookie(cookie), again.cookie(cookie), "each sign-in has a cookie of its own");
    let mut there = visitor.at(two);
    assert!(there.get("/admin").await.expect(200).text().contains("carbon.super"));
    let made =
        there.submit("/admin/deny", "/admin/deny", &[("kind", "IP"), ("value", "203.0.113.9")]).await.expect(303);
    assert_eq!(made.header("location"), "/admin/deny");
    assert!(visitor.get("/admin/deny").await.expect(200).text().contains("203.0.113.9"));

    let mut third = visitor.at(three);
    third.submit("/admin/deny", "/oauth2/portal/sign-out", &[]).await.expect(303);
    assert_eq!(third.cookie(cookie), None, "the browser forgets it");
    for visitor in [&mut visitor, &mut there] {
        harness::until("the sign-out to be known", async || {
            (visitor.get("/admin/deny").await.status == 303).then_some(())
        })
        .await;
    }
    again.at(two).get("/admin/deny").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_mark_does_nothing() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let (api, application) = (&published.api, &published.application);
    let mut visitor = Visitor::administrator(node).await;
    let mut paths = vec!["/publisher/create".to_owned(), "/publisher/import".to_owned()];
    for act in [
        "",
        "/new-version",
        "/delete",
        "/resources",
        "/endpoints",
        "/plans",
        "/security",
        "/scopes",
        "/definition",
        "/policies",
        "/documents",
        "/documents/x",
        "/documents/x/delete",
        "/revisions",
        "/revisions/x/deploy",
        "/try",
        "/lifecycle",
        "/lifecycle/cancel",
        "/subscriptions",
        "/comments",
        "/comments/x/delete",
        "/thumbnail",
    ] {
        paths.push(format!("/publisher/apis/{api}{act}"));
    }
    for act in ["/subscribe", "/rating", "/try", "/comments", "/comments/x/delete"] {
        paths.push(format!("/devportal/apis/{api}{act}"));
    }
    for act in [
        "",
        "/delete",
        "/subscriptions/x/delete",
        "/keys",
        "/keys/PRODUCTION/secret",
        "/api-keys",
        "/api-keys/x/delete",
    ] {
        paths.push(format!("/devportal/applications/{application}{act}"));
    }
    for path in [
        "/devportal/applications",
        "/admin/policies/subscription",
        "/admin/policies/subscription/x",
        "/admin/policies/subscription/x/delete",
        "/admin/policies/test",
        "/admin/deny",
        "/admin/deny/x/delete",
        "/admin/tasks",
        "/admin/users",
        "/admin/users/x",
        "/admin/users/x/password",
        "/admin/tenants",
        "/admin/tenants/x/activate",
        "/admin/key-managers",
        "/admin/key-managers/x",
        "/admin/key-managers/x/delete",
        "/admin/nodes/1/remove",
        "/admin/roles",
        "/admin/roles/x",
        "/admin/settings",
        "/admin/theme",
        "/admin/theme/x",
        "/sign-up",
        "/oauth2/portal/sign-out",
    ] {
        paths.push(path.to_owned());
    }
    let known: Vec<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(missing_routes("post(", &known, &[]), [""; 0], "each action is in the table");
    for path in &paths {
        for fields in
            [&[("typed", "pizza")][..], &[("typed", "pizza"), ("form_token", "0123456789abcdef0123456789abcdef")]]
        {
            let reply = visitor.post(path, fields).await;
            assert_eq!(reply.status, 403, "{path}: {}", reply.text());
        }
    }
    visitor.get(&format!("/publisher/apis/{api}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_is_done_for_those_who_have_its_scopes_and_for_nobody_else() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    for (name, role) in [("sue", "Internal/subscriber"), ("carl", "Internal/creator"), ("pat", "Internal/publisher")] {
        user(node, name, role).await;
    }
    let application = application_of(node, "sue").await;
    let mut visitors = vec![Visitor::new(node)];
    for name in ["sue", "carl", "pat", "admin"] {
        visitors.push(Visitor::signed_in(node, name, PASSWORD).await);
    }
    let of_api = |act: &str| format!("/publisher/apis/{api}{act}");
    let in_store = |act: &str| format!("/devportal/apis/{api}{act}");
    let of_application = |act: &str| format!("/devportal/applications/{application}{act}");
    // What is not there is asked for where something would be lost: whoever may not is told that first.
    let mut table: Vec<(String, [bool; 5])> = vec![
        ("/publisher/create".to_owned(), CREATORS),
        ("/publisher/import".to_owned(), CREATORS),
        (of_api("/delete"), CREATORS),
        (of_api("/documents/x/delete"), MAKERS),
        (of_api("/lifecycle"), PUBLISHERS),
        (of_api("/subscriptions"), PUBLISHERS),
        ("/sign-up".to_owned(), EVERYBODY),
    ];
    for act in ["", "/resources", "/endpoints", "/plans", "/security", "/scopes", "/policies", "/comments", "/try"] {
        table.push((of_api(act), MAKERS));
    }
    for act in ["/documents", "/documents/x", "/revisions", "/revisions/x/deploy", "/thumbnail", "/comments/x/delete"] {
        table.push((of_api(act), MAKERS));
    }
    for act in ["/new-version", "/definition"] {
        table.push((of_api(act), CREATORS));
    }
    table.push((of_api("/lifecycle/cancel"), PUBLISHERS));
    for act in ["/subscribe", "/rating", "/try", "/comments", "/comments/x/delete"] {
        table.push((in_store(act), SUBSCRIBERS));
    }
    table.push(("/devportal/applications".to_owned(), SUBSCRIBERS));
    for act in ["/subscriptions/x/delete", "/api-keys", "/api-keys/x/delete"] {
        table.push((of_application(act), SUBSCRIBERS));
    }
    // It is its owner's, whoever else may have applications.
    for act in ["", "/keys", "/keys/PRODUCTION/secret", "/delete"] {
        table.push((of_application(act), [false, true, false, false, false]));
    }
    for path in [
        "/admin/policies/subscription",
        "/admin/policies/subscription/x",
        "/admin/policies/subscription/x/delete",
        "/admin/policies/test",
        "/admin/deny",
        "/admin/deny/x/delete",
        "/admin/tasks",
        "/admin/users",
        "/admin/users/x",
        "/admin/users/x/password",
        "/admin/tenants",
        "/admin/tenants/x/activate",
        "/admin/key-managers",
        "/admin/key-managers/x",
        "/admin/key-managers/x/delete",
        "/admin/nodes/9/remove",
        "/admin/roles",
        "/admin/roles/x",
        "/admin/settings",
        "/admin/theme",
        "/admin/theme/x",
    ] {
        table.push((path.to_owned(), ADMINS));
    }
    let known: Vec<&str> = table.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(missing_routes("post(", &known, &[]), [""; 0], "each action is in the table");
    let mut wrong = Vec::new();
    for (path, may) in &table {
        for (number, visitor) in visitors.iter_mut().enumerate() {
            let page = if number == 0 { "/sign-up" } else { "/devportal" };
            let reply = visitor.submit(page, path, &[]).await;
            let is_as_expected = match (may[number], number) {
                (true, _) => ![401, 403].contains(&reply.status) && reply.status < 500,
                (false, 0) => reply.status == 401,
                (false, _) => reply.status == 403,
            };
            if !is_as_expected {
                wrong.push(format!("{path} for visitor {number}, who may: {}: {}", may[number], reply.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_there_before_a_sign_in_is_good_for_nothing_after_it() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    user(node, "mallory", "Internal/subscriber").await;
    let cookie = "__Host-portcullis-sign-in";
    let own = Visitor::signed_in(node, "mallory", PASSWORD).await.cookie(cookie).expect("a cookie").to_owned();
    for planted in ["planted-by-somebody", own.as_str()] {
        let mut victim = Visitor::new(node);
        victim.plant(cookie, planted);
        if planted == own {
            // It is seen who is signed in; another has to end that first.
            victim.get("/oauth2/portal?page=/devportal").await.expect(303);
            victim.submit("/devportal", "/oauth2/portal/sign-out", &[]).await.expect(303);
        }
        victim.sign_in("admin", PASSWORD).await.expect(303);
        assert_ne!(victim.cookie(cookie), Some(planted), "a sign-in has a cookie of its own");
        victim.get("/admin/users").await.expect(200);
        let mut attacker = Visitor::new(node);
        attacker.plant(cookie, planted);
        assert_eq!(attacker.get("/admin/users").await.status, 303, "{planted} is nobody's");
    }
}

/// What a page must not hold of what users wrote.
const HARMFUL: [&str; 5] = ["<script>alert", "<img src=x", "href=\"javascript:", "<svg onload", "=\"\"onmouseover="];
const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(1)> \"onmouseover=\"alert(1) [x](javascript:alert(1)) <svg onload=alert(1)>";

#[tokio::test(flavor = "multi_thread")]
async fn what_users_wrote_is_text_on_every_page() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let (api, admin) = (&published.api, node.admin());
    let publisher = "/api/am/publisher/v4/apis";
    let mut body = admin.get(&format!("{publisher}/{api}")).await.expect("the API").expect(200).json();
    body["description"] = EVIL.into();
    body["tags"] = json!(["<svg onload=alert(1)>"]);
    admin.json("PUT", &format!("{publisher}/{api}"), &body).await.expect("a change").expect(200);
    let definition = json!({
        "openapi": "3.0.3", "info": {"title": "pizza", "version": "1.0.0", "description": EVIL},
        "paths": {"/menu": {"get": {
            "summary": EVIL, "description": EVIL,
            "parameters": [{"name": "<svg onload=alert(1)>", "in": "query", "description": EVIL, "schema": {"type": "string"}}],
            "responses": {"200": {"description": EVIL}},
        }}},
    });
    let mut visitor = Visitor::administrator(node).await;
    let page = format!("/publisher/apis/{api}/definition");
    visitor.submit(&page, &page, &[("text", &definition.to_string())]).await.expect(303);
    let page = format!("/publisher/apis/{api}/documents");
    let made =
        visitor.submit(&page, &page, &[("name", "Evil <b>"), ("summary", EVIL), ("kind", "HOWTO")]).await.expect(303);
    let document = made.header("location").to_owned();
    visitor.submit(&document, &document, &[("text", EVIL), ("act", "save")]).await.expect(303);
    let page = format!("/devportal/apis/{api}/comments");
    visitor.submit(&page, &page, &[("text", EVIL)]).await.expect(303);
    let said = visitor.get(&page).await.expect(200).text();
    let parent = hidden(&said, "parent");
    visitor.submit(&page, &page, &[("text", EVIL), ("parent", &parent)]).await.expect(303);
    visitor.submit("/admin/roles", "/admin/roles", &[("name", "<svg onload=alert(1)>")]).await.expect(400);
    let page = format!("/publisher/apis/{api}/documents");
    let fields = [("name", "File"), ("kind", "HOWTO"), ("visibility", "API_LEVEL")];
    let file = ("file", "<svg onload=alert(1)>.html", EVIL);
    let file = visitor.upload(&page, &page, &fields, file).await.expect(303).header("location").to_owned();
    let key_manager = key_manager(node).await;
    let settings = [("allowed_scopes", "openid"), ("sign_up_roles", EVIL), ("role_mappings", EVIL), ("act", "form")];
    let refused = visitor.submit("/admin/settings", "/admin/settings", &settings).await;
    for harmful in HARMFUL {
        assert!(!refused.text().contains(harmful), "{harmful} on the settings: {}", refused.text());
    }
    let url = [("url", "http://127.0.0.1:1/<script>alert(1)</script>"), ("name", EVIL)];
    let refused = visitor.submit("/publisher/create", "/publisher/import", &url).await.expect(400);
    for harmful in HARMFUL {
        assert!(!refused.text().contains(harmful), "{harmful} on the import: {}", refused.text());
    }
    let page = "/devportal/applications";
    let fields = [("name", "<svg onload=alert(1)>"), ("policy", "Unlimited"), ("description", EVIL)];
    visitor.submit(page, page, &fields).await;

    let store = document.replace("/publisher/", "/devportal/");
    let mut paths = vec![
        document,
        store,
        page.to_owned(),
        "/publisher".to_owned(),
        "/devportal".to_owned(),
        "/admin/audit".to_owned(),
        "/admin/roles".to_owned(),
        "/admin/settings".to_owned(),
        "/admin/key-managers".to_owned(),
        format!("/admin/key-managers/{key_manager}"),
        file.clone(),
        file.replace("/publisher/", "/devportal/"),
    ];
    for query in ["policy", "application", "user", "tenant"] {
        paths.push(format!("/admin/policies/counters?{query}=%3Cscript%3Ealert(1)%3C/script%3E"));
    }
    for end in ["", "/design", "/definition", "/documents", "/revisions", "/comments"] {
        paths.push(format!("/publisher/apis/{api}{end}"));
    }
    for end in ["", "/reference", "/try", "/documents", "/comments"] {
        paths.push(format!("/devportal/apis/{api}{end}"));
    }
    paths.push(format!("/devportal?q={}", "%3Cscript%3Ealert(1)%3C/script%3E"));
    paths.push("/publisher?q=%3Cscript%3Ealert(1)%3C/script%3E".to_owned());
    let mut shown = 0;
    for path in &paths {
        let reply = visitor.get(path).await.expect(200);
        let text = reply.text();
        for harmful in HARMFUL {
            assert!(!text.contains(harmful), "{harmful} on {path}: {text}");
        }
        shown += usize::from(text.contains("script&#62;") || text.contains("script&gt;"));
    }
    assert!(shown > 8, "what was written is seen on {shown} pages alone");
    let json: Value = visitor.get(&format!("/devportal/apis/{api}/definition")).await.expect(200).json();
    assert_eq!(json["openapi"], "3.0.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_given_and_taken_opens_and_closes_pages() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    user(node, "sue", "Internal/subscriber").await;
    let mut sue = Visitor::signed_in(node, "sue", PASSWORD).await;
    sue.get("/publisher").await.expect(403);
    let mut admin = Visitor::administrator(node).await;
    let role = [("act", "grant"), ("role", "Internal/creator")];
    admin.submit("/admin/users", "/admin/users/sue", &role).await.expect(303);
    sue.get("/publisher").await.expect(200);
    let role = [("act", "revoke"), ("role", "Internal/creator")];
    admin.submit("/admin/users", "/admin/users/sue", &role).await.expect(303);
    sue.get("/publisher").await.expect(403);
    admin.submit("/admin/users", "/admin/users/sue", &[("act", "lock")]).await.expect(303);
    sue.get("/devportal/applications").await.expect(303);
    let refused = admin.submit("/admin/users", "/admin/users/admin", &[("act", "lock")]).await;
    assert_eq!(refused.status, 409, "the last administrator stays: {}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_on_the_page_that_made_it_and_on_no_other() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let mut visitor = Visitor::administrator(node).await;
    let fields = [("name", "Shop"), ("policy", "Unlimited")];
    let made = visitor.submit("/devportal/applications", "/devportal/applications", &fields).await.expect(303);
    let page = made.header("location").to_owned();
    let keys = [("type", "PRODUCTION"), ("grant", "client_credentials")];
    let once = visitor.submit(&page, &format!("{page}/keys"), &keys).await.expect(200).text();
    let at = once.find("class=\"secret\">").expect("a secret");
    let secret = once[at..].split(['>', '<']).nth(1).expect("a text").to_owned();
    assert!(secret.len() > 10, "{secret}");
    let later = visitor.get(&page).await.expect(200).text();
    assert!(later.contains("Get a token") && !later.contains(&secret));
    let fields = [("name", "")];
    let refused = visitor.submit(&page, &page, &fields).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("aria-invalid=\"true\""), "the field is marked: {}", refused.text());
}
