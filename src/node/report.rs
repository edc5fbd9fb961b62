//! What this node tells whoever helps its operator: `/debug/report` of Portcullis' own API. Secrets are not in it: of the
//! configuration those values are left out that may hold one, and of files only names and sizes are told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::NodeId;
use portcullis_model::cluster::Standing;
use portcullis_raft::RaftNode;
use serde::Serialize;

use crate::config::KEYS;
use crate::health::{Finding, Readiness};
use crate::metrics::Metrics;
use crate::reload::Reloader;
use crate::{logging, surroundings};

/// Makes the report.
pub(crate) struct Reporter {
    pub(crate) node: NodeId,
    pub(crate) data_dir: PathBuf,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) raft: Arc<RaftNode>,
    /// What is there only once the listeners are.
    pub(crate) observed: OnceLock<(Arc<Readiness>, Arc<Metrics>)>,
}

/// The report.
#[derive(Serialize)]
struct Report {
    node: NodeId,
    version: &'static str,
    /// Where the node stands in the cluster, as it knows itself.
    standing: Standing,
    /// Every key by which the node runs.
    configuration: Vec<KeyBody>,
    health: Vec<Finding>,
    /// In the OpenMetrics form.
    metrics: String,
    /// The last lines of the log, the oldest first.
    log: Vec<String>,
    /// What the operating system says.
    surroundings: BTreeMap<&'static str, String>,
    /// The files of the data directory with their bytes.
    files: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct KeyBody {
    key: String,
    value: String,
    is_default: bool,
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(reporter: Arc<Reporter>) -> Router {
    Router::new().route("/debug/report", get(report)).with_state(reporter)
}

async fn report(
    State(reporter): State<Arc<Reporter>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<Report>, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    let principal = &signed.0.principal;
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    let standing = reporter.raft.standing().await;
    let made = tokio::task::spawn_blocking(move || reporter.report(standing)).await;
    made.map(Json).map_err(|_| Problem::unavailable("the node stops"))
}

impl Reporter {
    /// Reads small files, which may block.
    fn report(&self, standing: Standing) -> Report {
        let (running, usual) = (self.reloader.running(), crate::config::Config::default());
        let configuration = KEYS.iter().map(|key| KeyBody {
            key: key.path(),
            value: key.show_without_secrets(&running),
            is_default: (key.show)(&running) == (key.show)(&usual),
        });
        let (health, metrics) = match self.observed.get() {
            Some((readiness, metrics)) => (readiness.findings(), metrics.as_text().unwrap_or_default()),
            None => (Vec::new(), String::new()),
        };
        Report {
            node: self.node,
            version: env!("CARGO_PKG_VERSION"),
            standing,
            configuration: configuration.collect(),
            health,
            metrics,
            log: logging::recent_lines(),
            surroundings: surroundings::look(),
            files: surroundings::files_of(&self.data_dir),
        }
    }
}
