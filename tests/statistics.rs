//! What statistics tell of calls that are known: exactly these, through whatever node, also after nodes were killed and
//! leaders changed.

mod harness;

use std::collections::BTreeMap;

use harness::backend::Backend;
use harness::journey::{self, Published, Wish};
use harness::mail::receive_mail;
use harness::visitor::Visitor;
use harness::{Client, Cluster, Node, PASSWORD, until};
use serde_json::{Value, json};

const STATISTICS: &str = "/api/portcullis/v1/statistics";

/// Makes the calls of a kind through a node: good ones, to a resource that there is not, without a key, to no API.
async fn call(node: &Node, published: &Published, token: &str, rounds: u64) {
    let known = node.gateway().with_bearer(token);
    for _ in 0..rounds {
        known.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
        known.get(&format!("{}/order/{rounds}", published.path)).await.expect("call").expect(200);
        known.json("POST", &format!("{}/order", published.path), &json!({"pizza": 1})).await.expect("call").expect(200);
        known.get(&format!("{}/nothing", published.path)).await.expect("call").expect(404);
        node.gateway().get(&format!("{}/menu", published.path)).await.expect("call").expect(401);
        node.gateway().get("/nowhere").await.expect("call").expect(404);
    }
}

async fn report(node: &Node, path: &str) -> Vec<Value> {
    let body = node.admin().get(&format!("{STATISTICS}/{path}")).await.expect("statistics").expect(200).json();
    body["list"].as_array().expect("a list").clone()
}

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().map(|row| row[field].as_u64().unwrap_or_else(|| panic!("{field} in {row}"))).sum()
}

/// Sums calls by the text in a column.
fn by<'a>(rows: &'a [Value], column: &str) -> BTreeMap<&'a str, u64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        *sums.entry(row[column].as_str().expect("a text")).or_default() += row["calls"].as_u64().expect("calls");
    }
    sums
}

/// Waits until a node tells of so many calls in all, and of no more.
async fn wait_for(node: &Node, calls: u64) -> Vec<Value> {
    until(&format!("{calls} calls to be told of"), async || {
        let rows = report(node, "apis?limit=1000").await;
        let told = sum(&rows, "calls");
        assert!(told <= calls, "{told} of {calls} calls are told of: {rows:?}");
        (told == calls).then_some(rows)
    })
    .await
}

/// Adds up what the gateways' own counters say.
async fn counted(nodes: &[&Node]) -> u64 {
    let mut sum = 0;
    for node in nodes {
        let health = Client::plain(&format!("http://{}:9763", node.address));
        let page = health.get("/metrics").await.expect("metrics").expect(200).text();
        let lines = page.lines().filter_map(|line| line.strip_prefix("portcullis_gateway_requests_total{"));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn known_calls_are_told_exactly_through_deaths_of_nodes_and_changes_of_leaders() {
    let mut cluster = Cluster::empty();
    for number in 1..=3 {
        cluster.configure(number, "[statistics]\ngather_ms = 300\n");
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
    for (node, rounds) in [(first, 3), (second, 4), (third, 5)] {
        call(node, &published, &token, rounds).await;
    }
    let apis = wait_for(third, 12 * 6).await;
    assert_eq!(counted(&[first, second, third]).await, 12 * 6, "the gateways' counters");
    let pizza = apis.iter().find(|row| row["name"] == "pizza").expect("the API");
    assert_eq!(
        (&pizza["calls"], &pizza["ok"], &pizza["client_errors"]),
        (&60.into(), &36.into(), &24.into()),
        "{pizza}"
    );
    assert_eq!(pizza["request_bytes"], 12 * 11, "{pizza}");
    assert!(pizza["p95_ms"].as_f64().is_some_and(|p95| p95 > 0.0), "{pizza}");

    let scope = format!("api={}&limit=1000", published.api);
    let resources = report(second, &format!("resources?{scope}")).await;
    let told = [("GET /menu", 24), ("GET /order/{orderId}", 12), ("POST /order", 12), ("(none)", 12)];
    assert_eq!(by(&resources, "resource"), told.into_iter().collect());
    let users = report(second, &format!("users?{scope}")).await;
    assert_eq!(by(&users, "user"), [("admin@carbon.super", 36), ("(anonymous)", 24)].into_iter().collect());
    let applications = report(second, &format!("applications?{scope}")).await;
    assert_eq!(by(&applications, "application_name"), [("pizza app", 36), ("", 24)].into_iter().collect());
    let faults = report(second, &format!("faults?{scope}")).await;
    assert_eq!(by(&faults, "code"), [("404", 12), ("900902", 12)].into_iter().collect());
    let destinations = report(second, &format!("destinations?{scope}")).await;
    assert_eq!(by(&destinations, "destination"), [(backend.url().as_str(), 36)].into_iter().collect());
    let nodes = report(second, "nodes").await;
    assert_eq!(by(&nodes, "node"), [("1", 18), ("2", 24), ("3", 30)].into_iter().collect());
    assert_eq!(sum(&report(second, "usage").await, "calls"), 72);
    assert_eq!(sum(&report(second, "usage?step=day").await, "calls"), 72);

    // A node that is killed after it was told of loses nothing and adds nothing when it is back.
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let others: Vec<usize> = (0..3).filter(|number| *number != leader).collect();
    for number in &others {
        call(&cluster.nodes[*number], &published, &token, 2).await;
    }
    wait_for(&cluster.nodes[others[0]], 72 + 24).await;
    cluster.nodes[leader].run();
    cluster.nodes[leader].wait_ready().await;
    call(&cluster.nodes[leader], &published, &token, 1).await;
    for node in &cluster.nodes {
        wait_for(node, 72 + 24 + 6).await;
    }
    // One that stops in order brings its last calls to the log first.
    call(&cluster.nodes[leader], &published, &token, 1).await;
    assert!(cluster.nodes[leader].terminate().await.success());
    wait_for(&cluster.nodes[others[1]], 72 + 24 + 6 + 6).await;

    // The contracts' operations that tell of the same.
    let admin = cluster.nodes[others[0]].admin();
    for path in ["/api/am/publisher/v4", "/api/am/devportal/v3"] {
        let path = format!("{path}/subscriptions/{}/usage", published.subscription);
        let usage = admin.get(&path).await.expect("usage").expect(200).json();
        assert_eq!(
            (&usage["properties"]["calls"], &usage["properties"]["failedCalls"]),
            (&"54".into(), &"0".into()),
            "{usage}"
        );
    }
    let count = "/api/am/admin/v4/transaction-count?startTime=2026-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z";
    assert_eq!(admin.get(count).await.expect("count").expect(200).json()["count"], 108);
    admin.get("/api/am/admin/v4/transaction-count?startTime=x&endTime=y").await.expect("count").expect(400);

    // As a person sees it.
    let mut visitor = Visitor::administrator(&cluster.nodes[others[0]]).await;
    let page = visitor.get("/admin/statistics?range=1h").await.expect(200).text();
    for part in ["<h2 id=\"traffic\">", "pizza 1.0.0: GET /menu", "pizza app of admin", "900902", "<svg"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(page.len() < 100_000, "{} bytes", page.len());
    let of_api = format!("/publisher/apis/{}/statistics", published.api);
    let page = visitor.get(&of_api).await.expect(200).text();
    assert!(page.contains("pizza 1.0.0") && page.contains("client errors (4xx)"), "{page}");
    // Two of five calls were refused by the gateway: that is not green, nor is it a failure.
    assert!(page.contains("class=\"cell refused\"") && !page.contains("class=\"cell good\""), "{page}");
    assert!(page.contains("10 % or more refused, of ") && page.contains(" refused by the gateway<"), "{page}");
    assert!(page.contains("aria-current=\"page\">Statistics</a>"), "it is among the API's pages: {page}");
    let refused = cluster.nodes[others[0]].anonymous().get("/admin/statistics").await.expect("page").expect(303);
    assert_eq!(refused.header("location"), "/oauth2/portal?page=/admin/statistics");
    let server = cluster.nodes[others[0]].management_url();
    let data_dir = format!("n{}", others[0] + 1);
    let place = ["--server", server.as_str(), "--data-dir", data_dir.as_str()];
    let table = cluster.cli_ok(&[&["stats", "apis", "--from", "1h"], &place[..]].concat());
    assert!(table.lines().any(|line| line.contains("pizza") && line.contains("90")), "{table}");
    let csv = cluster.cli_ok(&[&["stats", "resources", "--api", "pizza:1.0.0", "-o", "csv"], &place[..]].concat());
    assert!(csv.starts_with("api,name,version,resource,calls,"), "{csv}");
    assert!(csv.contains("GET /menu"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_concerns_him_and_nothing_else() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[statistics]\ngather_ms = 200\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let empty = Visitor::administrator(node).await.get("/devportal").await.expect(200).text();
    assert!(empty.contains("<a href=\"/publisher\">Publish an API, in the Publisher</a>"), "{empty}");
    let backend = Backend::start("production").await;
    for (name, role) in [("sue", "Internal/subscriber"), ("paul", "Internal/publisher"), ("eve", "Internal/everyone")] {
        let user = json!({"username": name, "password": format!("Enough-0f-{}", name.len()), "roles": [role]});
        node.admin().json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    }
    let api = journey::publish(node, &Wish::new("pizza", &backend.url())).await;
    let own = Wish { as_user: Some(("sue", "Enough-0f-3")), ..Wish::new("pizza", "") };
    let of_sue = journey::subscribe(node, &own, api.clone()).await;
    let others = Wish { name: "pizza", ..Wish::new("pizza", "") };
    let of_admin = journey::subscribe(node, &others, api).await;
    // The way to the first call is shown until that call is known of.
    let mut owner = Visitor::signed_in(node, "sue", "Enough-0f-3").await;
    let tour = owner.get("/devportal").await.expect(200).text();
    let next = format!("<a href=\"/devportal/apis/{}/try\">Get a key", of_sue.api);
    assert!(tour.contains("To the first call") && tour.contains(&next) && !tour.contains("in the Publisher"), "{tour}");
    for (published, count) in [(&of_sue, 3), (&of_admin, 5)] {
        let client = node.gateway().with_bearer(&journey::token(node, published).await);
        for _ in 0..count {
            client.get("/pizza/1.0.0/menu").await.expect("call").expect(200);
        }
    }
    wait_for(node, 8).await;
    let see = async |user: &str, path: &str| {
        let client = node
            .as_user(user, &if user == "admin" { PASSWORD.to_owned() } else { format!("Enough-0f-{}", user.len()) });
        client.get(&format!("{STATISTICS}/{path}")).await.expect("statistics")
    };
    for (user, path, calls) in [
        ("admin", "applications", 8),
        ("paul", "applications", 8),
        ("paul", "latency", 8),
        ("sue", "applications", 3),
        ("sue", "usage", 3),
        ("sue", "users", 3),
    ] {
        let body = see(user, path).await.expect(200).json();
        assert_eq!(sum(body["list"].as_array().expect("a list"), "calls"), calls, "{path} for {user}: {body}");
    }
    // How long all calls took, and what others did, is not hers.
    see("sue", "latency").await.expect(400);
    see("eve", "apis").await.expect(403);
    see("paul", "apis?tenant=other.example").await.expect(403);
    see("admin", "everything").await.expect(404);
    assert_eq!(node.anonymous().get(&format!("{STATISTICS}/apis")).await.expect("statistics").status, 401);

    // The page of an application is its owner's.
    let usage = format!("/devportal/applications/{}/usage", of_sue.application);
    assert!(!owner.get("/devportal").await.expect(200).text().contains("To the first call"));
    let page = owner.get(&usage).await.expect(200).text();
    assert!(page.contains("<dt>Requests</dt><dd>3</dd>") && page.contains("pizza 1.0.0"), "{page}");
    assert!(!page.contains("admin@carbon.super") && !page.contains("<h2 id=\"latency\">"), "{page}");
    let links = follow_values(&mut owner, &page).await;
    assert!(
        links.iter().any(|(link, csv)| link.contains("/csv/users?") && csv.contains("sue@carbon.super,3")),
        "{links:?}"
    );
    let of_application = owner.get(&format!("/devportal/applications/{}", of_sue.application)).await.expect(200).text();
    assert!(of_application.contains(&usage), "{of_application}");
    owner.get(&format!("/devportal/applications/{}/usage", of_admin.application)).await.expect(403);
    let mut admin = Visitor::administrator(node).await;
    for path in [usage.clone(), links[0].0.clone()] {
        admin.get(&path).await.expect(403);
        Visitor::new(node).get(&path).await.expect(303);
    }
}

/// Gets what each link beside a chart leads to, as CSV; returns the links and what was there.
async fn follow_values(visitor: &mut Visitor<'_>, page: &str) -> Vec<(String, String)> {
    let links = page.split("class=\"csv\" href=\"").skip(1).map(|rest| rest.split('"').next().expect("a link"));
    let links: Vec<String> = links.map(|link| link.replace("&amp;", "&")).collect();
    assert_eq!(links.len(), page.matches("<figure").count(), "each chart has its values: {page}");
    let mut found = Vec::new();
    for link in links {
        let reply = visitor.get(&link).await.expect(200);
        assert!(reply.header("content-type").starts_with("text/csv"), "{link}: {:?}", reply.headers);
        found.push((link, reply.text()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_many_apis_are_small_and_their_values_are_had_by_who_sees_them() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[statistics]\ngather_ms = 200\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let user = json!({"username": "paul", "password": PASSWORD, "roles": ["Internal/publisher"]});
    node.admin().json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    let (mut apis, mut calls) = (Vec::new(), 0);
    for number in 0..9 {
        let name = format!("an-api-of-a-name-that-is-not-short-{number}");
        let published = journey::publish_and_subscribe(node, &Wish::new(&name, &backend.url())).await;
        call(node, &published, &journey::token(node, &published).await, number % 3 + 1).await;
        calls += 6 * (number % 3 + 1);
        apis.push(published.api);
    }
    wait_for(node, calls).await;
    let (mut admin, mut paul) = (Visitor::administrator(node).await, Visitor::signed_in(node, "paul", PASSWORD).await);
    for range in ["1h", "24h", "7d", "30d"] {
        let page = admin.get(&format!("/admin/statistics?range={range}")).await.expect(200);
        assert!(page.body.len() < 100_000, "{range}: {} bytes", page.body.len());
        let page = page.text();
        assert!(page.contains(&format!("<dt>Requests</dt><dd>{calls}</dd>")), "{page}");
        for (link, csv) in follow_values(&mut admin, &page).await {
            assert!(link.contains("/csv/throttled?") || csv.lines().count() > 1, "{link} has no values: {csv}");
        }
        let of_api = format!("/publisher/apis/{}/statistics?range={range}", apis[2]);
        let page = paul.get(&of_api).await.expect(200).text();
        assert!(page.len() < 100_000, "{range}: {} bytes", page.len());
        for (link, csv) in follow_values(&mut paul, &page).await {
            assert!(!csv.contains("not-short-1"), "{link} tells of another API: {csv}");
            paul.get(&link.replace(&format!("/publisher/apis/{}", apis[2]), "/admin")).await.expect(403);
        }
    }
    let csv = "/admin/statistics/csv";
    let day = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    Visitor::new(node).get(&format!("{csv}/usage?{day}")).await.expect(303);
    admin.get(&format!("{csv}/usage?from=yesterday&to=now")).await.expect(400);
    admin.get(&format!("{csv}/everything?{day}")).await.expect(404);
}

/// Answers one request, and returns its head and body.
async fn receive(listener: &tokio::net::TcpListener) -> (String, Value) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let count = stream.read(&mut piece).await.expect("a piece");
        assert!(count > 0, "the request broke off: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let Ok(body) = serde_json::from_str(body) else { continue };
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.expect("an answer");
        return (head.to_owned(), body);
    }
}

/// Publishes an API and subscribes to it by a plan of one call an hour.
async fn tiny_plan(node: &harness::Node, backend: &str) -> journey::Published {
    let limit =
        json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": "hour", "unitTime": 1, "requestCount": 1}});
    let plan = json!({
        "policyName": "Tiny", "displayName": "Tiny", "defaultLimit": limit, "stopOnQuotaReach": true, "billingPlan": "FREE",
    });
    let path = "/api/am/admin/v4/throttling/policies/subscription";
    node.admin().json("POST", path, &plan).await.expect("plan").expect(201);
    journey::publish_and_subscribe(node, &Wish { plan: "Tiny", ..Wish::new("pizza", backend) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_beyond_its_plan_is_told_to_a_webhook() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hook = format!("http://{}/hooks/portcullis?key=1", listener.local_addr().expect("an address"));
    let mut cluster = Cluster::empty();
    // The address is a secret of its own, as that of many chat rooms is.
    let file = cluster.path("hook");
    std::fs::write(&file, format!("{hook}\n")).expect("a file");
    let alerts = format!("[alerts]\nwebhook_url_file = \"{}\"\nevery_s = 1\nthrottled_min = 3\n", file.display());
    cluster.configure(1, &format!("[statistics]\ngather_ms = 200\n{alerts}"));
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = tiny_plan(node, &backend.url()).await;
    let client = node.gateway().with_bearer(&journey::token(node, &published).await);
    let menu = format!("{}/menu", published.path);
    client.get(&menu).await.expect("call").expect(200);
    for _ in 0..5 {
        client.get(&menu).await.expect("call").expect(429);
    }
    let (head, body) = receive(&listener).await;
    assert!(head.starts_with("POST /hooks/portcullis?key=1 "), "{head}");
    let alert = &body["alerts"][0];
    assert_eq!((&alert["kind"], &alert["application_name"]), (&"beyond-plan".into(), &"pizza app".into()), "{body}");
    assert_eq!(
        (&alert["api_name"], &alert["application"]),
        (&"pizza".into(), &published.application.clone().into()),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_beyond_its_plan_is_told_by_mail() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut cluster = Cluster::empty();
    let file = cluster.path("mail-url");
    std::fs::write(&file, format!("smtp://{}\n", listener.local_addr().expect("an address"))).expect("a file");
    let mail = format!(
        "mail_url_file = \"{}\"\nmail_from = \"Portcullis <gate@example.com>\"\nmail_to = [\"ops@example.com\"]\n",
        file.display()
    );
    cluster.configure(1, &format!("[statistics]\ngather_ms = 200\n[alerts]\nevery_s = 1\nthrottled_min = 3\n{mail}"));
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = tiny_plan(node, &backend.url()).await;
    let client = node.gateway().with_bearer(&journey::token(node, &published).await);
    for status in [200, 429, 429, 429, 429] {
        client.get(&format!("{}/menu", published.path)).await.expect("call").expect(status);
    }
    let (commands, message) = receive_mail(&listener).await;
    assert!(commands.contains("RCPT TO:<ops@example.com>"), "{commands}");
    // Who subscribes is told of the kinds that are meant, beside those whom the configuration names.
    let (admin, path) = (node.admin(), "/api/am/admin/v4/alert-subscriptions");
    let types = admin.get("/api/am/admin/v4/alert-types").await.expect("types").expect(200).json();
    let kind = |name: &str| {
        let all = types["alerts"].as_array().into_iter().flatten();
        all.filter(|one| one["name"] == name).cloned().collect::<Vec<_>>()
    };
    for bad in [json!({"alerts": [{"name": "nothing"}], "emailList": ["a@b.c"]}), json!({"alerts": kind("slow")})] {
        admin.json("PUT", path, &bad).await.expect("bad").expect(400);
    }
    let body = json!({"alerts": kind("beyond-plan"), "emailList": ["ann@example.com"]});
    assert_eq!(admin.json("PUT", path, &body).await.expect("subscribe").expect(200).json(), body);
    assert_eq!(admin.get(path).await.expect("subscription").expect(200).json(), body);
    let (subscribed, told) = receive_mail(&listener).await;
    assert!(subscribed.contains("RCPT TO:<ann@example.com>") && told.contains("pizza app"), "{subscribed} {told}");
    for _ in 0..2 {
        admin.send("DELETE", path, &[], "").await.expect("unsubscribe").expect(200);
    }
    let none = admin.get(path).await.expect("subscription").expect(200).json();
    assert_eq!(none, json!({"alerts": [], "emailList": []}));
    assert!(message.contains("From: Portcullis <gate@example.com>"), "{message}");
    assert!(message.contains("Subject: Portcullis: pizza 1.0.0: ") && message.contains("pizza app"), "{message}");
}
