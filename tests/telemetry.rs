//! What others are told of calls: alerts about addresses, countries, events, traces and metrics; against receivers that
//! keep what comes.

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{SinkExt as _, StreamExt as _};
use harness::backend::Backend;
use harness::country_file::country_file;
use harness::journey::{self, Published, Wish};
use harness::receiver::{Received, Receiver};
use harness::visitor::Visitor;
use harness::{Client, Cluster, Node, chat, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Calls the menu as if a balancer passed the call on for a client.
async fn call_from(node: &Node, published: &Published, token: &str, address: &str) {
    let client = node.gateway().with_bearer(token);
    let path = format!("{}/menu", published.path);
    client.send("GET", &path, &[("x-forwarded-for", address)], "").await.expect("call").expect(200);
}

/// Returns the alerts of a kind that came.
fn alerts(received: &[Received], kind: &str) -> Vec<Value> {
    let all = received.iter().flat_map(|one| one.json()["alerts"].as_array().expect("alerts").clone());
    all.filter(|alert| alert["kind"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_no_node_saw_lately_is_told_once() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::empty();
    let alerting = format!("[alerts]\nwebhook_url = \"{}/hook\"\nevery_s = 1\nunseen_days = 30\n", receiver.url);
    let behind = "[gateway]\nworkers = 1\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    for number in 1..=3 {
        cluster.configure(number, &format!("{behind}[statistics]\ngather_ms = 200\n{alerting}"));
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let backend = Backend::start("production").await;
    let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
    let published = journey::publish_and_subscribe(first, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(first, &published).await;

    // The first address of an application is usual, through whatever node it calls. One worker tells in order.
    for node in [first, second, third] {
        call_from(node, &published, &token, "203.0.113.1").await;
    }
    // One more, through two nodes at about the same time, and a network of IPv6 by two of its addresses.
    call_from(second, &published, &token, "203.0.113.2").await;
    let found = receiver.wait_for("an alert", |all| alerts(all, "unseen-address").first().cloned()).await;
    assert_eq!(
        (&found["address"], &found["api_name"], &found["application"]),
        (&"203.0.113.2".into(), &"pizza".into(), &published.application.clone().into()),
        "{found}"
    );
    let text = found["text"].as_str().expect("a text");
    assert!(text.contains("pizza app") && text.contains("203.0.113.2") && text.contains("30 days"), "{text}");
    for (node, address) in [
        (third, "203.0.113.2"),
        (first, "2001:db8:7:7::1"),
        (third, "2001:db8:7:7:ffff::2"),
        (second, "203.0.113.1"),
        (second, "203.0.113.9"),
    ] {
        call_from(node, &published, &token, address).await;
    }
    let told = receiver
        .wait_for("three addresses", |all| {
            let alerts = alerts(all, "unseen-address");
            (alerts.len() >= 3).then(|| {
                let mut addresses: Vec<String> = alerts.iter().map(|one| journey::text(one, "address")).collect();
                addresses.sort();
                addresses
            })
        })
        .await;
    assert_eq!(told, ["2001:db8:7:7::/64", "203.0.113.2", "203.0.113.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_country_and_a_new_file_is_read() {
    let mut cluster = Cluster::empty();
    let file = cluster.path("countries.mmdb");
    std::fs::write(&file, country_file(&[("203.0.113.0/24", "AT"), ("2001:db8::/32", "CH")])).expect("a file");
    let behind = "[gateway]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let countries = format!("[statistics]\ngather_ms = 200\ncountry_file = \"{}\"\n", file.display());
    cluster.configure(1, &format!("{behind}{countries}"));
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(node, &published).await;
    for address in ["203.0.113.1", "203.0.113.2", "2001:db8::1", "198.51.100.1"] {
        call_from(node, &published, &token, address).await;
    }
    let seen = async || {
        let path = "/api/portcullis/v1/statistics/countries";
        let list = node.admin().get(path).await.expect("statistics").expect(200).json()["list"].clone();
        let rows = list.as_array().expect("a list").clone();
        let told = rows.iter().map(|row| (journey::text(row, "country"), row["calls"].as_u64().expect("calls")));
        told.collect::<BTreeMap<_, _>>()
    };
    let told = [("AT", 2), ("CH", 1), ("(unknown)", 1)].map(|(country, calls)| (country.to_owned(), calls));
    until("calls by country", async || (seen().await == told.iter().cloned().collect()).then_some(())).await;

    // A new file takes the place of the old one, as its provider's tool writes it.
    let new = cluster.path("countries.new");
    std::fs::write(&new, country_file(&[("198.51.100.0/24", "LI")])).expect("a file");
    std::fs::rename(&new, &file).expect("the file");
    until("the new file to be read", async || {
        call_from(node, &published, &token, "198.51.100.1").await;
        seen().await.contains_key("LI").then_some(())
    })
    .await;
    // One that is damaged leaves what was known.
    std::fs::write(&file, b"no such file").expect("a file");
    until("the damaged file to be noted", async || node.log().contains("by the file as it was before").then_some(()))
        .await;
    call_from(node, &published, &token, "198.51.100.1").await;

    // As a person sees it.
    let server = node.management_url();
    let place = ["--server", server.as_str(), "--data-dir", "n1"];
    let csv = cluster.cli_ok(&[&["stats", "countries", "-o", "csv"], &place[..]].concat());
    assert!(csv.starts_with("country,calls,") && csv.lines().any(|line| line.starts_with("AT,2,")), "{csv}");
    let table = cluster.cli_ok(&[&["stats", "countries"], &place[..]].concat());
    assert!(table.lines().any(|line| line.starts_with("CH")), "{table}");
    let mut visitor = Visitor::administrator(node).await;
    let page = visitor.get("/admin/statistics?range=1h").await.expect(200).text();
    assert!(page.contains("By country") && page.contains("statistics/csv/countries"), "{page}");
    // A node is not started by a file that tells nothing.
    assert!(cluster.nodes[0].terminate().await.success());
    let refused = cluster.cli(&["server", "--data-dir", "n1"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("statistics.country_file"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_see_the_calls_to_those_apis_that_they_may_see() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[statistics]\ngather_ms = 200\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let role = json!({"displayName": "bakers"});
    admin.json("POST", "/scim2/Groups", &role).await.expect("role").expect(201);
    for (name, roles) in [("paul", json!(["Internal/publisher"])), ("vera", json!(["Internal/publisher", "bakers"]))] {
        let user = json!({"username": name, "password": "Enough-0f-this", "roles": roles});
        admin.json("POST", "/api/portcullis/v1/users", &user).await.expect("user").expect(201);
    }
    let backend = Backend::start("production").await;
    let open = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let hidden = journey::publish_and_subscribe(node, &Wish::new("secret", &backend.url())).await;
    let path = format!("/api/am/publisher/v4/apis/{}", hidden.api);
    let mut api = admin.get(&path).await.expect("the API").expect(200).json();
    api["accessControl"] = json!("RESTRICTED");
    api["accessControlRoles"] = json!(["bakers"]);
    admin.json("PUT", &path, &api).await.expect("the API").expect(200);
    for (published, calls) in [(&open, 3), (&hidden, 5)] {
        let client = node.gateway().with_bearer(&journey::token(node, published).await);
        for _ in 0..calls {
            client.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
        }
    }
    let see = async |user: &str, path: &str| {
        let client = if user == "admin" { node.admin() } else { node.as_user(user, "Enough-0f-this") };
        client.get(&format!("/api/portcullis/v1/statistics/{path}")).await.expect("statistics")
    };
    let count = async |user: &str, path: &str| -> u64 {
        let list = see(user, path).await.expect(200).json()["list"].clone();
        list.as_array().expect("a list").iter().map(|row| row["calls"].as_u64().expect("calls")).sum()
    };
    until("all calls to be told of", async || (count("admin", "apis").await == 8).then_some(())).await;
    for (user, calls) in [("paul", 3), ("vera", 8)] {
        for report in ["apis", "usage", "resources", "users", "nodes"] {
            assert_eq!(count(user, report).await, calls, "{report} for {user}");
        }
    }
    assert_eq!(count("paul", &format!("usage?api={}", hidden.api)).await, 0);
    see("paul", "usage?api=secret:1.0.0").await.expect(400);
    assert_eq!(count("vera", "usage?api=secret:1.0.0").await, 5);
    let last = see("paul", "last-access").await.expect(200).json();
    assert_eq!((&last["count"], &last["list"][0]["name"]), (&1.into(), &"pizza".into()), "{last}");
    // The pages.
    for (user, status) in [("paul", 404), ("vera", 200)] {
        let mut visitor = Visitor::signed_in(node, user, "Enough-0f-this").await;
        let page = format!("/publisher/apis/{}/statistics", hidden.api);
        visitor.get(&page).await.expect(status);
        visitor.get(&format!("/publisher/apis/{}/statistics", open.api)).await.expect(200);
    }
}

/// Sends a text and waits for its echo.
async fn echoed(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.expect("send");
    loop {
        let next = tokio::time::timeout(harness::PATIENCE, socket.next()).await.expect("an echo in time");
        if next.expect("an open connection").expect("a message").is_text() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_an_open_websocket_are_counted_with_their_bytes() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[statistics]\ngather_ms = 200\n");
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let (admin, backend) = (node.admin(), chat::echo().await);
    let auth = "Application & Application User";
    let api = json!({
        "name": "chat", "context": "/chat", "version": "1.0.0", "type": "WS", "policies": ["AsyncUnlimited"],
        "endpointConfig": {"endpoint_type": "ws", "production_endpoints": {"url": backend}},
        "operations": [
            {"target": "/rooms", "verb": "SUBSCRIBE", "authType": auth},
            {"target": "/rooms", "verb": "PUBLISH", "authType": auth},
        ],
    });
    let made = admin.json("POST", "/api/am/publisher/v4/apis", &api).await.expect("api").expect(201).json();
    let id = journey::text(&made, "id");
    journey::deploy(&admin, &id).await;
    let publish = format!("/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let wish = Wish { plan: "AsyncUnlimited", ..Wish::new("chat", &backend) };
    let published = journey::subscribe(node, &wish, id).await;
    let mut socket = chat::open(node, "/chat/1.0.0/rooms", &journey::token(node, &published).await).await;
    for _ in 0..3 {
        echoed(&mut socket, "hello").await;
    }
    socket.send(Message::Ping("x".into())).await.expect("send");
    // While it is open, and for who called as for the API.
    let seen = async |report: &str| {
        let path = format!("/api/portcullis/v1/statistics/{report}");
        let rows = admin.get(&path).await.expect("statistics").expect(200).json()["list"].clone();
        let rows = rows.as_array().expect("a list").clone();
        let row = rows.into_iter().find(|row| row["messages"].as_u64().is_some_and(|messages| messages > 0))?;
        let number = |field: &str| row[field].as_u64().expect("a number");
        Some((number("calls"), number("messages"), number("request_bytes"), number("response_bytes")))
    };
    for report in ["apis", "users", "destinations"] {
        until("the messages", async || (seen(report).await? == (1, 6, 15, 15)).then_some(())).await;
    }
    // What comes later is added, and nothing is lost when the connection ends.
    echoed(&mut socket, "bye").await;
    socket.close(None).await.expect("close");
    until("the last message", async || (seen("apis").await? == (1, 8, 18, 18)).then_some(())).await;
    let server = node.management_url();
    let table = cluster.cli_ok(&["stats", "apis", "--server", &server, "--data-dir", "n1"]);
    assert!(table.contains("MESSAGES"), "{table}");
}

/// Returns the events that were taken: those of batches that were answered well, each batch once.
fn events(received: &[Received], refused: usize) -> Vec<Value> {
    let taken = received.iter().skip(refused);
    taken.flat_map(|one| one.json()["events"].as_array().expect("events").clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_of_each_call_once_and_signed_though_it_fails_at_first() {
    let receiver = Receiver::start().await;
    receiver.answer_next(&[503, 429]);
    let mut cluster = Cluster::empty();
    let secret = cluster.path("secret");
    std::fs::write(&secret, "a secret\n").expect("a file");
    let url = cluster.path("url");
    std::fs::write(&url, format!("{}/events?from=here\n", receiver.url)).expect("a file");
    let told = format!(
        "[events]\nwebhook_url_file = \"{}\"\nwebhook_secret_file = \"{}\"\nlinger_ms = 50\nbatch_max = 4\n",
        url.display(),
        secret.display()
    );
    cluster.configure(1, &told);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let client = node.gateway().with_bearer(&journey::token(node, &published).await);
    for number in 0..10 {
        let order = json!({"number": number});
        client.json("POST", &format!("{}/order", published.path), &order).await.expect("call").expect(200);
    }
    node.gateway().get(&format!("{}/menu", published.path)).await.expect("call").expect(401);
    receiver.wait_for("a batch to be taken", |all| (all.len() >= 3).then_some(())).await;
    client.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
    // A node that stops in order tells of its last calls first.
    assert!(cluster.nodes[0].terminate().await.success());
    let received = receiver.received();
    let told = events(&received, 2);
    assert_eq!(told.len(), 12, "{told:#?}");
    let orders: Vec<&Value> = told.iter().filter(|event| event["resource"] == "POST /order").collect();
    assert_eq!(orders.len(), 10);
    let order = orders[0];
    for (field, value) in [
        ("api_name", "pizza"),
        ("api_version", "1.0.0"),
        ("resource", "POST /order"),
        ("application_name", "pizza app"),
        ("user", "admin@carbon.super"),
        ("key_type", "PRODUCTION"),
        ("destination", backend.url().as_str()),
    ] {
        assert_eq!(order[field], value, "{order:#}");
    }
    assert_eq!((&order["request_bytes"], &order["code"]), (&12.into(), &Value::Null), "{order:#}");
    assert!(order["took_us"].as_u64() >= order["upstream_us"].as_u64() && order["upstream_us"].is_u64(), "{order:#}");
    let refused = told.iter().find(|event| event["status"] == 401).expect("the call without a key");
    assert_eq!((&refused["code"], &refused["application"]), (&"900902".into(), &Value::Null), "{refused:#}");

    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a secret");
    for one in &received {
        let signed = aws_lc_rs::hmac::sign(&key, &one.body);
        let expected: String = signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(one.header("x-hub-signature-256"), format!("sha256={expected}"));
        assert_eq!((one.target.as_str(), one.header("content-type")), ("/events?from=here", "application/json"));
        assert!(one.json()["events"].as_array().expect("events").len() <= 4);
    }
    // What was refused came again under its name, and no name twice after that.
    assert_eq!(received[0].header("x-portcullis-delivery"), received[2].header("x-portcullis-delivery"));
    let names: BTreeSet<&str> = received.iter().skip(2).map(|one| one.header("x-portcullis-delivery")).collect();
    assert_eq!(names.len(), received.len() - 2);
}

/// Returns a figure of a node's metrics.
async fn figure(node: &Node, line: &str) -> Option<u64> {
    let page = Client::plain(&format!("http://{}:9763", node.address)).get("/metrics").await.expect("metrics").text();
    page.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_nobody_takes_are_bounded_and_counted_and_calls_do_not_wait() {
    let mut cluster = Cluster::empty();
    // Nobody answers there.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let free = silent.local_addr().expect("an address");
    let told = format!("[events]\nwebhook_url = \"http://{free}/\"\nlinger_ms = 10\nbatch_max = 1\nqueue_max = 100\n");
    cluster.configure(1, &told);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    for _ in 0..300 {
        node.gateway().get("/nowhere").await.expect("call").expect(404);
    }
    until("all events to be kept or dropped", async || {
        let waiting = figure(node, "portcullis_events_waiting{to=\"webhook\"}").await?;
        let dropped = figure(node, "portcullis_events_dropped_total{to=\"webhook\"}").await?;
        assert!(waiting <= 101, "{waiting}");
        (waiting + dropped == 300 && dropped >= 199).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_analytics_is_told_of_page_views_without_names_of_users() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::empty();
    let secret = cluster.path("secret");
    std::fs::write(&secret, "s3cr3t\n").expect("a file");
    let told = format!(
        "[events]\ngoogle_measurement_id = \"G-TEST1\"\ngoogle_api_secret_file = \"{}\"\ngoogle_url = \"{}/mp/collect\"\n",
        secret.display(),
        receiver.url
    );
    cluster.configure(1, &told);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let client = node.gateway().with_bearer(&journey::token(node, &published).await);
    for _ in 0..30 {
        client.get(&format!("{}/menu", published.path)).await.expect("call").expect(200);
    }
    let received = receiver
        .wait_for("thirty page views", |all| {
            let count: usize = all.iter().map(|one| one.json()["events"].as_array().map_or(0, Vec::len)).sum();
            (count >= 30).then(|| all.to_vec())
        })
        .await;
    let mut clients = BTreeSet::new();
    for one in &received {
        assert_eq!(one.target, "/mp/collect?measurement_id=G-TEST1&api_secret=s3cr3t");
        let body = one.json();
        let events = body["events"].as_array().expect("events");
        assert!(events.len() <= 25, "{}", events.len());
        clients.insert(journey::text(&body, "client_id"));
        for event in events {
            assert_eq!((&event["name"], &event["params"]["page_title"]), (&"page_view".into(), &"pizza 1.0.0".into()));
            assert_eq!(event["params"]["page_location"], "https://carbon.super/pizza/1.0.0", "{event:#}");
        }
        let text = String::from_utf8_lossy(&one.body).into_owned();
        assert!(!text.contains("admin") && !text.contains("127.0.0.1"), "{text}");
    }
    assert_eq!(clients.len(), 1, "one caller: {clients:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail_or_are_slow_are_traced_though_they_were_not_chosen() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::empty();
    let telemetry = format!(
        "[gateway]\nworkers = 1\n[telemetry]\notlp_endpoint = \"{}\"\nsample_ratio = 0\nmetrics_every_s = 0\nslow_ms = 300\n",
        receiver.url
    );
    cluster.configure(1, &telemetry);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(node, &published).await;
    let client = node.gateway().with_bearer(&token);
    let path = format!("{}/menu", published.path);
    client.get(&path).await.expect("call").expect(200);
    client.get(&format!("{path}?delay_ms=400")).await.expect("call").expect(200);
    let context = format!("00-{TRACE}-{SPAN}-00");
    let broken = journey::publish_and_subscribe(node, &Wish::new("soup", "http://127.0.0.1:9")).await;
    let token = journey::token(node, &broken).await;
    let path = format!("{}/menu", broken.path);
    let caller = node.gateway().with_bearer(&token);
    caller.send("GET", &path, &[("traceparent", &context)], "").await.expect("call").expect(503);
    client.get("/nowhere").await.expect("call").expect(404);
    let found = receiver.wait_for("the spans of two calls", |all| Some(spans(all)).filter(|all| all.len() >= 4)).await;
    assert_eq!(found.len(), 4, "neither the quick call nor the one that the client got wrong: {found:#?}");
    let of = |status: &str| {
        let is_meant = |span: &&Value| span["kind"] == 2 && attribute(span, "http.response.status_code") == status;
        let server = found.iter().find(is_meant).unwrap_or_else(|| panic!("no {status} in {found:#?}"));
        let asked = found.iter().find(|span| span["parentSpanId"] == server["spanId"]).expect("the backend's span");
        (server, asked)
    };
    let (slow, asked) = of("200");
    let took = |span: &Value| {
        let time = |field: &str| journey::text(span, field).parse::<u64>().expect("nanoseconds");
        (time("endTimeUnixNano") - time("startTimeUnixNano")) / 1_000_000
    };
    assert!(took(slow) >= 300 && took(asked) >= 300 && took(asked) <= took(slow), "{slow:#} {asked:#}");
    assert!(slow.get("parentSpanId").is_none_or(|parent| parent == ""), "{slow:#}");
    let (failed, asked) = of("503");
    assert_eq!((&failed["traceId"], &failed["parentSpanId"]), (&TRACE.into(), &SPAN.into()));
    assert_eq!(attribute(failed, "error.type"), "101503");
    assert_eq!((&failed["status"]["code"], &asked["status"]["code"]), (&2.into(), &2.into()));
}

/// Returns all spans that came, by their names.
fn spans(received: &[Received]) -> Vec<Value> {
    let documents = received.iter().filter(|one| one.target == "/v1/traces").map(Received::json);
    documents
        .flat_map(|document| document["resourceSpans"].as_array().expect("resources").clone())
        .flat_map(|resource| resource["scopeSpans"].as_array().expect("scopes").clone())
        .flat_map(|scope| scope["spans"].as_array().expect("spans").clone())
        .collect()
}

/// Returns an attribute of a span or a resource.
fn attribute<'a>(of: &'a Value, name: &str) -> &'a Value {
    let attributes = of["attributes"].as_array().expect("attributes");
    let found = attributes.iter().find(|one| one["key"] == name).unwrap_or_else(|| panic!("no {name} in {of:#}"));
    found["value"].as_object().and_then(|value| value.values().next()).expect("a value")
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_of_calls_joined_to_those_around_them_and_metrics() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::empty();
    let headers = cluster.path("headers");
    std::fs::write(&headers, "x-api-key: of the collector\n").expect("a file");
    let telemetry = format!(
        "[gateway]\nworkers = 1\n[telemetry]\notlp_endpoint = \"{}\"\notlp_headers_file = \"{}\"\nsample_ratio = 0\nmetrics_every_s = 1\n\
         resource_attributes = [\"deployment.environment.name=test\"]\n",
        receiver.url,
        headers.display()
    );
    cluster.configure(1, &telemetry);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &backend.url())).await;
    let token = journey::token(node, &published).await;
    let client = node.gateway().with_bearer(&token);
    let path = format!("{}/menu", published.path);
    let call = async |flags: &str| {
        let context = format!("00-{TRACE}-{SPAN}-{flags}");
        let reply = client.send("GET", &path, &[("traceparent", &context)], "").await.expect("call").expect(200).json();
        journey::text(&reply["headers"], "traceparent")
    };
    let onward = call("01").await;
    // Who does not sample is passed on as he came, and who has no context is not chosen.
    assert_eq!(call("00").await, format!("00-{TRACE}-{SPAN}-00"));
    let reply = client.get(&path).await.expect("call").expect(200).json();
    assert!(reply["headers"].get("traceparent").is_none(), "{reply}");
    // Where the key is known nobody is asked.
    call("01").await;
    let all = receiver.wait_for("the spans of two calls", |all| (spans(all).len() >= 5).then(|| all.to_vec())).await;
    let found = spans(&all);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found.iter().all(|span| span["traceId"] == TRACE), "{found:#?}");
    let one = |field: &str, value: &Value, kind: u64| {
        let is_meant = |span: &&Value| span[field] == *value && span["kind"] == kind;
        found.iter().find(is_meant).unwrap_or_else(|| panic!("no {field} {value} in {found:#?}"))
    };
    let internal = one("name", &"validate key".into(), 1);
    let server = one("spanId", &internal["parentSpanId"], 2);
    let outgoing = one("parentSpanId", &server["spanId"], 3);
    assert_eq!((&server["name"], &server["parentSpanId"]), (&"GET /pizza/1.0.0/menu".into(), &SPAN.into()));
    assert_eq!((&internal["name"], &internal["parentSpanId"]), (&"validate key".into(), &server["spanId"]));
    assert_eq!((&outgoing["name"], &outgoing["parentSpanId"]), (&"GET".into(), &server["spanId"]));
    assert_eq!(onward, format!("00-{TRACE}-{}-01", journey::text(outgoing, "spanId")), "what the backend got");
    assert_eq!(attribute(server, "http.route"), "/pizza/1.0.0/menu");
    assert_eq!(attribute(server, "http.response.status_code"), "200");
    assert_eq!(attribute(server, "portcullis.application.name"), "pizza app");
    assert_eq!(attribute(outgoing, "url.full"), backend.url().as_str());
    let time = |span: &Value, field: &str| journey::text(span, field).parse::<u64>().expect("nanoseconds");
    for part in [internal, outgoing] {
        assert!(time(server, "startTimeUnixNano") <= time(part, "startTimeUnixNano"), "{found:#?}");
        assert!(time(part, "startTimeUnixNano") <= time(part, "endTimeUnixNano"), "{found:#?}");
        assert!(time(part, "endTimeUnixNano") <= time(server, "endTimeUnixNano"), "{found:#?}");
    }
    let traces = all.iter().find(|one| one.target == "/v1/traces").expect("spans");
    assert_eq!(traces.header("x-api-key"), "of the collector");
    let document = traces.json();
    let resource = &document["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "portcullis");
    assert_eq!(attribute(resource, "portcullis.node.id"), "1");
    assert_eq!(attribute(resource, "deployment.environment.name"), "test");

    // Metrics: the same figures that the node shows itself.
    let counted = |received: &[Received]| {
        let last = received.iter().rfind(|one| one.target == "/v1/metrics")?.json();
        let metrics = last["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array()?.clone();
        let requests = metrics.into_iter().find(|metric| metric["name"] == "portcullis_gateway_requests")?;
        let points = requests["sum"]["dataPoints"].as_array()?.clone();
        let good = points.into_iter().filter(|point| attribute(point, "status_class") == "2xx");
        Some(good.filter_map(|point| point["asDouble"].as_f64()).sum::<f64>())
    };
    receiver.wait_for("three good calls", |all| (counted(all)? >= 3.0).then_some(())).await;
    until("the traces to be counted", async || {
        (figure(node, "portcullis_telemetry_traces_sent_total").await? == 2).then_some(())
    })
    .await;
}
