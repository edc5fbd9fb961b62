//! How a node's reports get to the log: kept in the node's own message store and proposed by it; or, on a node that
//! carries API calls without a Traffic Manager, handed to a node that has one, which does both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use portcullis_database::access::TrafficManager as Rights;
use portcullis_database::codec::{self, CodecError};
use portcullis_database::command::{ReportUsage, StateUsage};
use portcullis_database::counters::{ReportReply, Statement};
use portcullis_database::{Caller, Handle, ProposeError, SubmitError};
use portcullis_model::port::{CallTerms, NoAnswer, NodeCalls};
use portcullis_model::{Component, Timestamp};

use crate::intake::{PATH, REFUSED, REPORTS};
use crate::notes::Notes;
use crate::store::{Store, StoreError};

/// How long one proposal may take before it is made again.
const PROPOSAL_WAIT: Duration = Duration::from_secs(5);

/// How reports get to the log.
pub(crate) enum Delivery {
    /// By this node's own message store and handle.
    Own {
        /// The handle.
        handle: Handle<Rights>,
        /// The message store.
        store: Store,
    },
    /// By the message store of a Traffic Manager's node. This node keeps only what its own next start must know.
    ByNodes {
        /// The nodes.
        nodes: Arc<dyn NodeCalls>,
        /// What the next start must know.
        notes: Notes,
    },
}

/// Why a report is not in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDelivered {
    /// It never will be: its usage is not counted.
    #[error("{0}")]
    Refused(String),
    /// It may be if it is proposed again.
    #[error("{0}")]
    NotNow(String),
}

impl Delivery {
    /// Makes a report durable before it is proposed, where that is this node's to do.
    pub(crate) async fn keep(&self, statement: &Statement) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => store.append(statement).await,
            Self::ByNodes { .. } => Ok(()),
        }
    }

    /// Forgets a report that was applied.
    pub(crate) fn forget(&self, incarnation: u64, sequence: u64) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => store.remove(incarnation, sequence),
            Self::ByNodes { .. } => Ok(()),
        }
    }

    /// Sets aside a message store whose engine has failed, and begins a new one. Returns where the old one is; `None`
    /// where the node has none.
    pub(crate) async fn replace_store(
        &self,
        data_dir: &Path,
        incarnation: u64,
        ceiling: Timestamp,
    ) -> Option<Result<PathBuf, StoreError>> {
        let Self::Own { store, .. } = self else { return None };
        let (store, data_dir) = (store.clone(), data_dir.to_owned());
        tokio::task::spawn_blocking(move || store.replace(&data_dir, incarnation, ceiling)).await.ok()
    }

    /// Returns the handle, where reports are proposed by this node.
    pub(crate) fn handle(&self) -> Option<&Handle<Rights>> {
        match self {
            Self::Own { handle, .. } => Some(handle),
            Self::ByNodes { .. } => None,
        }
    }

    /// Notes durably up to which time this start may use the reserve.
    pub(crate) async fn note_ceiling(&self, ceiling: Timestamp) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => store.note_ceiling(ceiling).await,
            Self::ByNodes { notes, .. } => notes.note_ceiling(ceiling).await,
        }
    }

    /// Notes durably the number of this start.
    pub(crate) async fn note_incarnation(&self, incarnation: u64) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => store.note_incarnation(incarnation).await,
            Self::ByNodes { notes, .. } => notes.note_incarnation(incarnation).await,
        }
    }

    /// Brings a report to the log, once.
    pub(crate) async fn submit(&self, statement: &Statement) -> Result<ReportReply, NotDelivered> {
        match self {
            Self::Own { handle, .. } => propose(handle, statement).await,
            Self::ByNodes { nodes, .. } => hand_over(nodes.as_ref(), statement).await,
        }
    }
}

/// Proposes a report.
pub(crate) async fn propose(handle: &Handle<Rights>, statement: &Statement) -> Result<ReportReply, NotDelivered> {
    let caller = Caller::system().within(PROPOSAL_WAIT);
    let mut done = handle.submit(StateUsage { statement: statement.clone() }, &caller).await;
    if let Err(SubmitError::Propose(ProposeError::LevelTooLow { .. })) = done {
        // Not every node of the cluster understands it yet.
        done = handle.submit(ReportUsage { report: statement.without_balances() }, &caller).await;
    }
    match done {
        Ok(done) => Ok(done.reply),
        Err(
            cause @ (SubmitError::Refused(_) | SubmitError::Codec(_) | SubmitError::Propose(ProposeError::TooLarge(_))),
        ) => Err(NotDelivered::Refused(cause.to_string())),
        Err(cause @ SubmitError::Propose(_)) => Err(NotDelivered::NotNow(cause.to_string())),
    }
}

/// Hands a report to a node with a Traffic Manager. The log counts it once, however many nodes it is handed to.
async fn hand_over(nodes: &dyn NodeCalls, statement: &Statement) -> Result<ReportReply, NotDelivered> {
    let unreadable = |cause: CodecError| NotDelivered::Refused(cause.to_string());
    let body = Bytes::from(codec::encode(statement).map_err(unreadable)?);
    let request = Request::post(format!("{PATH}{REPORTS}")).body(body);
    let request = request.map_err(|cause| NotDelivered::Refused(cause.to_string()))?;
    let terms = CallTerms { within: PROPOSAL_WAIT, is_repeatable: true };
    let not_now = |cause: NoAnswer| NotDelivered::NotNow(cause.to_string());
    let answer = nodes.call(Component::TrafficManager, request, terms).await.map_err(not_now)?;
    let told = || String::from_utf8_lossy(answer.body()).into_owned();
    match answer.status() {
        StatusCode::OK => codec::decode(answer.body()).map_err(unreadable),
        REFUSED => Err(NotDelivered::Refused(told())),
        status => Err(NotDelivered::NotNow(format!("the traffic manager answered {status}: {}", told()))),
    }
}
