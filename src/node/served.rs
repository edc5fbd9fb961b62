//! A server of the node and the way to stop it. What is served is not known here.

use std::sync::Arc;
use std::time::Duration;

use portcullis_http::server::{Counters, Limits, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than any configuration lets a server drain.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);

/// A server and the way to stop it.
pub(crate) struct Served {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    counters: Arc<Counters>,
}

impl Served {
    /// Serves `router` on `listener` until it is drained.
    pub(crate) fn start(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, router: axum::Router) -> Self {
        let (stop, stopped) = watch::channel(false);
        // How long draining may take is known when it begins.
        let limits = Limits { drain_timeout: DRAIN_MAX, ..Limits::default() };
        let counters = Arc::clone(&limits.counters);
        let task = tokio::spawn(serve(listener, tls, router, stopped, limits));
        Self { stop, task, counters }
    }

    /// Returns what the server counts.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Lets requests that are under way finish within `time`, then ends.
    pub(crate) async fn drain(mut self, name: &str, time: Duration) {
        self.stop.send_replace(true);
        match tokio::time::timeout(time, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => tracing::error!(server = name, %failed, "a server ended badly"),
            Err(_) => {
                tracing::warn!(server = name, "connections are cut off: their requests took too long to finish");
                // Its connections are tasks that end with it.
                self.task.abort();
            }
        }
    }
}
