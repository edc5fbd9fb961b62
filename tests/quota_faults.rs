//! Quotas while nodes die, come back and join: never over, and little more lost than what a dead node held.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::backend::Backend;
use harness::http::send_on;
use harness::journey::{self, Wish};
use harness::minute::{minute, wait_for_room_in_minute};
use harness::{Cluster, Node, until};

/// The plan under test, and how many requests a minute it allows: many beside what a node asks for ahead of its callers, which is
/// a tenth of a second's worth of them.
const PLAN: &str = "Gold";
const LIMIT: u64 = 5000;
/// What all reserves of a limit per minute together are.
const RESERVE: u64 = LIMIT / 10;

/// Callers at one node; a call that breaks with its node ends the caller.
struct Callers {
    admitted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    tasks: tokio::task::JoinSet<()>,
}

impl Callers {
    /// Calls from `clients` connections until `refused_enough` calls were refused.
    fn begin(node: &Node, path: &str, token: &str, clients: usize, refused_enough: u64) -> Self {
        let mut callers =
            Self { admitted: Arc::default(), refused: Arc::default(), tasks: tokio::task::JoinSet::new() };
        for _ in 0..clients {
            let gateway = node.gateway().with_bearer(token);
            let (admitted, refused) = (Arc::clone(&callers.admitted), Arc::clone(&callers.refused));
            let path = path.to_owned();
            callers.tasks.spawn(async move {
                let Ok(mut connection) = gateway.connect().await else { return };
                while refused.load(Ordering::SeqCst) < refused_enough {
                    let request =
                        gateway.request("GET", &path).body(http_body_util::Full::default()).expect("a request");
                    let Ok(reply) = send_on(&mut connection, request).await else { return };
                    match reply.status {
                        200 => admitted.fetch_add(1, Ordering::SeqCst),
                        429 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}: {}", reply.text()),
                    };
                }
            });
        }
        callers
    }

    fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::SeqCst)
    }

    /// Waits for the end and returns how many calls were admitted.
    async fn end(mut self) -> u64 {
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a caller ends well");
        }
        self.admitted()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_killed_and_comes_back_spends_nothing_twice_and_little_is_lost_with_it() {
    let cluster = Cluster::start(3).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: PLAN, ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);
    let victim = cluster.followers().await[0];
    let survivor = (victim + 1) % 3;

    let began_in = wait_for_room_in_minute(Duration::from_secs(30)).await;
    let before = Callers::begin(&cluster.nodes[victim], &menu, &token, 2, u64::MAX);
    until("some calls", async || (before.admitted() > 150).then_some(())).await;
    cluster.nodes[victim].kill();
    let before = before.end().await;
    cluster.nodes[victim].run();
    cluster.nodes[victim].wait_ready().await;
    let back = Callers::begin(&cluster.nodes[victim], &menu, &token, 2, u64::MAX);
    until("calls at the node that is back", async || (back.admitted() > 50).then_some(())).await;
    let other = Callers::begin(&cluster.nodes[survivor], &menu, &token, 4, 300).end().await;
    let back_admitted = back.admitted();
    drop(back);
    assert_eq!(minute().0, began_in, "the machine is too slow for this test");
    let admitted = before + back_admitted + other;
    // A call may have been under way to the backend when its caller's node was killed.
    assert!(backend.count() <= LIMIT, "{} of {LIMIT} reached the backend", backend.count());
    assert!(admitted <= backend.count(), "{admitted} admitted, {} at the backend", backend.count());
    // What the killed node held counts as spent: its reserve and at most what it had asked for to spend soon.
    assert!(admitted >= LIMIT - RESERVE - LIMIT / 5, "{before} + {back_admitted} + {other} of {LIMIT} admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_in_mid_window_serves_calls_and_the_limit_holds_exactly() {
    let mut cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: PLAN, ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &wish).await;
    let token = journey::token(&cluster.nodes[0], &published).await;
    let menu = format!("{}/menu", published.path);

    let began_in = wait_for_room_in_minute(Duration::from_secs(30)).await;
    let first = Callers::begin(&cluster.nodes[0], &menu, &token, 2, u64::MAX);
    until("some calls", async || (first.admitted() > 100).then_some(())).await;
    drop(first);
    let before = backend.count();
    cluster.join().await;
    let joined = Callers::begin(&cluster.nodes[1], &menu, &token, 2, 100).end().await;
    let rest = Callers::begin(&cluster.nodes[0], &menu, &token, 2, 100).end().await;
    assert_eq!(minute().0, began_in, "the machine is too slow for this test");
    assert!(joined > 100, "the node that joined got {joined} of what was left");
    let all = backend.count();
    assert!(all <= LIMIT, "{all} of {LIMIT} reached the backend");
    assert!(all >= LIMIT * 99 / 100, "{before} before, {joined} at the node that joined, {rest} after");
}
