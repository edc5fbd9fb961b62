//! What others are told of calls: alerts about addresses, countries, events, traces and metrics; against receivers that
//! keep what comes.

mod harness;

use std::collections::BTreeMap;

use harness::backend::Backend;
use harness::country_file::country_file;
use harness::journey::{self, Published, Wish};
use harness::receiver::{Received, Receiver};
use harness::visitor::Visitor;
use harness::{Cluster, Node, until};
use serde_json::{Value, json};

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
    assert!(page.contains("By country") && page.contains("statistics/countries"), "{page}");
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
    for (name, roles) in [("paul", json!(["Internal/publisher"])), ("vera", json!(["Internal/publisher", "bakers"]))]
    {
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
