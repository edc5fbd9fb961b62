//! The pages of the observability port: `/livez`, `/readyz`, `/healthz` and `/metrics`. Plain HTTP, no sign-in, and
//! therefore on a loopback address unless the configuration says otherwise.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portcullis_model::NodeId;
use serde::Serialize;

use crate::health::{Finding, LEADER, Readiness};
use crate::metrics::Metrics;

/// The content type of the metrics (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Pages {
    node: NodeId,
    started: Instant,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// The summary for people.
#[derive(Serialize)]
struct Summary {
    node: NodeId,
    version: &'static str,
    uptime_s: u64,
    is_ready: bool,
    checks: Vec<Finding>,
}

/// Returns the pages.
pub fn routes(node: NodeId, readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/healthz", get(healthz))
        .route("/metrics", get(show_metrics))
        .with_state(Pages { node, started: Instant::now(), readiness, metrics })
}

async fn readyz(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asks = |wanted: &str| query.split('&').any(|word| word.split('=').next() == Some(wanted));
    let mut findings = pages.readiness.findings();
    if asks("noleader") {
        // For balancers in front of the gateway: a node serves API calls also while the cluster has no leader.
        findings.retain(|finding| finding.name != LEADER);
    }
    let is_ready = findings.iter().all(|finding| finding.is_ok);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = asks("verbose");
    // What is missing is told in any case: whoever sees a 503 asks why.
    let mut lines: Vec<String> =
        findings.iter().filter(|finding| is_verbose || !finding.is_ok).map(Finding::as_line).collect();
    lines.push(if is_ready { "ready\n".to_owned() } else { "not ready\n".to_owned() });
    (status, lines.join("\n")).into_response()
}

/// Says whether the node has come up: once it has, it has, whatever happens later.
async fn startupz(State(pages): State<Pages>) -> Response {
    if pages.readiness.has_started() {
        return "started\n".into_response();
    }
    let lines: Vec<String> =
        pages.readiness.findings().iter().filter(|finding| !finding.is_ok).map(Finding::as_line).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\nstarting\n", lines.join("\n"))).into_response()
}

async fn healthz(State(pages): State<Pages>) -> Response {
    let checks = pages.readiness.findings();
    let is_ready = checks.iter().all(|finding| finding.is_ok);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let version = env!("CARGO_PKG_VERSION");
    let uptime_s = pages.started.elapsed().as_secs();
    (status, axum::Json(Summary { node: pages.node, version, uptime_s, is_ready, checks })).into_response()
}

async fn show_metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.as_text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(cause) => {
            tracing::error!(%cause, "metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::health::Probe;
    use crate::metrics::{RaftFigures, Sources};

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_node_without_leader_is_not_ready_but_alive_and_good_enough_for_api_calls() {
        let has_leader = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_leader);
        let look = move || match seen.load(Ordering::SeqCst) {
            true => Ok("node 1".to_owned()),
            false => Err("no leader is known".to_owned()),
        };
        let no_leader = Probe { name: LEADER, look: Box::new(look) };
        let caught_up = Probe { name: "caught_up", look: Box::new(|| Ok("applied 7".to_owned())) };
        let readiness = Readiness::new(vec![no_leader, caught_up]);
        let metrics = Metrics::new(Sources {
            node: 1,
            raft: Box::new(RaftFigures::default),
            gateway: Box::new(portcullis_gateway::Metrics::default),
            allowances: Box::new(|| None),
            feed: Box::new(|| None),
            analytics: Box::new(|| None),
            events: Box::new(Vec::new),
            telemetry: Box::new(|| None),
            access_log: Box::new(|| None),
            inside: Box::new(crate::inside::Inside::default),
            actors: Vec::new,
        });
        let router = routes(NodeId(1), Arc::clone(&readiness), metrics);
        assert_eq!(get(&router, "/livez").await, (200, "alive\n".to_owned()));
        let (status, text) = get(&router, "/readyz").await;
        assert_eq!((status, text.as_str()), (503, "[-]leader failed: no leader is known\nnot ready\n"));
        let (status, text) = get(&router, "/readyz?verbose").await;
        assert!(status == 503 && text.contains("[+]caught_up ok: applied 7"), "{text}");
        assert_eq!(get(&router, "/readyz?noleader").await, (200, "ready\n".to_owned()));
        assert_eq!(
            get(&router, "/startupz").await,
            (503, "[-]leader failed: no leader is known\nstarting\n".to_owned())
        );
        has_leader.store(true, Ordering::SeqCst);
        assert_eq!(get(&router, "/startupz").await, (200, "started\n".to_owned()));
        has_leader.store(false, Ordering::SeqCst);
        assert_eq!(get(&router, "/startupz").await.0, 200, "what has started has started");
        readiness.begin_stop();
        assert_eq!(get(&router, "/readyz?noleader").await.0, 503);
        assert_eq!(get(&router, "/metrics").await.0, 200);
    }
}
