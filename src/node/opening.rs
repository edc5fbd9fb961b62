//! When a node that starts begins to serve, and its gateway takes its first call.

use std::sync::Arc;
use std::time::Duration;

use portcullis_gateway::Gateway;
use portcullis_model::mutant::{self, Mutant};
use portcullis_raft::RaftNode;
use tokio::time::Instant;

/// The pause between two looks at the state of a node that starts.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How long a node that starts waits for a majority before its gateway serves what it has.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// Opens the gateway once the node has everything that was acknowledged before it started: until then it could accept
/// a token that was revoked while it was away, or know nothing of an API. Where no leader has been there for
/// [`STALE_AFTER`], so that nobody can tell, it serves what it has, if it has anything.
pub(crate) async fn open_when_caught_up(raft: Arc<RaftNode>, gateway: Option<Arc<Gateway>>) {
    let mut heard_at = Instant::now();
    while !raft.is_ready() && !mutant::is(Mutant::ServeEarly) {
        if raft.has_leader() || raft.has_nothing() {
            heard_at = Instant::now();
        }
        if heard_at.elapsed() >= STALE_AFTER {
            tracing::warn!("no majority answers: the gateway serves this node's last state, which may be out of date");
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    // Where others were told meanwhile that this node acts on a change, it serves nothing before it does.
    raft.begin_serving().await;
    if let Some(gateway) = gateway {
        gateway.open();
    }
}
