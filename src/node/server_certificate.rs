//! Has the listeners of this node show its certificate, also the one that takes its place while they run.

use std::sync::Arc;

use portcullis_http::tls::ServerCertificate;
use portcullis_raft::Held;
use tokio::sync::watch;

/// Follows the node's certificate until Raft is gone.
pub(crate) async fn follow(mut certificates: watch::Receiver<Arc<Held>>, shown: Arc<ServerCertificate>) {
    while certificates.changed().await.is_ok() {
        let held = Arc::clone(&certificates.borrow_and_update());
        if let Err(e) = shown.replace(&held.chain(), &held.key) {
            tracing::error!(error = %e, "the new certificate cannot be served; the former one stays");
        }
    }
}
