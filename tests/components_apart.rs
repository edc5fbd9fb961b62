//! Each component on a node of its own, as the original's distributed deployment has it: two key managers, a publisher, a
//! store, a traffic manager, and two gateways that do not vote.

mod harness;

use std::time::Duration;

use harness::backend::Backend;
use harness::journey::{self, Published, Wish};
use harness::minute::{minute, wait_for_room_in_minute};
use harness::offer::offer;
use harness::{Client, Cluster, Reply, until};
use serde_json::Value;

/// The positions of the nodes.
const KEY_MANAGERS: [usize; 2] = [0, 1];
const PUBLISHER: usize = 2;
const STORE: usize = 3;
const TRAFFIC_MANAGER: usize = 4;
const GATEWAYS: [usize; 2] = [5, 6];
/// What each node serves, in that order.
const COMPONENTS: [&str; 7] =
    ["key-manager,admin", "key-manager", "publisher", "store", "traffic-manager", "gateway", "gateway"];

async fn apart() -> Cluster {
    let mut cluster = Cluster::empty();
    cluster.bootstrap_with(&["--components", COMPONENTS[0]]).await;
    for components in &COMPONENTS[1..] {
        cluster.join_with(&["--components", components]).await;
    }
    cluster.wait_for_voters(5).await;
    cluster
}

/// Publishes at the Publisher's node and subscribes at the Store's.
async fn publish_and_subscribe(cluster: &Cluster, wish: &Wish<'_>) -> Published {
    let api = journey::publish(&cluster.nodes[PUBLISHER], wish).await;
    journey::subscribe(&cluster.nodes[STORE], wish, api).await
}

/// Gets a token through a gateway.
async fn token_at_gateway(cluster: &Cluster, gateway: usize, published: &Published) -> String {
    let client = cluster.nodes[gateway].gateway().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = client.send("POST", "/token", &form, "grant_type=client_credentials").await.expect("token").expect(200);
    journey::text(&reply.json(), "access_token")
}

async fn call(cluster: &Cluster, gateway: usize, token: &str, path: &str) -> Reply {
    cluster.nodes[gateway].gateway().with_bearer(token).get(path).await.expect("a call")
}

fn field_of_nodes<'a>(status: &'a Value, field: &str) -> Vec<&'a Value> {
    status["nodes"].as_array().expect("nodes").iter().map(|node| &node[field]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_goes_from_publisher_over_store_to_both_gateways_and_a_lost_key_manager_is_not_missed() {
    let cluster = apart().await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    // As soon as publishing and subscribing are answered they are in force, also at gateways that do not vote.
    let published = publish_and_subscribe(&cluster, &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let token = journey::token(&cluster.nodes[KEY_MANAGERS[1]], &published).await;
    for gateway in GATEWAYS {
        call(&cluster, gateway, &token, &menu).await.expect(200);
        let own = token_at_gateway(&cluster, gateway, &published).await;
        for other in GATEWAYS {
            call(&cluster, other, &own, &menu).await.expect(200);
        }
        let unknown = call(&cluster, gateway, "no-such-token", &menu).await.expect(401);
        assert_eq!(unknown.json()["code"], "900901", "{}", unknown.text());
    }

    // What is revoked is refused everywhere once that is answered, whichever gateway has cached what.
    let client = cluster.nodes[GATEWAYS[0]].gateway().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let revoked = client.send("POST", "/revoke", &form, format!("token={token}")).await.expect("revoke").expect(200);
    assert_eq!(revoked.header("x-fence-unreached"), "");
    for gateway in GATEWAYS {
        call(&cluster, gateway, &token, &menu).await.expect(401);
    }

    // One key manager is lost: new tokens are issued and validated all the same.
    cluster.nodes[KEY_MANAGERS[1]].kill();
    for gateway in GATEWAYS {
        for _ in 0..3 {
            let token = token_at_gateway(&cluster, gateway, &published).await;
            for other in GATEWAYS {
                call(&cluster, other, &token, &menu).await.expect(200);
            }
        }
    }
    // What both gateways gathered is told where there is a management port, though neither has one.
    let told = until("all calls to be told of", async || {
        let admin = cluster.nodes[KEY_MANAGERS[0]].admin();
        let told = admin.get("/api/portcullis/v1/statistics/apis").await.expect("statistics").expect(200).json();
        let rows = told["list"].as_array().expect("a list").clone();
        rows.into_iter().find(|row| row["name"] == "pizza").filter(|row| row["calls"].as_u64() >= Some(22))
    })
    .await;
    assert_eq!((&told["calls"], &told["ok"]), (&22.into(), &18.into()), "{told}");
    // Sign-in and key generation at nodes without a key manager go on too.
    journey::generate_keys(&cluster.nodes[STORE].admin(), &published.application, "SANDBOX").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_exact_over_gateways_whose_traffic_manager_is_on_another_node() {
    let cluster = apart().await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Bronze", ..Wish::new("pizza", &url) };
    let published = publish_and_subscribe(&cluster, &wish).await;
    let token = journey::token(&cluster.nodes[KEY_MANAGERS[0]], &published).await;
    let menu = format!("{}/menu", published.path);
    let used_up = wait_for_room_in_minute(Duration::from_secs(35)).await;
    let (admitted, refused) = offer(&cluster, &GATEWAYS, &menu, &token, 8, 1500).await;
    assert!(admitted <= 1000, "{admitted} of 1000 admitted");
    assert!(admitted >= 990, "only {admitted} of 1000 admitted, {refused} refused");
    assert_eq!(backend.count(), admitted, "what was refused did not reach the backend");

    // The message store is the Traffic Manager's alone.
    let has_store = |node: usize| cluster.nodes[node].data_dir.join("mbstoredb").exists();
    assert!(has_store(TRAFFIC_MANAGER));
    let others = [KEY_MANAGERS[0], KEY_MANAGERS[1], PUBLISHER, STORE, GATEWAYS[0], GATEWAYS[1]];
    assert!(others.into_iter().all(|node| !has_store(node)));

    // Without any Traffic Manager a gateway goes on with what it holds, and the limit holds.
    cluster.nodes[TRAFFIC_MANAGER].kill();
    until("the next minute", async || (minute().0 > used_up).then_some(())).await;
    let before = backend.count();
    let mut admitted = 0;
    for _ in 0..40 {
        for gateway in GATEWAYS {
            let reply = call(&cluster, gateway, &token, &menu).await;
            assert!(matches!(reply.status, 200 | 429), "{}", reply.text());
            admitted += u64::from(reply.status == 200);
        }
    }
    // A tenth of the limit, in equal parts for the seven nodes.
    assert!((2..=30).contains(&admitted), "{admitted} admitted of what the two hold in reserve");
    assert_eq!(backend.count() - before, admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_the_wrong_node_is_told_the_right_one_and_status_says_who_serves_what() {
    let mut cluster = apart().await;
    let at = |node: usize| format!("https://{}:9443", cluster.nodes[node].address);

    // The original's paths with the original's error body.
    let wrong = cluster.nodes[STORE].admin().get("/api/am/publisher/v4/apis").await.expect("an answer").expect(421);
    let told = journey::text(&wrong.json(), "description");
    assert!(told.contains("does not serve the Publisher") && told.contains(&at(PUBLISHER)), "{told}");
    // Tokens at any node but a key manager's: both are named.
    let wrong = cluster.nodes[PUBLISHER].anonymous().send("POST", "/oauth2/token", &[], "").await.expect("an answer");
    let told = wrong.expect(421).text();
    assert!(KEY_MANAGERS.into_iter().all(|node| told.contains(&at(node))), "{told}");
    // Portcullis' own paths with problem details.
    let wrong = cluster.nodes[STORE].admin().get("/api/portcullis/v1/cluster/status").await.expect("an answer");
    let wrong = wrong.expect(421);
    assert_eq!(wrong.header("content-type"), "application/problem+json");
    assert!(journey::text(&wrong.json(), "detail").contains(&at(KEY_MANAGERS[0])), "{}", wrong.text());
    // The Traffic Manager's part of them is on its own node, and nothing else.
    let usage = "/api/portcullis/v1/throttling/usage";
    cluster.nodes[TRAFFIC_MANAGER].admin().get(usage).await.expect("an answer").expect(200);
    for (node, path) in [(KEY_MANAGERS[0], usage), (TRAFFIC_MANAGER, "/api/portcullis/v1/cluster/status")] {
        let wrong = cluster.nodes[node].admin().get(path).await.expect("an answer").expect(421);
        assert_eq!(wrong.header("content-type"), "application/problem+json");
    }
    // Pages, for people.
    let page = cluster.nodes[STORE].admin().get("/publisher").await.expect("a page").expect(421).text();
    assert!(page.contains("<html") && page.contains(&at(PUBLISHER)), "{page}");

    // Ports that nothing uses are closed.
    let is_closed = async |client: Client| client.get("/").await.is_err();
    for node in [KEY_MANAGERS[0], PUBLISHER, STORE, TRAFFIC_MANAGER] {
        assert!(is_closed(cluster.nodes[node].gateway()).await, "gateway port of node {node}");
    }
    for node in GATEWAYS {
        assert!(is_closed(cluster.nodes[node].anonymous()).await, "management port of node {node}");
    }

    let status = cluster.status().await.expect("a status");
    let served: Vec<String> = field_of_nodes(&status, "components")
        .into_iter()
        .map(|names| names.as_array().expect("names").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(served, COMPONENTS);
    assert_eq!(status["unserved"], serde_json::json!([]));
    let roles = field_of_nodes(&status, "role");
    assert!(GATEWAYS.into_iter().all(|gateway| roles[gateway] == "learner"), "{roles:?}");
    assert_eq!(status["failures_tolerated"], 2, "gateways do not count");

    // A gateway may vote where it is told to.
    cluster.join_with(&["--components", "gateway", "--voter"]).await;
    cluster.wait_for_voters(6).await;

    // A node that is started with other components says so to the others.
    cluster.nodes[STORE].terminate().await;
    let file = cluster.nodes[STORE].data_dir.join("node.toml");
    let text = std::fs::read_to_string(&file).expect("node.toml");
    let changed = text.replace("components = [\"store\"]", "components = [\"store\", \"publisher\"]");
    assert_ne!(text, changed, "{text}");
    std::fs::write(&file, changed).expect("node.toml");
    cluster.nodes[STORE].run();
    cluster.nodes[STORE].wait_ready().await;
    until("the record of the node", async || {
        let status = cluster.status().await?;
        (status["nodes"][STORE]["components"] == serde_json::json!(["publisher", "store"])).then_some(())
    })
    .await;
    cluster.nodes[STORE].admin().get("/api/am/publisher/v4/apis").await.expect("an answer").expect(200);

    // What nobody serves any more is told.
    cluster.nodes[TRAFFIC_MANAGER].kill();
    let server = cluster.nodes[KEY_MANAGERS[0]].management_url();
    until("a warning", async || {
        let shown = cluster.cli(&["cluster", "status", "--server", &server, "--data-dir", "n1"]);
        let warned = String::from_utf8_lossy(&shown.stderr).contains("no live node serves traffic-manager");
        let table = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.status.success() && table.contains("COMPONENTS") && table.contains("publisher,store"), "{table}");
        warned.then_some(())
    })
    .await;
}
