//! What is done by forms of the pages, as the REST APIs and other pages see it afterwards.

mod harness;

use std::time::Duration;

use harness::archive::zip;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::visitor::Visitor;
use harness::{Cluster, Node, PASSWORD, until};
use serde_json::{Value, json};

const APIS: &str = "/api/am/publisher/v4/apis";

async fn get(node: &Node, path: &str) -> Value {
    node.admin().get(path).await.expect(path).expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_taken_from_a_file_and_from_an_address_and_what_is_wrong_is_told_with_its_line() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let mut visitor = Visitor::administrator(node).await;
    let (create, import) = ("/publisher/create", "/publisher/import");
    let fields = [("context", "/pizza"), ("endpoint", "http://127.0.0.1:9"), ("plan", "Unlimited")];
    let broken = "openapi: 3.0.3\ninfo:\n  title: pizza\n  version: 1.0.0\npaths: [";
    let refused = visitor.upload(create, import, &fields, ("file", "openapi.yaml", broken)).await.expect(400);
    assert!(refused.text().contains("line 5, column "), "{}", refused.text());
    let good = journey::definition("pizza");
    let made = visitor.upload(create, import, &fields, ("file", "openapi.yaml", &good)).await.expect(303);
    let id = made.header("location").rsplit('/').next().expect("an id").to_owned();
    assert_eq!(get(node, &format!("{APIS}/{id}")).await["name"], "pizza");
    for (kind, good, wrong, said) in [
        ("GRAPHQL", "type Query {\n  menu: [String]\n}", "type Query {\n  menu: [Dish]\n}", "line 2"),
        ("SOAP", "<definitions/>", "<definitions>\n<a>\n</definitions>", "line 3"),
        (
            "WS",
            "asyncapi: 2.0.0\ninfo: {title: a, version: '1'}\nchannels: {x: {subscribe: {}}}",
            "asyncapi: 2.0.0\nchannels: {}",
            "info.title",
        ),
    ] {
        let (name, context) = (kind.to_lowercase(), format!("/{kind}"));
        let endpoint = if kind == "WS" { "ws://127.0.0.1:9" } else { "http://127.0.0.1:9" };
        let fields = [
            ("name", name.as_str()),
            ("version", "1"),
            ("context", &context),
            ("endpoint", endpoint),
            ("plan", "Unlimited"),
        ];
        let refused = visitor.upload(create, import, &fields, ("file", "a.txt", wrong)).await.expect(400);
        assert!(refused.text().contains(said), "{kind}: {}", refused.text());
        let made = visitor.upload(create, import, &fields, ("file", "a.txt", good)).await.expect(303);
        let id = made.header("location").rsplit('/').next().expect("an id").to_owned();
        assert_eq!(get(node, &format!("{APIS}/{id}")).await["type"], kind);
        let page = visitor.get(&format!("/publisher/apis/{id}/definition")).await.expect(200).text();
        assert!(page.contains("</textarea>"), "{kind}: {page}");
    }

    let server = Backend::with_document(journey::definition("pasta")).await;
    let from = |path: &str| format!("{}{path}", server.url());
    let by_url = |url: String| {
        let fields = [("context", "/pasta"), ("plan", "Unlimited")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fields.into_iter().chain([("url".to_owned(), url)]).collect::<Vec<_>>()
    };
    for (url, said) in [
        (from("/nothing"), "status 404"),
        (from("/moved"), "redirects are not followed"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "metadata addresses are not called"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), "metadata addresses are not called"),
        ("file:///etc/passwd".to_owned(), "must be an http or https URL"),
    ] {
        let fields = by_url(url.clone());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let refused = visitor.submit(create, import, &fields).await.expect(400).text();
        assert!(refused.contains(said) && !refused.contains("a secret"), "{url}: {refused}");
    }
    assert_eq!(server.count(), 2, "it was asked for what is there alone");
    let fields = by_url(from("/openapi.yaml"));
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let made = visitor.submit(create, import, &fields).await.expect(303);
    let id = made.header("location").rsplit('/').next().expect("an id").to_owned();
    assert_eq!(get(node, &format!("{APIS}/{id}")).await["context"], "/pasta");
    fields.push(("text", &good));
    let refused = visitor.submit(create, import, &fields).await.expect(400);
    assert!(refused.text().contains("give the document once"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_picture_are_uploaded_and_seen_in_the_developer_portal() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    let mut visitor = Visitor::administrator(node).await;
    let (page, overview) = (format!("/publisher/apis/{api}/documents"), format!("/publisher/apis/{api}"));
    let fields = [("name", "Guide"), ("kind", "HOWTO"), ("visibility", "API_LEVEL")];
    let made = visitor.upload(&page, &page, &fields, ("file", "guide é.txt", "first")).await.expect(303);
    let document = made.header("location").to_owned();
    visitor.upload(&document, &document, &[("act", "save")], ("file", "guide 2.txt", "second")).await.expect(303);
    let mut somebody = Visitor::new(node);
    let shown = document.replace("/publisher/", "/devportal/");
    assert!(somebody.get(&shown).await.expect(200).text().contains("guide 2.txt"));
    let read = somebody.get(&format!("{shown}/content")).await.expect(200);
    assert_eq!((read.text().as_str(), read.header("x-content-type-options")), ("second", "nosniff"));
    assert!(
        read.header("content-disposition").starts_with("attachment; filename=\"guide 2.txt\""),
        "{:?}",
        read.headers
    );

    // A document whose file is not accepted is not left behind.
    let large = "x".repeat(10 * 1024 * 1024 + 1);
    let refused = visitor.upload(&page, &page, &[("name", "Large"), ("kind", "HOWTO")], ("file", "a", &large)).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert!(!visitor.get(&page).await.expect(200).text().contains(">Large<"));

    let thumbnail = format!("{overview}/thumbnail");
    let refused = visitor.upload(&overview, &thumbnail, &[], ("file", "a.svg", "<svg/>")).await.expect(400);
    assert!(refused.text().contains("PNG, JPEG, GIF or WebP"), "{}", refused.text());
    visitor.upload(&overview, &thumbnail, &[], ("file", "a.gif", "GIF89a....")).await.expect(303);
    assert!(visitor.get(&overview).await.expect(200).text().contains(&format!("src=\"{thumbnail}\"")));
    assert!(somebody.get("/devportal").await.expect(200).text().contains(&format!("/devportal/apis/{api}/thumbnail")));
    let picture = somebody.get(&format!("/devportal/apis/{api}/thumbnail")).await.expect(200);
    assert_eq!(picture.header("content-type"), "image/gif");
}

/// Returns the comment that the form to reply on a page is for: the first one's.
fn first_comment(page: &str) -> String {
    harness::visitor::hidden(page, "parent")
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_replied_to_from_both_portals() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    let body = json!({"username": "sue", "password": PASSWORD, "roles": ["Internal/subscriber"]});
    node.admin().json("POST", "/api/portcullis/v1/users", &body).await.expect("a user").expect(201);
    let (mut sue, mut admin) = (Visitor::signed_in(node, "sue", PASSWORD).await, Visitor::administrator(node).await);
    let (store, publisher) = (format!("/devportal/apis/{api}/comments"), format!("/publisher/apis/{api}/comments"));
    sue.submit(&store, &store, &[("text", "Is there a menu for two?")]).await.expect(303);
    let parent = first_comment(&admin.get(&publisher).await.expect(200).text());
    admin.submit(&publisher, &publisher, &[("text", "There is now."), ("parent", &parent)]).await.expect(303);
    for number in 2..=5 {
        let text = format!("Thank you, {number} times.");
        sue.submit(&store, &store, &[("text", &text), ("parent", &parent)]).await.expect(303);
    }
    let page = sue.get(&store).await.expect(200).text();
    assert!(page.contains("There is now.") && page.contains("All 5 replies"), "{page}");
    assert!(!page.contains("5 times."), "three are shown: {page}");
    let alone = sue.get(&format!("{store}?thread={parent}")).await.expect(200).text();
    assert!(alone.contains("5 times.") && alone.contains("1 to 5 of 5"), "{alone}");
    // A reply that is not accepted is told of; one to a reply is none.
    let long = "x".repeat(513);
    let refused = sue.submit(&store, &store, &[("text", &long), ("parent", &parent)]).await.expect(400);
    assert!(refused.text().contains("1 to 512 characters"), "{}", refused.text());
    let listed = get(node, &format!("{APIS}/{api}/comments")).await;
    assert_eq!(listed["list"][0]["replies"]["pagination"]["total"], 5, "{listed}");
    sue.get(&format!("{store}?thread=nothing")).await.expect(404);
    // Whoever did not write it cannot delete it; an administrator can.
    assert!(!page.contains("Delete the reply of admin"), "{page}");
    admin.submit(&publisher, &format!("{publisher}/{parent}/delete"), &[]).await.expect(303);
    assert!(sue.get(&store).await.expect(200).text().contains("Nobody said anything yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manager_is_made_changed_and_removed_by_forms() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let mut visitor = Visitor::administrator(node).await;
    let (list, rest) = ("/admin/key-managers", "/api/am/admin/v4/key-managers");
    let fields = [
        ("act", "form"),
        ("name", "Keycloak"),
        ("issuer", "https://idp.example.com"),
        ("jwks", "https://idp.example.com/jwks"),
        ("enabled", "on"),
        ("login", "client"),
        ("login_name", "portcullis"),
        ("login_secret", "s3cret"),
    ];
    let refused = visitor.submit(list, list, &fields[..2]).await.expect(400);
    assert!(refused.text().contains("issuer"), "{}", refused.text());
    visitor.submit(list, list, &fields).await.expect(303);
    let known = get(node, rest).await;
    let id = known["list"].as_array().expect("a list").iter().find(|one| one["name"] == "Keycloak").expect("it");
    let id = journey::text(id, "id");
    let page = format!("{list}/{id}");
    let shown = visitor.get(&page).await.expect(200).text();
    assert!(shown.contains("value=\"portcullis\"") && !shown.contains("s3cret"), "{shown}");

    // The secret stays where nothing is said of it, and so does what the form does not show.
    let body = get(node, &format!("{rest}/{id}")).await;
    let mut json = body.clone();
    json["claimMapping"] = json!([{"remoteClaim": "groups", "localClaim": "roles"}]);
    let by_json = [("act", "json"), ("json", &json.to_string())];
    visitor.submit(&page, &page, &by_json).await.expect(303);
    let changed = [
        ("act", "form"),
        ("name", "Keycloak"),
        ("issuer", "https://idp.example.com/realms/a"),
        ("introspectionEndpoint", "https://idp.example.com/introspect"),
        ("login", "client"),
        ("login_name", "portcullis"),
    ];
    visitor.submit(&page, &page, &changed).await.expect(303);
    let after = get(node, &format!("{rest}/{id}")).await;
    assert_eq!(after["issuer"], "https://idp.example.com/realms/a", "{after}");
    assert_eq!((&after["enabled"], &after["enableSelfValidationJWT"]), (&false.into(), &false.into()), "{after}");
    assert_eq!(after["claimMapping"][0]["remoteClaim"], "groups", "{after}");
    let other_login = [&changed[..5], &[("login_name", "another")]].concat();
    let refused = visitor.submit(&page, &page, &other_login).await.expect(400);
    assert!(refused.text().contains("client_secret"), "another login needs its secret: {}", refused.text());

    // What is wrong in JSON is told with its line.
    let refused =
        visitor.submit(&page, &page, &[("act", "json"), ("json", "{\n  \"name\": \"x\",\n}")]).await.expect(400);
    assert!(refused.text().contains("line 3, column 1: not valid JSON"), "{}", refused.text());
    let text = "{\n  \"name\": \"x\",\n  \"type\": \"custom\",\n  \"issuer\": 7\n}";
    let refused = visitor.submit(&page, &page, &[("act", "json"), ("json", text)]).await.expect(400);
    assert!(refused.text().contains("line 4: issuer: "), "{}", refused.text());
    visitor.submit(&page, &format!("{page}/delete"), &[]).await.expect(303);
    visitor.get(&page).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_made_given_renamed_and_deleted_by_forms() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let body = json!({"username": "ann", "password": PASSWORD, "roles": []});
    node.admin().json("POST", "/api/portcullis/v1/users", &body).await.expect("a user").expect(201);
    let mut visitor = Visitor::administrator(node).await;
    let roles = "/admin/roles";
    let made = visitor.submit(roles, roles, &[("name", "team a/b")]).await.expect(303);
    let page = made.header("location").to_owned();
    assert!(visitor.get(&page).await.expect(200).text().contains("Nobody holds this role"));
    visitor.submit(roles, roles, &[("name", "team a/b")]).await.expect(409);
    let refused = visitor.submit(roles, roles, &[("name", "a,b")]).await.expect(400);
    assert!(refused.text().contains("aria-invalid=\"true\""), "{}", refused.text());
    let refused = visitor.submit(&page, &page, &[("act", "add"), ("users", "ann, nobody")]).await;
    assert!((400..500).contains(&refused.status), "{}: {}", refused.status, refused.text());
    visitor.submit(&page, &page, &[("act", "add"), ("users", "ann")]).await.expect(303);
    assert!(visitor.get("/admin/users").await.expect(200).text().contains("team a/b"));
    let renamed = visitor.submit(&page, &page, &[("act", "rename"), ("name", "team c")]).await.expect(303);
    let page = renamed.header("location").to_owned();
    assert!(visitor.get(&page).await.expect(200).text().contains(">ann<"));
    visitor.submit(&page, &page, &[("act", "remove"), ("users", "ann")]).await.expect(303);
    visitor.submit(&page, &page, &[("act", "delete")]).await.expect(303);
    visitor.get(&page).await.expect(404);
    let system = format!("{roles}/Internal%2Fcreator");
    let refused = visitor.submit(&system, &system, &[("act", "delete")]).await;
    assert_eq!(refused.status, 409, "every tenant has it: {}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_a_tenant_is_changed_by_a_form_and_as_json() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (page, rest) = ("/admin/settings", "/api/am/admin/v4/tenant-config");
    let before = get(node, rest).await;
    let mut visitor = Visitor::administrator(node).await;
    let stored = harness::visitor::hidden(&visitor.get(page).await.expect(200).text(), "before");
    let form = [
        ("before", stored.as_str()),
        ("act", "form"),
        ("waits", "API_STATE"),
        ("waits", "USER_SIGNUP"),
        ("sign_up_roles", "Internal/subscriber"),
        ("allowed_scopes", "openid, ^device_.*"),
        ("role_mappings", "Internal/creator = developers"),
    ];
    visitor.submit(page, page, &form).await.expect(303);
    let after = get(node, rest).await;
    assert_eq!(after["Workflows"]["API_STATE"], "approval", "{after}");
    assert_eq!(
        (&after["Workflows"]["USER_SIGNUP"], &after["SelfSignUp"]["EnableSignup"]),
        (&"approval".into(), &false.into())
    );
    assert_eq!(after["RoleMappings"]["Internal/creator"], "developers");
    assert_eq!(after["RESTAPIScopes"], before["RESTAPIScopes"], "what the form does not show stays");
    // Somebody else changed it meanwhile: nothing is overwritten.
    let stale = visitor.submit(page, page, &form).await;
    assert!((400..500).contains(&stale.status), "{}: {}", stale.status, stale.text());

    let refused =
        visitor.submit(page, page, &[("act", "json"), ("text", "{\n  \"RESTAPIScopes\": tru\n}")]).await.expect(400);
    assert!(refused.text().contains("line 2, "), "{}", refused.text());
    let mut wrong = after.clone();
    wrong["Workflows"] = json!({"API_STATE": "perhaps"});
    let text = format!("{wrong:#}");
    let line = text.lines().position(|line| line.contains("\"API_STATE\"")).expect("its line") + 1;
    let refused = visitor.submit(page, page, &[("act", "json"), ("text", &text)]).await.expect(400);
    assert!(refused.text().contains(&format!("line {line}: Workflows.API_STATE")), "{}", refused.text());
    let refused = visitor.submit(page, page, &[("act", "form"), ("sign_up_roles", "admin"), ("sign_up", "on")]).await;
    assert!(refused.text().contains("nobody makes himself an administrator"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_is_uploaded_published_taken_back_and_deleted_by_forms() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let (page, rest) = ("/admin/theme", "/api/am/admin/v4/org-themes");
    let mut visitor = Visitor::administrator(node).await;
    assert!(visitor.get("/admin/settings").await.expect(200).text().contains("href=\"/admin/theme\""));
    assert!(visitor.get(page).await.expect(200).text().contains("no theme is in force"));
    let large = zip(&[("a.css", &vec![b'x'; 600 << 10])]);
    for (bad, status, why) in [
        (b"no archive".to_vec(), 400, "not a zip file"),
        (zip(&[("<svg onload=alert(1)>.js", b"x")]), 400, ".js is of a kind"),
        (large, 413, "at most 524288 are accepted"),
    ] {
        let refused = visitor.upload(page, page, &[], ("file", "theme.zip", bad)).await.expect(status).text();
        let by_the_field = refused.split("id=\"wrong-file\">").nth(1).unwrap_or_default();
        assert!(by_the_field.split('<').next().is_some_and(|text| text.contains(why)), "{why}: {refused}");
        assert!(!refused.contains("<svg onload"), "{refused}");
    }
    let refused = visitor.submit(page, page, &[]).await.expect(400).text();
    assert!(refused.contains("choose a zip file"), "{refused}");
    assert_eq!(get(node, rest).await, json!([]), "nothing of it is kept");

    let look = json!({"palette": {"primary": {"main": "#123456"}}, "custom": {"appBar": {"logo": "logo.gif"}}});
    let first = zip(&[("userTheme.json", look.to_string().as_bytes()), ("logo.gif", b"GIF89a....")]);
    visitor.upload(page, page, &[], ("file", "theme.zip", &first)).await.expect(303);
    let listed = get(node, rest).await;
    assert_eq!(listed[0]["published"], false, "{listed}");
    let theme = format!("{page}/{}", journey::text(&listed[0], "id"));
    let text = visitor.get(page).await.expect(200).text();
    assert!(text.contains(">draft<") && text.contains("#123456") && text.contains(">Publish<"), "{text}");
    assert!(text.contains(&format!("src=\"{theme}/logo\"")) && text.contains("no theme is in force"), "{text}");
    let logo = visitor.get(&format!("{theme}/logo")).await.expect(200);
    assert_eq!((logo.header("content-type"), &logo.body[..]), ("image/gif", &b"GIF89a...."[..]));
    let kept = visitor.get(&format!("{theme}/content")).await.expect(200);
    assert_eq!((kept.header("content-type"), &kept.body[..]), ("application/zip", &first[..]));
    assert!(kept.header("content-disposition").starts_with("attachment"), "{:?}", kept.headers);

    // Whoever may not manage themes does nothing with a form of another page either.
    let body = json!({"username": "sue", "password": PASSWORD, "roles": ["Internal/subscriber"]});
    node.admin().json("POST", "/api/portcullis/v1/users", &body).await.expect("a user").expect(201);
    let mut sue = Visitor::signed_in(node, "sue", PASSWORD).await;
    let applications = "/devportal/applications";
    for act in ["publish", "unpublish", "delete"] {
        sue.submit(applications, &theme, &[("act", act)]).await.expect(403);
    }
    sue.upload(applications, page, &[], ("file", "theme.zip", &first)).await.expect(403);
    assert_eq!(get(node, rest).await, listed);

    visitor.submit(page, &theme, &[("act", "publish")]).await.expect(303);
    let text = visitor.get(page).await.expect(200).text();
    assert!(text.contains(">in force<") && text.contains(">Take back<"), "{text}");
    assert!(visitor.get("/devportal").await.expect(200).text().contains("/devportal/looks/"));
    // One that was published is not taken back over a draft.
    visitor.upload(page, page, &[], ("file", "theme.zip", zip(&[("a.css", b"b {}")]))).await.expect(303);
    let text = visitor.get(page).await.expect(200).text();
    assert!(text.contains("neither a colour nor a logo") && text.contains(">nothing<"), "{text}");
    let refused = visitor.submit(page, &theme, &[("act", "unpublish")]).await.expect(400).text();
    assert!(refused.contains("there is a draft already"), "{refused}");
    let drafts = get(node, &format!("{rest}?publish=false")).await;
    let draft = format!("{page}/{}", journey::text(&drafts[0], "id"));
    visitor.submit(page, &draft, &[("act", "delete")]).await.expect(303);
    visitor.get(&format!("{draft}/content")).await.expect(404);
    visitor.submit(page, &theme, &[("act", "unpublish")]).await.expect(303);
    assert_eq!(get(node, rest).await[0]["published"], false);
    assert!(!visitor.get("/devportal").await.expect(200).text().contains("/devportal/looks/"));
    visitor.submit(page, &theme, &[("act", "delete")]).await.expect(303);
    assert_eq!(get(node, rest).await, json!([]));
    for act in ["publish", "delete"] {
        let refused = visitor.submit(page, &theme, &[("act", act)]).await.expect(404).text();
        assert!(refused.contains("role=\"alert\""), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_counters_tells_what_was_used_and_which_node_was_granted_how_much() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Gold", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(node, &wish).await;
    let token = journey::token(node, &published).await;
    harness::minute::wait_for_room_in_minute(Duration::from_secs(20)).await;
    for _ in 0..7 {
        node.gateway().with_bearer(&token).get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
    }
    let mut visitor = Visitor::administrator(node).await;
    let page = "/admin/policies/counters?policy=Gold";
    let text = until("seven calls on the page", async || {
        let text = visitor.get(page).await.expect(200).text();
        text.contains("<td class=\"number\">7</td><td class=\"number\">5000</td>").then_some(text)
    })
    .await;
    assert!(text.contains("pizza app of admin, pizza 1.0.0"), "{text}");
    assert!(text.contains("node 1: 7 spent of "), "{text}");
    assert!(
        visitor.get("/admin/policies/counters?policy=Silver").await.expect(200).text().contains("No counter is open")
    );
    let named = "/admin/policies/counters?application=pizza%20app&level=subscription";
    assert!(visitor.get(named).await.expect(200).text().contains("pizza 1.0.0"));
    visitor.get("/admin/policies/counters?after=zz").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_removed_where_its_name_is_typed_and_no_rule_stands_against_it() {
    let cluster = Cluster::start(3).await;
    let (leader, followers) = (cluster.leader().await, cluster.followers().await);
    let [stays, gone] = followers[..] else { panic!("two followers") };
    let mut visitor = Visitor::administrator(&cluster.nodes[leader]).await;
    let page_of = |number: usize| format!("/admin/nodes/{}/remove", number + 1);
    assert!(visitor.get("/admin").await.expect(200).text().contains(&page_of(gone)));
    cluster.nodes[gone].kill();
    until("the node to be missed", async || {
        let status = cluster.status().await?;
        (status["nodes"][gone]["health"] == "unreachable").then_some(())
    })
    .await;

    // Without one that answers, the majority would be lost: the page names the rule, and nothing happens.
    let typed = typed_at(&visitor.get(&page_of(stays)).await.expect(200).text());
    let refused = visitor.submit(&page_of(stays), &page_of(stays), &[("typed", &typed)]).await.expect(409);
    assert!(refused.text().contains("rule majority"), "{}", refused.text());

    let page = page_of(gone);
    let refused = visitor.submit(&page, &page, &[("typed", "something else")]).await.expect(400);
    assert!(refused.text().contains("nothing was done"), "{}", refused.text());
    let typed = typed_at(&visitor.get(&page).await.expect(200).text());
    let done = visitor.submit(&page, &page, &[("typed", &typed)]).await.expect(303);
    assert_eq!(done.header("location"), "/admin");
    assert!(visitor.get("/admin").await.expect(200).text().contains(&format!("Node {} (", gone + 1)));
    until("two nodes in the cluster", async || (cluster.status().await?["nodes"].as_array()?.len() == 2).then_some(()))
        .await;
    visitor.get(&page).await.expect(404);
}

/// Returns what a page asks to be typed.
fn typed_at(page: &str) -> String {
    page.split("Type <code>").nth(1).and_then(|rest| rest.split('<').next()).expect("what to type").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_another_tenant_shows_what_is_public_there() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let owner = json!({"username": "tom", "password": PASSWORD, "email": "tom@shop.example", "firstname": "Tom", "lastname": "T",
        "provisioningMethod": "inline-password"});
    let tenant = json!({"domain": "shop.example", "owners": [owner]});
    node.admin().json("POST", "/api/server/v1/tenants", &tenant).await.expect("a tenant").expect(201);
    let url = backend.url();
    let wish = Wish { as_user: Some(("tom@shop.example", PASSWORD)), ..Wish::new("pizza", &url) };
    let api = journey::publish(node, &wish).await;
    let tom = node.as_user("tom@shop.example", PASSWORD);
    let hidden = journey::publish(node, &Wish { name: "secret", ..wish }).await;
    let path = format!("{APIS}/{hidden}");
    let mut body = tom.get(&path).await.expect("the API").expect(200).json();
    body["visibility"] = "PRIVATE".into();
    tom.json("PUT", &path, &body).await.expect("a change").expect(200);

    let mut visitor = Visitor::administrator(node).await;
    assert!(
        !visitor.get("/devportal").await.expect(200).text().contains("/devportal/apis/"),
        "it is not its own Store's"
    );
    for path in ["/devportal?tenant=shop.example", "/t/shop.example/devportal"] {
        let text = visitor.get(path).await.expect(200).text();
        assert!(text.contains("APIs of shop.example") && text.contains(&format!("/devportal/apis/{api}")), "{text}");
        assert!(!text.contains(&hidden), "what is private there is not shown: {text}");
        assert!(text.contains("name=\"tenant\" value=\"shop.example\""), "a search stays there: {text}");
    }
    for end in ["", "/reference", "/definition", "/try", "/documents", "/comments"] {
        visitor.get(&format!("/devportal/apis/{api}{end}")).await.expect(200);
        visitor.get(&format!("/devportal/apis/{hidden}{end}")).await.expect(404);
    }
    let text = visitor.get(&format!("/devportal/apis/{api}")).await.expect(200).text();
    assert!(text.contains("have not opened it to subscribers of yours"), "{text}");
    let comments = format!("/devportal/apis/{api}/comments");
    assert!(!visitor.get(&comments).await.expect(200).text().contains("Say something about it"));
    let refused = visitor.submit("/devportal/applications", &comments, &[("text", "hello")]).await;
    assert_eq!(refused.status, 404, "who may not subscribe says nothing: {}", refused.text());
    visitor.get("/devportal?tenant=nothing.example").await.expect(404);

    // Opened to all tenants, it is subscribed to from there.
    let path = format!("{APIS}/{api}");
    let mut body = tom.get(&path).await.expect("the API").expect(200).json();
    body["subscriptionAvailability"] = "ALL_TENANTS".into();
    tom.json("PUT", &path, &body).await.expect("a change").expect(200);
    let page = format!("/devportal/apis/{api}");
    let fields = [("application", ""), ("new", "From afar"), ("plan", "Unlimited")];
    visitor.submit(&page, &format!("{page}/subscribe"), &fields).await.expect(303);
    assert!(visitor.get(&format!("{page}/try")).await.expect(200).text().contains("From afar"));
}
