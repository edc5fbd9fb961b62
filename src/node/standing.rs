//! The page of how this node stands in the cluster: for whoever waits until it votes.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_model::cluster::Standing;
use portcullis_raft::RaftNode;

/// The path of the page, on the observability port.
pub const STANDING_PATH: &str = "/standing";

/// Returns the page.
pub(crate) fn routes(raft: Arc<RaftNode>) -> Router {
    Router::new().route(STANDING_PATH, get(show)).with_state(raft)
}

async fn show(State(raft): State<Arc<RaftNode>>) -> Json<Standing> {
    Json(raft.standing().await)
}
