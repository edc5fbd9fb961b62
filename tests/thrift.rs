//! Gateways that have their keys validated by Thrift, by HTTP and in their own process, side by side; one key manager is
//! lost and no call fails.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Client, Cluster, Reply, until};

/// What each node serves.
const COMPONENTS: [&str; 5] =
    ["admin,publisher,store,traffic-manager,key-manager,gateway", "key-manager", "key-manager", "gateway", "gateway"];
/// The gateway with a key manager in its process, the one that asks by HTTP, and the one that asks by Thrift.
const GATEWAYS: [usize; 3] = [0, 3, 4];
const BY_THRIFT: usize = 4;

async fn cluster() -> Cluster {
    let mut cluster = Cluster::empty();
    for number in [1, 2, 3] {
        let log = "[log]\nlevel = \"info,portcullis_key_manager=debug\"\n";
        cluster.configure(number, &format!("[key_manager]\nthrift = true\n{log}"));
    }
    cluster.configure(BY_THRIFT + 1, "[gateway]\nkey_validator_client = \"thrift\"\n");
    cluster.bootstrap_with(&["--components", COMPONENTS[0]]).await;
    for components in &COMPONENTS[1..] {
        cluster.join_with(&["--components", components]).await;
    }
    cluster.wait_for_voters(3).await;
    cluster
}

async fn call(cluster: &Cluster, gateway: usize, token: &str, path: &str) -> Reply {
    cluster.nodes[gateway].gateway().with_bearer(token).get(path).await.expect("a call")
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_ask_by_thrift_by_http_and_in_their_process_and_a_lost_key_manager_is_not_missed() {
    let cluster = cluster().await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let menu = format!("{}/menu", published.path);
    let mut tokens = Vec::new();
    for _ in 0..60 {
        tokens.push(journey::token(&cluster.nodes[0], &published).await);
    }
    // Each gateway sees each token for the first time, so that each call is asked about.
    let (before, after) = tokens.split_at(20);
    for token in before {
        for gateway in GATEWAYS {
            call(&cluster, gateway, token, &menu).await.expect(200);
        }
    }
    cluster.nodes[1].kill();
    for token in after {
        for gateway in GATEWAYS {
            call(&cluster, gateway, token, &menu).await.expect(200);
        }
    }

    // What the key manager refuses is refused, and what is revoked is refused as soon as that is answered.
    let unknown = call(&cluster, BY_THRIFT, "no-such-token", &menu).await.expect(401);
    assert_eq!(unknown.json()["code"], "900901", "{}", unknown.text());
    let client = cluster.nodes[0].anonymous().with_basic(&published.client_id, &published.client_secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let token = &tokens[0];
    client.send("POST", "/oauth2/revoke", &form, format!("token={token}")).await.expect("revoke").expect(200);
    for gateway in GATEWAYS {
        call(&cluster, gateway, token, &menu).await.expect(401);
    }

    // The key manager that was asked tells in its log for which call.
    for (gateway, id) in [(GATEWAYS[1], "a-call-asked-about-by-http"), (BY_THRIFT, "a-call-asked-about-by-thrift")] {
        let token = journey::token(&cluster.nodes[0], &published).await;
        let caller = cluster.nodes[gateway].gateway().with_bearer(&token);
        let reply = caller.send("GET", &menu, &[("x-request-id", id)], "").await.expect("a call").expect(200);
        assert_eq!(reply.header("x-request-id"), id);
        until("a key manager's log to tell of the call", async || {
            let is_told = |line: &str| line.contains(id) && line.contains("a key was judged");
            [0, 2].into_iter().any(|node| cluster.nodes[node].log().lines().any(is_told)).then_some(())
        })
        .await;
    }

    // Plain text is not spoken on the ports of Thrift, and nodes without a key manager have none.
    let plain = Client::plain(&format!("http://{}:10397", cluster.nodes[2].address)).get("/").await;
    assert!(plain.is_err(), "{:?}", plain.map(|reply| reply.text()));
    for (node, port, is_open) in [(2, 10_397, true), (2, 10_711, true), (BY_THRIFT, 10_397, false)] {
        let connected = tokio::net::TcpStream::connect((cluster.nodes[node].address, port)).await;
        assert_eq!(connected.is_ok(), is_open, "port {port} of node {node}");
    }
}
