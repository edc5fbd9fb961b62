//! The one signal by which a part of the Raft node says that the node must stop: the first reason given wins.

use std::sync::Arc;

use tokio::sync::watch;

/// Raises and shows the reason for which the node must stop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fatal(Arc<watch::Sender<Option<String>>>);

impl Fatal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Notes why the node must stop, unless a reason is there already.
    pub(crate) fn raise(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.0.send_if_modified(|present| {
            if present.is_some() {
                return false;
            }
            tracing::error!(%reason, "this node must stop");
            *present = Some(reason);
            true
        });
    }

    /// Returns the reason, if there is one.
    pub(crate) fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Returns a receiver that sees the reason as soon as there is one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }
}
