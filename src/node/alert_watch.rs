//! Has alerts found and told while the node runs, by settings that may change meanwhile. What an alert is is not known here.

use std::sync::{Mutex, PoisonError};

use portcullis_analytics::AlertSettings;
use tokio::task::JoinHandle;

/// Starts to look for alerts by settings, for as long as the task runs.
type Begin = Box<dyn Fn(AlertSettings) -> JoinHandle<()> + Send + Sync>;

/// Finds and tells alerts, or does not.
pub(crate) struct AlertWatch {
    begin: Begin,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl AlertWatch {
    /// Makes a watch that finds nothing until it has settings.
    pub(crate) fn new(begin: impl Fn(AlertSettings) -> JoinHandle<()> + Send + Sync + 'static) -> Self {
        Self { begin: Box::new(begin), task: Mutex::new(None) }
    }

    /// Looks for alerts by these settings from now on; not at all where there are none. What was told before is forgotten.
    pub(crate) fn set(&self, settings: Option<AlertSettings>) {
        let next = settings.map(|settings| (self.begin)(settings));
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *task, next) {
            before.abort();
        }
    }
}
