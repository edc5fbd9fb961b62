//! One node's Traffic Manager as a whole: actor, message store on disk, and a log that fails on demand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod log;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_database::command::{NodeCondition, Numbered as _, SetNodeCondition};
use portcullis_database::counters::{Item, Owed, Report, Source, Statement, WindowId};
use portcullis_database::{Entry, Handle, Proposer, codec, handle};
use portcullis_model::port::{Identity, Quotas, Taken};
use portcullis_model::{NodeId, Principal, QuotaPolicy, TenantDomain, Timestamp, Username};
use portcullis_traffic_manager::store::inspect::inspect;
use portcullis_traffic_manager::{AllowanceFaces, Running, Settings, Store, StoreError, Telling, start};
use tower::ServiceExt as _;

use log::{Log, first_state, log, take, until, used};
use state::key;

/// What a started Traffic Manager gives.
struct Faces {
    quotas: Arc<dyn Quotas>,
    running: Running,
    router: axum::Router,
    _telling: Telling,
}

async fn run(log: &Arc<Log>, data_dir: &Path) -> Faces {
    run_with(log, data_dir, 64 << 20).await
}

async fn run_with(log: &Arc<Log>, data_dir: &Path, store_bytes_max: u64) -> Faces {
    let settings = Settings { node: NodeId(1), data_dir: data_dir.to_owned(), store_bytes_max, broker: None };
    let proposer = Arc::clone(log) as Arc<dyn Proposer>;
    // The engine of an earlier start may still be letting go of its files.
    let begun = std::time::Instant::now();
    let faces = loop {
        match start(&settings, Handle::new(Arc::clone(&log.cell), Arc::clone(&proposer)), true) {
            Ok(faces) => break faces,
            Err(StoreError::Io { .. }) if begun.elapsed() < Duration::from_secs(10) => tokio::task::yield_now().await,
            Err(cause) => panic!("{cause:?}"),
        }
    };
    let AllowanceFaces { quotas, hook, running } = faces.allowances.expect("the node has a gateway");
    log.cell.set_hooks(vec![hook, faces.hook]);
    Faces { quotas, running, router: faces.router, _telling: faces.telling }
}

/// The log of a restarted node: the same state, a new cell.
fn reopened(log: &Arc<Log>) -> Arc<Log> {
    log::log(log.state.lock().unwrap().clone())
}

#[tokio::test]
async fn a_limit_is_used_to_the_last_request_and_counted_once_though_answers_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(20));
    log.loses_answers.store(true, Ordering::SeqCst);
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for _ in 0..20 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    }
    assert!(matches!(take(&allowance).await, Taken::Exhausted { .. }));
    until("20 are counted", async || used(&log) == 20).await;
    let standing = allowance.standing(handle::wall_clock());
    assert_eq!((standing.limit, standing.remaining), (20, 0));
    assert_eq!(log.cell.load().counters.list(None, 10, handle::wall_clock())[0].pool, 0);
}

#[tokio::test]
async fn usage_that_was_stored_before_a_crash_is_counted_once_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(100));
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    let mut windows = Vec::new();
    for _ in 0..10 {
        let Taken::Yes { window } = take(&allowance).await else { panic!("there is enough") };
        windows.push(window);
    }
    for window in &windows[..5] {
        allowance.give_back(1, *window);
    }
    until("5 are counted", async || used(&log) == 5).await;
    until("the reports that wait", async || faces.running.observe().await.unwrap().reports_waiting == 0).await;
    log.is_down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }), "what is in hand is spent without the cluster");
    }
    until("the reports that wait", async || faces.running.observe().await.unwrap().reports_waiting > 0).await;
    drop((allowance, faces));
    let log = reopened(&log);
    let faces = run(&log, folder.path()).await;
    until("10 are counted", async || used(&log) == 10).await;
    until("the reports that wait", async || faces.running.observe().await.unwrap().reports_waiting == 0).await;
    drop(faces);
    let log = reopened(&log);
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    until("11 are counted", async || used(&log) == 11).await;
}

#[tokio::test]
async fn a_node_that_stops_gives_back_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(100));
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    let Taken::Yes { window } = take(&allowance).await else { panic!("there is enough") };
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    allowance.give_back(1, window);
    assert!(faces.running.stop(Duration::from_secs(10)).await.unwrap());
    let pool = log.cell.load().counters.list(None, 1, handle::wall_clock())[0].pool;
    assert_eq!((pool, used(&log)), (99, 1));
}

#[tokio::test]
async fn a_drained_node_gives_back_what_it_holds_and_still_answers_calls_that_come() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(100));
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    let pool = || log.cell.load().counters.list(None, 1, handle::wall_clock())[0].pool;
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    let drain = Entry {
        command: SetNodeCondition::NUMBER,
        proposed_at: handle::wall_clock(),
        random: [0; 32],
        principal: portcullis_model::Principal::system(),
        idempotency: None,
        payload: codec::encode(&SetNodeCondition {
            node: NodeId(1),
            condition: NodeCondition::Drained(Some("ops".to_owned())),
        })
        .unwrap(),
    };
    log.propose(drain, Duration::from_secs(1)).await.unwrap();
    until("all but the used one is given back", async || pool() == 99).await;
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }), "a call that comes is answered");
    until("nothing is kept for the next", async || pool() == 98 && used(&log) == 2).await;
}

#[tokio::test]
async fn a_node_that_lost_its_message_store_gets_a_number_the_log_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = first_state(100);
    let known = Source { incarnation: u64::MAX / 2, sequence: 7 };
    state.counters.sources.insert(NodeId(1), known);
    let log = log(state);
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    until("1 are counted", async || used(&log) == 1).await;
    assert_eq!(log.cell.load().counters.sources[&NodeId(1)].incarnation, known.incarnation + 1);
}

fn statement(sequence: u64, items: usize) -> Statement {
    let item = Item {
        key: key(),
        window: WindowId { length_ms: 1000, index: 7 },
        reserve: 0,
        spent: 1,
        over: 0,
        returned: 0,
        ask: 0,
        granted: 0,
        demand: 1,
        answers_dry: None,
    };
    Statement::from(Report {
        node: NodeId(1),
        incarnation: 1,
        sequence,
        time: Timestamp(7000),
        applied_index: 0,
        reserve_from: Timestamp(0),
        is_store_new: false,
        adopted: None,
        items: vec![item; items],
    })
}

fn open(folder: &Path) -> (Store, portcullis_traffic_manager::store::Found) {
    let begun = std::time::Instant::now();
    loop {
        match Store::open(folder) {
            Ok(opened) => return opened,
            Err(StoreError::Io { .. }) if begun.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
            Err(cause) => panic!("{cause:?}"),
        }
    }
}

#[tokio::test]
async fn the_message_store_keeps_reports_in_order_until_they_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, found) = open(folder.path());
    assert!(found.is_new && found.statements.is_empty());
    let first = found.incarnation;
    // The second is larger than a chunk.
    let reports = [statement(1, 1), statement(2, 900), statement(3, 2)];
    for report in &reports {
        store.append(report).await.unwrap();
    }
    store.remove(1, 1).unwrap();
    store.note_ceiling(Timestamp(99)).await.unwrap();
    drop(store);
    let (_store, found) = open(folder.path());
    assert_eq!(found.statements, reports[1..]);
    assert_eq!((found.incarnation, found.ceiling, found.is_new), (first + 1, Timestamp(99), false));
}

#[tokio::test]
async fn a_message_store_that_does_not_open_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&statement(1, 500)).await.unwrap();
    drop(store);
    let path = folder.path().join("mbstoredb");
    std::fs::write(path.join("conf"), b"not a configuration").unwrap();
    let (store, found) = open(folder.path());
    assert!(found.set_aside.is_some_and(|aside| aside.exists()) && found.is_new);
    store.append(&statement(1, 1)).await.unwrap();
}

#[tokio::test]
async fn a_store_whose_engine_failed_is_replaced_for_the_same_start_of_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let (store, found) = open(folder.path());
    store.append(&statement(1, 3)).await.unwrap();
    let aside = store.replace(folder.path(), found.incarnation, Timestamp(77)).unwrap();
    assert!(aside.exists());
    store.append(&statement(2, 1)).await.unwrap();
    drop(store);
    let (_store, again) = open(folder.path());
    assert_eq!((again.incarnation, again.ceiling), (found.incarnation + 1, Timestamp(77)));
    assert_eq!(again.statements, [statement(2, 1)]);
}

#[tokio::test]
async fn what_is_owed_survives_in_the_store_and_reports_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    let owing = Statement { owed: vec![Owed { item: 1, amount: 9 }], ..statement(1, 2) };
    store.append(&owing).await.unwrap();
    drop(store);
    // What a node that knew no late costs had stored: format 1, the report alone.
    let payload = codec::encode(&statement(2, 1).report).unwrap();
    let mut record = 1_u16.to_be_bytes().to_vec();
    record.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    record.extend(crc32fast::hash(&payload).to_be_bytes());
    record.extend(payload);
    let mut key = vec![b'r'];
    key.extend(1_u64.to_be_bytes());
    key.extend(2_u64.to_be_bytes());
    key.extend(0_u32.to_be_bytes());
    until("the store is free", async || {
        let Ok(db) = sled::Config::new().path(folder.path().join("mbstoredb")).segment_size(512 << 10).open() else {
            return false;
        };
        db.insert(&key, record.clone()).unwrap();
        db.flush().is_ok()
    })
    .await;
    let (_store, found) = open(folder.path());
    assert_eq!(found.statements, [owing, statement(2, 1)]);
}

#[tokio::test]
async fn the_store_of_a_stopped_node_is_listed_without_changing_it_and_that_of_a_running_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, found) = open(folder.path());
    store.append(&statement(5, 3)).await.unwrap();
    assert!(matches!(inspect(folder.path()), Err(StoreError::Io { .. })), "somebody has it open");
    drop(store);
    until("the store is free", async || inspect(folder.path()).is_ok()).await;
    let contents = inspect(folder.path()).unwrap();
    assert_eq!((contents.incarnation, contents.damaged, contents.set_aside.len()), (found.incarnation, 0, 0));
    let listed: Vec<_> = contents.waiting.iter().map(|one| (one.incarnation, one.sequence, one.items)).collect();
    assert_eq!(listed, [(1, 5, 3)]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_full_store_holds_reports_back_and_everything_is_counted_when_the_cluster_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(1000));
    let faces = run_with(&log, folder.path(), 1).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for _ in 0..5 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    }
    until("5 are counted", async || used(&log) == 5).await;
    log.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    until("the store is full", async || faces.running.figures().is_store_full).await;
    let is_taken = |_: &i32| matches!(allowance.try_take(1, handle::wall_clock()), Taken::Yes { .. });
    let more = u64::try_from((0..5).filter(is_taken).count()).unwrap();
    until("a tick is held back", async || faces.running.figures().ticks_held_back > 0).await;
    assert_eq!(faces.running.figures().reports_waiting, 1);
    log.is_down.store(false, Ordering::SeqCst);
    until("all are counted", async || used(&log) == 6 + more).await;
}

#[tokio::test]
async fn a_cost_that_is_known_late_is_counted_and_paid_by_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(1000));
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    allowance.debit(700, handle::wall_clock());
    until("701 are counted", async || used(&log) == 701).await;
    until("299 are left at most", async || allowance.standing(handle::wall_clock()).remaining <= 299).await;
    allowance.debit(500, handle::wall_clock());
    until("1201 are counted", async || used(&log) == 1201).await;
    until("nothing is left", async || matches!(take(&allowance).await, Taken::Exhausted { .. })).await;
}

fn administrator() -> Identity {
    let principal = Principal { tenant: TenantDomain::super_tenant(), username: Username("admin".to_owned()) };
    Identity { principal, roles: [].into(), scopes: ["apim:admin".to_owned()].into(), origin: None, is_token: false }
}

/// Calls the Traffic Manager's face as an administrator.
async fn call(faces: &Faces, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.extension(administrator()).body(axum::body::Body::from(body.to_owned())).unwrap();
    let response = faces.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn an_administrator_sees_who_holds_what_and_gives_a_limit_anew() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(20));
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for _ in 0..20 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    }
    assert!(matches!(take(&allowance).await, Taken::Exhausted { .. }));
    until("20 are counted", async || used(&log) == 20).await;
    let (status, body) = call(&faces, "GET", "/throttling/counters?policy=Tested", "").await;
    assert_eq!((status, &body["count"], &body["list"][0]["remaining"]), (200, &1.into(), &0.into()), "{body}");
    assert_eq!(body["list"][0]["holdings"][0]["spent"], 20, "{body}");
    assert_eq!(call(&faces, "GET", "/throttling/counters?policy=Other", "").await.1["count"], 0);
    assert_eq!(call(&faces, "POST", "/throttling/counters/reset", "{}").await.0, 400, "not all at once");
    let (status, body) = call(&faces, "POST", "/throttling/counters/reset", r#"{"policy": "Tested"}"#).await;
    assert_eq!((status, &body["count"]), (200, &1.into()), "{body}");
    for _ in 0..20 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }), "the limit is there anew");
    }
    assert!(matches!(take(&allowance).await, Taken::Exhausted { .. }), "and no more than it");
    until("40 are counted", async || used(&log) == 40).await;
    let (_, body) = call(&faces, "GET", "/throttling/usage", "").await;
    assert_eq!(body["list"][0]["used_in_all"], 40, "{body}");
    let (status, body) = call(&faces, "GET", "/throttling/message-store", "").await;
    assert_eq!((status, &body["is_writable"], &body["is_full"]), (200, &true.into(), &false.into()), "{body}");
}

#[tokio::test]
async fn usage_comes_as_server_sent_events_to_whoever_administers_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(first_state(20));
    let faces = run(&log, folder.path()).await;
    assert_eq!(call(&faces, "GET", "/throttling/stream?only=gossip", "").await.0, 400);
    let anonymous = http::Request::get("/throttling/stream").body(axum::body::Body::empty()).unwrap();
    assert_eq!(faces.router.clone().oneshot(anonymous).await.unwrap().status(), 401);

    let request = http::Request::get("/throttling/stream?only=usage").extension(administrator());
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = faces.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let allowance = faces.quotas.allowance(&key()).unwrap();
    assert!(matches!(take(&allowance).await, Taken::Yes { .. }));
    let first = tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("in time");
    let text = String::from_utf8(first.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: usage") && text.contains(r#""used":1"#), "{text}");
}

#[tokio::test]
async fn a_plan_that_does_not_stop_uses_up_its_quota_first_and_says_so_and_counts_what_passes_beyond_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = first_state(20);
    for (key, policy) in state.deployed.policies.clone() {
        let policy = QuotaPolicy { stops_on_quota_reach: false, ..policy.as_ref().clone() };
        state.deployed.policies.insert(key, Arc::new(policy));
    }
    let log = log(state);
    let faces = run(&log, folder.path()).await;
    let allowance = faces.quotas.allowance(&key()).unwrap();
    for number in 0..20 {
        assert!(matches!(take(&allowance).await, Taken::Yes { .. }), "request {number} is within the quota");
        assert!(allowance.standing(handle::wall_clock()).remaining <= 19 - number);
    }
    for _ in 0..5 {
        let taken = match take(&allowance).await {
            Taken::Dry => allowance.take_beyond(1, handle::wall_clock()).unwrap(),
            decided => decided,
        };
        assert!(matches!(taken, Taken::Over { .. }), "{taken:?}");
    }
    until("all are counted", async || used(&log) == 25).await;
}
