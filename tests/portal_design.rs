//! What publishers do by forms of the pages with designs, and what is called from pages: endpoints, revisions, definitions in
//! whatever language, keys to try out.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::visitor::{Visitor, hidden};
use harness::{Cluster, Node};
use serde_json::{Value, json};

const APIS: &str = "/api/am/publisher/v4/apis";

async fn get(node: &Node, path: &str) -> Value {
    node.admin().get(path).await.expect(path).expect(200).json()
}

/// Returns what is in a text area of a page.
fn text_area(page: &str, name: &str) -> String {
    let at = page.find(&format!("<textarea id=\"{name}\"")).unwrap_or_else(|| panic!("no {name} in {page}"));
    let (_, rest) = page[at..].split_once('>').expect("a text area");
    rest.split("</textarea>").next().expect("its end").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_are_saved_as_they_are_shown_stay_what_they_are() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let api = journey::publish(node, &Wish::new("pizza", "http://127.0.0.1:9")).await;
    let path = format!("{APIS}/{api}");
    let endpoints = json!({
        "endpoint_type": "failover",
        "production_endpoints": {"url": "http://127.0.0.1:9", "config": {"actionDuration": "3000", "suspendDuration": "500"}},
        "production_failovers": [
            {"url": "http://127.0.0.1:10", "config": {"actionDuration": "3000"}},
            {"url": "http://127.0.0.1:11", "config": {"actionDuration": "3000"}},
        ],
        "endpoint_security": {"production": {"enabled": true, "type": "BASIC", "username": "gate", "password": "s3cret"}},
    });
    let mut body = get(node, &path).await;
    body["endpointConfig"] = endpoints;
    node.admin().json("PUT", &path, &body).await.expect("a change").expect(200);
    let before = get(node, &path).await["endpointConfig"].clone();
    let mut visitor = Visitor::administrator(node).await;
    let (design, form) = (format!("/publisher/apis/{api}/design"), format!("/publisher/apis/{api}/endpoints"));
    let page = visitor.get(&design).await.expect(200).text();
    let (production, sandbox) = (text_area(&page, "production"), text_area(&page, "sandbox"));
    assert_eq!(production.lines().count(), 3, "{production}");
    assert!(page.contains("value=\"failover\" selected") && page.contains("value=\"3000\""), "{page}");
    let unchanged = [
        ("production", production.as_str()),
        ("sandbox", &sandbox),
        ("sharing", "failover"),
        ("timeout", "3000"),
        ("health", ""),
    ];
    visitor.submit(&design, &form, &unchanged).await.expect(303);
    assert_eq!(get(node, &path).await["endpointConfig"], before);

    // One is put in front, and all may take longer; what is known of the others goes with them.
    let changed = format!("http://127.0.0.1:12\n{production}");
    let changed = [("production", changed.as_str()), ("sharing", "failover"), ("timeout", "4000"), ("health", "")];
    visitor.submit(&design, &form, &changed).await.expect(303);
    let after = get(node, &path).await["endpointConfig"].clone();
    assert_eq!(
        after["production_endpoints"],
        json!({"url": "http://127.0.0.1:12", "config": {"actionDuration": "4000"}})
    );
    let first = json!({"actionDuration": "4000", "suspendDuration": "500"});
    assert_eq!(after["production_failovers"][0], json!({"url": "http://127.0.0.1:9", "config": first}));
    assert_eq!(after["endpoint_security"], before["endpoint_security"]);
    let shared = [("production", production.as_str()), ("sharing", "load_balance"), ("timeout", "soon")];
    let refused = visitor.submit(&design, &form, &shared).await.expect(400).text();
    assert!(refused.contains("actionDuration") && refused.contains("value=\"soon\""), "{refused}");
    visitor.submit(&design, &form, &[&shared[..2], &[("timeout", "4000")]].concat()).await.expect(303);
    let after = get(node, &path).await["endpointConfig"].clone();
    assert_eq!(
        (&after["endpoint_type"], after["production_endpoints"].as_array().map(Vec::len)),
        (&json!("load_balance"), Some(3))
    );
}

/// Deploys and publishes an API.
async fn publish(node: &Node, api: &str) {
    journey::deploy(&node.admin(), api).await;
    let path = format!("{APIS}/change-lifecycle?action=Publish&apiId={api}");
    node.admin().send("POST", &path, &[], "").await.expect("publish").expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn apis_of_other_languages_are_shown_and_called_in_their_own_way() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let mut visitor = Visitor::administrator(node).await;
    let url = backend.url();
    let sockets = url.replacen("http", "ws", 1);
    for (kind, endpoint, definition, label, link, seen, line) in [
        (
            "GRAPHQL",
            url.as_str(),
            "type Query {\n  menu: [String]\n}",
            "Schema in GraphQL&#39;s language",
            "The GraphQL schema",
            "menu: [String]",
            "-d &#39;{&#34;query&#34;:&#34;{ __typename }&#34;}&#39;",
        ),
        ("SOAP", &url, "<definitions/>", "WSDL, XML", "The WSDL", "SOAPAction", "SOAPAction: &#34;&#34;"),
        (
            "WS",
            &sockets,
            "asyncapi: 2.0.0\ninfo: {title: a, version: '1'}\nchannels: {news: {subscribe: {}}}",
            "AsyncAPI document, JSON or YAML",
            "The AsyncAPI document",
            "SUBSCRIBE",
            "wscat -H ",
        ),
    ] {
        let (name, context) = (kind.to_lowercase(), format!("/{kind}"));
        let fields = [
            ("name", name.as_str()),
            ("version", "1"),
            ("context", &context),
            ("endpoint", endpoint),
            ("plan", "Unlimited"),
        ];
        let file = ("file", "a.txt", definition);
        let made = visitor.upload("/publisher/create", "/publisher/import", &fields, file).await.expect(303);
        let id = made.header("location").rsplit('/').next().expect("an id").to_owned();
        publish(node, &id).await;
        let mut get = async |path: &str| visitor.get(path).await.expect(200).text();
        let page = get(&format!("/publisher/apis/{id}/definition")).await;
        assert!(page.contains(&format!("<label for=\"text\">{label}</label>")), "{kind}: {page}");
        let reference = get(&format!("/devportal/apis/{id}/reference")).await;
        assert!(reference.contains(link) && reference.contains(seen), "{kind}: {reference}");
        assert!(!reference.contains("The OpenAPI document"), "{kind}: {reference}");
        let definition = get(&format!("/devportal/apis/{id}/definition")).await;
        assert!(["type Query", "definitions", "asyncapi"].iter().any(|word| definition.contains(word)), "{definition}");
        let page = get(&format!("/devportal/apis/{id}/try")).await;
        assert!(page.contains(line), "{kind}: {page}");
        assert_eq!(
            page.contains("data-try"),
            kind != "WS",
            "{kind} is sent from the page where it is answered: {page}"
        );
        let overview = get(&format!("/devportal/apis/{id}")).await;
        assert!(
            !overview.contains("QUERY") && !overview.contains("SUBSCRIBE"),
            "no such verbs are for curl: {overview}"
        );
        let publishers = get(&format!("/publisher/apis/{id}/try")).await;
        assert_eq!(publishers.contains("data-header=\"Internal-Key\""), kind != "WS", "{kind}: {publishers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_tries_what_is_deployed_before_anybody_can_subscribe() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let body = json!({"name": "pizza", "context": "/pizza", "version": "1.0.0", "policies": ["Unlimited"],
        "operations": [{"target": "/menu", "verb": "GET", "authType": "Any", "throttlingPolicy": "Unlimited"}],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": backend.url()}}});
    let made = node.admin().json("POST", APIS, &body).await.expect("an API").expect(201).json();
    let api = journey::text(&made, "id");
    let mut visitor = Visitor::administrator(node).await;
    let path = format!("/publisher/apis/{api}/try");
    assert!(visitor.get(&path).await.expect(200).text().contains("Deploy a revision"));
    journey::deploy(&node.admin(), &api).await;
    let page = visitor.submit(&path, &path, &[]).await.expect(200).text();
    let key = hidden(&page.replace("id=\"key\" name=\"key\"", "name=\"key\""), "key");
    assert!(!key.is_empty() && page.contains(&format!("https://{}:8243/pizza/1.0.0", node.address)), "{page}");
    let call = node.gateway().send("GET", "/pizza/1.0.0/menu", &[("internal-key", &key)], "").await.expect("a call");
    call.expect(200);
    // The page of another origin may send that header.
    let asked = [
        ("origin", "https://portal.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "internal-key"),
    ];
    let allowed = node.gateway().send("OPTIONS", "/pizza/1.0.0/menu", &asked, "").await.expect("a call");
    assert!(
        allowed.header("access-control-allow-headers").to_lowercase().contains("internal-key"),
        "{:?}",
        allowed.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_deployed_where_it_is_wanted_and_compared_with_others() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let edge = json!({
        "name": "Edge", "displayName": "At the edge", "type": "hybrid",
        "vhosts": [{"host": "one.example.com", "httpPort": 80, "httpsPort": 443}, {"host": "two.example.com"}],
    });
    node.admin().json("POST", "/api/am/admin/v4/environments", &edge).await.expect("an environment").expect(201);
    let api = journey::publish(node, &Wish::new("pizza", "http://127.0.0.1:9")).await;
    let mut visitor = Visitor::administrator(node).await;
    let (page, design) = (format!("/publisher/apis/{api}/revisions"), format!("/publisher/apis/{api}/design"));
    let fields = [("production", "http://127.0.0.1:10"), ("sharing", "load_balance"), ("timeout", ""), ("health", "")];
    visitor.submit(&design, &format!("/publisher/apis/{api}/endpoints"), &fields).await.expect(303);
    let places = [("description", "moved"), ("place", "two.example.com Edge"), ("deploy", "yes")];
    visitor.submit(&page, &page, &places).await.expect(303);
    let shown = visitor.get(&page).await.expect(200).text();
    assert!(shown.contains("Edge (two.example.com)") && shown.contains("Default (localhost)"), "{shown}");
    let revisions = get(node, &format!("{APIS}/{api}/revisions?query=deployed:true")).await;
    assert_eq!(revisions["count"], 2, "each is where it was put: {revisions}");
    // Where it is at another host alone, the page to try it may send there.
    let list = revisions["list"].as_array().expect("revisions");
    let is_default = |one: &&Value| one["deploymentInfo"][0]["name"] == "Default";
    let default =
        list.iter().find(is_default).expect("a revision at the default gateway")["id"].as_str().expect("an id");
    let (undeploy, from) =
        (format!("{APIS}/{api}/undeploy-revision?revisionId={default}"), json!([{"name": "Default"}]));
    node.admin().json("POST", &undeploy, &from).await.expect("an answer").expect(201);
    let tried = visitor.get(&format!("/publisher/apis/{api}/try")).await.expect(200);
    let (policy, text) = (tried.header("content-security-policy"), tried.text());
    assert!(text.contains("https://two.example.com"), "{text}");
    assert!(policy.contains("connect-src 'self' ") && policy.contains(" https://two.example.com;"), "{policy}");
    let (deploy, to) = (undeploy.replace("undeploy", "deploy"), json!([{"name": "Default", "vhost": "localhost"}]));
    node.admin().json("POST", &deploy, &to).await.expect("an answer").expect(200);
    let compared = visitor.get(&format!("{page}?from=1&to=2")).await.expect(200).text();
    assert!(compared.contains("From revision 1 to revision 2"), "{compared}");
    for told in ["+ production endpoint http://127.0.0.1:10", "− production endpoint http://127.0.0.1:9"] {
        assert!(compared.contains(&format!("<li>{told}</li>")), "{told}: {compared}");
    }
    let same = visitor.get(&format!("{page}?from=2")).await.expect(200).text();
    assert!(same.contains("From revision 2 to now") && same.contains("They are the same."), "{same}");
    let second = revisions["list"].as_array().expect("a list").iter().find(|one| one["displayName"] == "Revision 2");
    let second = journey::text(second.expect("the second"), "id");
    let undeploy = format!("{page}/{second}/undeploy");
    visitor.submit(&page, &undeploy, &[("environment", "Edge")]).await.expect(303);
    let revisions = get(node, &format!("{APIS}/{api}/revisions?query=deployed:true")).await;
    assert_eq!(revisions["count"], 1, "{revisions}");
}
