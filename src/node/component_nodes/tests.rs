//! Which node is asked, and what when one is gone, forgets to answer, or is behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::post;
use portcullis_database::State;
use portcullis_http::node_line::serve_node;
use portcullis_model::{NodeAddresses, NodeRecord, Timestamp};
use tokio::sync::watch;

use super::*;
use crate::node_face::{Doorkeeper, NodeFaces, router};

const ME: NodeId = NodeId(1);
const FIRST: NodeId = NodeId(3);
const SECOND: NodeId = NodeId(2);

/// Nodes in this process: each answers through its own router, or is gone.
#[derive(Default)]
struct World {
    routers: Mutex<BTreeMap<NodeId, Router>>,
    gone: Mutex<BTreeSet<NodeId>>,
    dials: AtomicU64,
}

impl Way for Arc<World> {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<NodeLine, String>> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        let is_gone = self.gone.lock().unwrap().contains(&node);
        let router = self.routers.lock().unwrap().get(&node).cloned();
        Box::pin(async move {
            let router = router.filter(|_| !is_gone).ok_or("refused")?;
            let (here, there) = tokio::io::duplex(64 << 10);
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(async move {
                serve_node(there, router, ME, stopped).await;
                drop(stop);
            });
            let (line, carry) = NodeLine::open(here).await.map_err(|cause| cause.to_string())?;
            tokio::spawn(carry);
            Ok(line)
        })
    }
}

fn state() -> State {
    let mut state = State::default();
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    for (node, component) in [(ME, "gateway"), (SECOND, "key-manager"), (FIRST, "key-manager")] {
        let record = NodeRecord {
            id: node,
            name: String::new(),
            addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
            components: vec![component.to_owned()],
            is_voter: true,
            admitted_at: Timestamp(0),
            removed_at: None,
        };
        state.system.nodes.insert(node, Arc::new(record));
    }
    state.applied_index = 7;
    state
}

/// A node that says its name, and one that never answers.
fn says(name: &'static str) -> Router {
    Router::new().route("/ask", post(move || async move { name }))
}

fn is_silent() -> Router {
    Router::new().route("/ask", post(std::future::pending::<&'static str>))
}

fn world() -> (Arc<World>, Arc<ComponentNodes>) {
    let world = Arc::<World>::default();
    world.routers.lock().unwrap().extend([(FIRST, says("first")), (SECOND, says("second"))]);
    let cell = StateCell::new();
    cell.publish(state());
    let nodes = ComponentNodes::new(ME, cell);
    nodes.connect(Arc::clone(&world));
    (world, nodes)
}

async fn ask(nodes: &ComponentNodes, is_repeatable: bool) -> Result<String, NoAnswer> {
    let request = Request::post("/ask").body(Bytes::new()).unwrap();
    let terms = CallTerms { within: Duration::from_secs(4), is_repeatable };
    let answer = nodes.call(Component::KeyManager, request, terms).await?;
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_is_passed_over_and_asked_again_later() {
    let (world, nodes) = world();
    assert_eq!(ask(&nodes, false).await.unwrap(), "first");
    assert_eq!(ask(&nodes, false).await.unwrap(), "first");
    assert_eq!(world.dials.load(Ordering::SeqCst), 1, "one connection carries all");

    let (world, nodes) = self::world();
    world.gone.lock().unwrap().insert(FIRST);
    // Nothing was said to the first, so that this is good also for what must not happen twice.
    assert_eq!(ask(&nodes, false).await.unwrap(), "second");
    world.gone.lock().unwrap().clear();
    assert_eq!(ask(&nodes, false).await.unwrap(), "second", "a moment later it is still avoided");
    tokio::time::advance(AVOIDED_FIRST).await;
    assert_eq!(ask(&nodes, false).await.unwrap(), "first");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_twice_is_asked_of_the_next_node_when_an_answer_is_lost_and_nothing_else_is() {
    let (world, nodes) = world();
    world.routers.lock().unwrap().insert(FIRST, is_silent());
    assert_eq!(ask(&nodes, true).await.unwrap(), "second");

    let (world, nodes) = self::world();
    world.routers.lock().unwrap().insert(FIRST, is_silent());
    assert!(matches!(ask(&nodes, false).await, Err(NoAnswer::Lost { node: FIRST, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_or_stopping_says_so_and_the_next_is_asked() {
    let behind = StateCell::new();
    behind.publish(State { applied_index: 6, ..state() });
    let (up_to_date, (stop, stopping)) = (StateCell::new(), watch::channel(false));
    up_to_date.publish(state());
    let face = |cell: &Arc<StateCell>| {
        let faces = NodeFaces { key_manager: Some(says("the first's key manager")), traffic_manager: None };
        router(faces, Doorkeeper { cell: Arc::clone(cell), declines: stopping.clone() })
    };
    let asked = async |nodes: &ComponentNodes| {
        let request = Request::post("/key-manager/ask").body(Bytes::new()).unwrap();
        let terms = CallTerms { within: Duration::from_secs(4), is_repeatable: false };
        let answer = nodes.call(Component::KeyManager, request, terms).await.unwrap();
        String::from_utf8_lossy(answer.body()).into_owned()
    };
    let second = Router::new().nest("/key-manager", says("second"));

    let (world, nodes) = world();
    world.routers.lock().unwrap().extend([(FIRST, face(&up_to_date)), (SECOND, second.clone())]);
    assert_eq!(asked(&nodes).await, "the first's key manager");

    let (world, nodes) = self::world();
    world.routers.lock().unwrap().extend([(FIRST, face(&behind)), (SECOND, second.clone())]);
    assert_eq!(asked(&nodes).await, "second", "a verdict must not be older than what the asking node has applied");

    stop.send_replace(true);
    let (world, nodes) = self::world();
    world.routers.lock().unwrap().extend([(FIRST, face(&up_to_date)), (SECOND, second)]);
    assert_eq!(asked(&nodes).await, "second");
}

#[tokio::test(start_paused = true)]
async fn without_any_node_it_is_said_whether_there_is_none_or_none_can_be_reached() {
    let (world, nodes) = world();
    world.gone.lock().unwrap().extend([FIRST, SECOND]);
    assert!(matches!(ask(&nodes, true).await, Err(NoAnswer::Unreachable { why, .. }) if why.contains("refused")));
    let request = Request::post("/ask").body(Bytes::new()).unwrap();
    let terms = CallTerms { within: Duration::from_secs(4), is_repeatable: true };
    let nobody = nodes.call(Component::TrafficManager, request, terms).await;
    assert_eq!(nobody.unwrap_err(), NoAnswer::Nobody(Component::TrafficManager));
}
