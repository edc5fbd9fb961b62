//! Takes in the reports of nodes that carry API calls without a Traffic Manager: made durable in this node's message
//! store, then proposed. A node hands its reports over in order, each until it is applied, so that there is never more
//! than one of each node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use http::StatusCode;
use portcullis_database::access::TrafficManager as Rights;
use portcullis_database::counters::{ReportReply, Statement};
use portcullis_database::{Handle, codec};
use portcullis_http::node_line::FromNode;
use portcullis_model::NodeId;
use tracing::{error, info, warn};

use crate::delivery::{NotDelivered, propose};
use crate::store::Store;

/// The path below which a node answers for its Traffic Manager.
pub const PATH: &str = "/traffic-manager";
/// The path of reports.
pub(crate) const REPORTS: &str = "/reports";
/// The status of a report that will never be counted.
pub(crate) const REFUSED: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
/// Bytes of one report.
const REPORT_BYTES_MAX: usize = 2 << 20;
/// The pause before a report of an earlier start is proposed again.
const REPLAY_PAUSE: Duration = Duration::from_millis(500);

/// Takes reports in.
pub(crate) struct Intake {
    handle: Handle<Rights>,
    store: Store,
    /// The report of each node that is in the store.
    stored: Mutex<BTreeMap<NodeId, (u64, u64)>>,
}

impl Intake {
    pub(crate) fn new(handle: Handle<Rights>, store: Store) -> Arc<Self> {
        Arc::new(Self { handle, store, stored: Mutex::default() })
    }

    /// Returns which reports of other nodes are in the store: node, start of it, number.
    pub(crate) fn waiting(&self) -> Vec<(NodeId, u64, u64)> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.iter().map(|(node, (incarnation, sequence))| (*node, *incarnation, *sequence)).collect()
    }

    /// Returns the routes, to be mounted at [`PATH`] on the port between nodes.
    pub(crate) fn routes(intake: Arc<Self>) -> Router {
        Router::new().route(REPORTS, post(take_in)).layer(DefaultBodyLimit::max(REPORT_BYTES_MAX)).with_state(intake)
    }

    /// Makes a report durable, brings it to the log, and forgets it.
    async fn take(&self, statement: Statement) -> Result<ReportReply, NotDelivered> {
        let (node, key) = (statement.report.node, key_of(&statement));
        self.replace_stored(node, key);
        if let Err(cause) = self.store.append_of_other(&statement).await {
            // As with this node's own reports: the store guards usage against a crash, not the limit.
            error!(%cause, %node, "a report is proposed without being stored: a crash now would lose its usage");
        }
        let reply = propose(&self.handle, &statement).await;
        if !matches!(reply, Err(NotDelivered::NotNow(_))) {
            self.forget(node, key);
        }
        reply
    }

    /// Notes which report of a node is in the store now; the one before it was applied, by whichever node.
    fn replace_stored(&self, node: NodeId, key: (u64, u64)) {
        let before = self.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(node, key);
        if let Some(before) = before.filter(|before| *before != key) {
            self.remove(node, before);
        }
    }

    fn forget(&self, node: NodeId, key: (u64, u64)) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.get(&node) == Some(&key) {
            stored.remove(&node);
        }
        drop(stored);
        self.remove(node, key);
    }

    fn remove(&self, node: NodeId, (incarnation, sequence): (u64, u64)) {
        if let Err(cause) = self.store.remove_of_other(node, incarnation, sequence) {
            // It stays and is proposed again by the next start, which the log recognises.
            tracing::debug!(%cause, %node, "an applied report stays in the message store");
        }
    }

    /// Proposes what an earlier start of this node left of other nodes' reports, and of its own where it had a gateway
    /// then and has none now. Each until the log knows it.
    pub(crate) async fn replay(self: Arc<Self>, of_others: Vec<Statement>, own: Vec<Statement>) {
        let count = of_others.len() + own.len();
        if count > 0 {
            info!(reports = count, "reports that an earlier start left are proposed again");
        }
        for statement in of_others {
            let (node, key) = (statement.report.node, key_of(&statement));
            self.propose_left(statement).await;
            self.remove(node, key);
        }
        for statement in own {
            let (incarnation, sequence) = key_of(&statement);
            self.propose_left(statement).await;
            // One that stays is proposed again by the next start, which the log recognises.
            self.store.remove(incarnation, sequence).ok();
        }
    }

    async fn propose_left(&self, mut statement: Statement) {
        // Its usage counts, but it asks for nothing.
        for item in &mut statement.report.items {
            item.ask = 0;
        }
        loop {
            match propose(&self.handle, &statement).await {
                Ok(_) => return,
                Err(NotDelivered::Refused(cause)) => {
                    warn!(cause, node = %statement.report.node, "a stored report was refused and its usage is not counted");
                    return;
                }
                Err(NotDelivered::NotNow(_)) => tokio::time::sleep(REPLAY_PAUSE).await,
            }
        }
    }
}

/// Returns what tells a node's reports apart: which start of it, and the number within that.
fn key_of(statement: &Statement) -> (u64, u64) {
    (statement.report.incarnation, statement.report.sequence)
}

async fn take_in(
    State(intake): State<Arc<Intake>>,
    Extension(FromNode(from)): Extension<FromNode>,
    body: Bytes,
) -> Response {
    let statement: Statement = match codec::decode(&body) {
        Ok(statement) => statement,
        Err(cause) => return (REFUSED, format!("the report cannot be read: {cause}")).into_response(),
    };
    if statement.report.node != from {
        let why = format!("node {from} may not report for node {}", statement.report.node);
        return (REFUSED, why).into_response();
    }
    match intake.take(statement).await {
        Ok(reply) => match codec::encode(&reply) {
            Ok(bytes) => bytes.into_response(),
            Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
        },
        Err(NotDelivered::Refused(why)) => (REFUSED, why).into_response(),
        Err(NotDelivered::NotNow(why)) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}
