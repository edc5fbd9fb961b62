//! A server of the node and the way to stop it. What is served is not known here.

use std::sync::Arc;
use std::time::Duration;

use portcullis_http::server::{Counters, Limits, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server and the way to stop it.
pub(crate) struct Served {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    counters: Arc<Counters>,
}

impl Served {
    /// Serves `router` on `listener` until it is drained, at most `drain` for what is under way then.
    pub(crate) fn start(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        router: axum::Router,
        drain: Duration,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { drain_timeout: drain, ..Limits::default() };
        let counters = Arc::clone(&limits.counters);
        let task = tokio::spawn(serve(listener, tls, router, stopped, limits));
        Self { stop, task, counters }
    }

    /// Returns what the server counts.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Lets requests that are under way finish, then ends.
    pub(crate) async fn drain(self, name: &str) {
        self.stop.send_replace(true);
        if let Err(failed) = self.task.await {
            tracing::error!(server = name, %failed, "a server ended badly");
        }
    }
}
