//! A gateway's node without a Traffic Manager: its reports go through nodes that have one, which may be gone, forget to
//! answer, or end before the log has heard of what they took in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod log;
mod state;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis_database::counters::{Item, Report, Statement, WindowId};
use portcullis_database::{Handle, Proposer, State, codec};
use portcullis_http::node_line::FromNode;
use portcullis_model::port::{CallTerms, NoAnswer, NodeCalls, PortFuture, Taken};
use portcullis_model::{Component, NodeId, Timestamp};
use portcullis_traffic_manager::{PATH, Settings, StoreError, start, start_for_gateway};
use tower::ServiceExt as _;

use log::{Log, first_state, log, take, until, used};
use state::key;

/// The node with the Traffic Manager, and the one with the gateway.
const TRAFFIC_MANAGER: NodeId = NodeId(1);
const GATEWAY: NodeId = NodeId(2);

/// The way from the gateway's node to Traffic Managers.
struct Nodes {
    router: Mutex<Option<Router>>,
    loses_answers: AtomicBool,
    count: AtomicU64,
}

impl Nodes {
    fn of(router: Router) -> Arc<Self> {
        let (loses_answers, count) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { router: Mutex::new(Some(router)), loses_answers, count })
    }
}

impl NodeCalls for Nodes {
    fn call(
        &self,
        component: Component,
        request: Request<Bytes>,
        terms: CallTerms,
    ) -> PortFuture<'_, Result<Response<Bytes>, NoAnswer>> {
        assert!(component == Component::TrafficManager && terms.is_repeatable);
        Box::pin(async move {
            let router = self.router.lock().unwrap().clone().ok_or(NoAnswer::Nobody(component))?;
            let (parts, body) = router.oneshot(request.map(Body::from)).await.unwrap().into_parts();
            let answer = Response::from_parts(parts, to_bytes(body, 1 << 20).await.unwrap());
            let is_lost = self.loses_answers.load(Ordering::SeqCst)
                && self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            let lost = || NoAnswer::Lost { node: TRAFFIC_MANAGER, why: "it was forgotten".to_owned() };
            if is_lost { Err(lost()) } else { Ok(answer) }
        })
    }
}

fn state_of_two(limit: u64) -> State {
    let mut state = first_state(limit);
    let mut second = state.system.nodes[&NodeId(1)].as_ref().clone();
    second.id = GATEWAY;
    second.components = vec!["gateway".to_owned()];
    state.system.nodes.insert(GATEWAY, Arc::new(second));
    state
}

/// Starts a Traffic Manager without a gateway, and returns its routes as node `from` reaches them.
async fn traffic_manager(log: &Arc<Log>, data_dir: &Path, from: NodeId) -> Router {
    let settings =
        Settings { node: TRAFFIC_MANAGER, data_dir: data_dir.to_owned(), store_bytes_max: 64 << 20, broker: None };
    let begun = std::time::Instant::now();
    let faces = loop {
        let proposer = Arc::clone(log) as Arc<dyn Proposer>;
        match start(&settings, Handle::new(Arc::clone(&log.cell), proposer), false) {
            Ok(faces) => break faces,
            Err(StoreError::Io { .. }) if begun.elapsed() < Duration::from_secs(10) => tokio::task::yield_now().await,
            Err(cause) => panic!("{cause:?}"),
        }
    };
    assert!(faces.allowances.is_none());
    Router::new().nest(PATH, faces.for_nodes).layer(Extension(FromNode(from)))
}

fn statement(node: NodeId, sequence: u64) -> Statement {
    let item = Item {
        key: key(),
        window: WindowId { length_ms: 31_536_000_000, index: 50 },
        reserve: 0,
        spent: 3,
        over: 0,
        returned: 0,
        ask: 0,
        granted: 0,
        demand: 3,
        answers_dry: None,
    };
    Statement::from(Report {
        node,
        incarnation: 1,
        sequence,
        time: Timestamp(7000),
        applied_index: 0,
        reserve_from: Timestamp(0),
        is_store_new: false,
        adopted: None,
        items: vec![item],
    })
}

async fn hand_in(router: &Router, statement: &Statement) -> StatusCode {
    let body = Body::from(codec::encode(statement).unwrap());
    let request = Request::post(format!("{PATH}/reports")).body(body).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_limit_is_used_to_the_last_request_and_counted_once_though_answers_are_lost() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log(state_of_two(20));
    log.loses_answers.store(true, Ordering::SeqCst);
    let nodes = Nodes::of(traffic_manager(&log, there.path(), GATEWAY).await);
    nodes.loses_answers.store(true, Ordering::SeqCst);
    let settings =
        Settings { node: GATEWAY, data_dir: here.path().to_owned(), store_bytes_max: 64 << 20, broker: None };
    let faces = start_for_gateway(&settings, Arc::<Nodes>::clone(&nodes)).unwrap();
    log.cell.set_hooks(vec![faces.hook]);
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for _ in 0..20 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    }
    assert!(matches!(take(&allowance).await, Taken::Exhausted { .. }));
    until("20 are counted", async || used(&log) == 20).await;
    assert!(!here.path().join("mbstoredb").exists(), "the message store is the Traffic Manager's alone");
}

#[tokio::test]
async fn what_is_in_hand_is_spent_without_a_traffic_manager_and_counted_when_there_is_one_again() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log(state_of_two(100));
    let router = traffic_manager(&log, there.path(), GATEWAY).await;
    let nodes = Nodes::of(router.clone());
    let settings =
        Settings { node: GATEWAY, data_dir: here.path().to_owned(), store_bytes_max: 64 << 20, broker: None };
    let faces = start_for_gateway(&settings, Arc::<Nodes>::clone(&nodes)).unwrap();
    log.cell.set_hooks(vec![faces.hook]);
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for _ in 0..5 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    }
    until("5 are counted", async || used(&log) == 5).await;
    *nodes.router.lock().unwrap() = None;
    let mut taken = 5;
    while matches!(allowance.try_take(1, portcullis_database::handle::wall_clock()), Taken::Yes { .. }) {
        taken += 1;
        assert!(taken <= 100, "never over");
    }
    assert!(taken > 5, "what was granted or is reserve is in hand");
    *nodes.router.lock().unwrap() = Some(router);
    until("all are counted", async || used(&log) == taken).await;
    assert!(faces.running.stop(Duration::from_secs(10)).await.unwrap());
}

#[tokio::test]
async fn a_node_reports_for_itself_alone() {
    let there = tempfile::tempdir().unwrap();
    let log = log(state_of_two(100));
    let router = traffic_manager(&log, there.path(), GATEWAY).await;
    assert_eq!(hand_in(&router, &statement(NodeId(1), 1)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(used(&log), 0);
    assert_eq!(hand_in(&router, &statement(GATEWAY, 1)).await, StatusCode::OK);
    assert_eq!(used(&log), 3);
}

#[tokio::test]
async fn a_report_that_was_taken_in_before_a_crash_is_counted_once_after_it() {
    let there = tempfile::tempdir().unwrap();
    let first = log(state_of_two(100));
    let router = traffic_manager(&first, there.path(), GATEWAY).await;
    first.is_down.store(true, Ordering::SeqCst);
    assert_eq!(hand_in(&router, &statement(GATEWAY, 1)).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(used(&first), 0);
    drop(router);

    let second = log(first.state.lock().unwrap().clone());
    let router = traffic_manager(&second, there.path(), GATEWAY).await;
    until("3 are counted", async || used(&second) == 3).await;
    // The gateway's node has heard no answer and hands it in again.
    assert_eq!(hand_in(&router, &statement(GATEWAY, 1)).await, StatusCode::OK);
    assert_eq!(used(&second), 3);
}
