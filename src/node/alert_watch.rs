//! Has alerts found and told while the node runs, by settings that may change meanwhile. What an alert is is not known here.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_analytics::{AlertSettings, BotSubscribers, Subscriber, Subscribers};
use portcullis_database::access::Admin;
use portcullis_database::{Apimgtdb, Handle, Userdb, alert_subscriptions};
use portcullis_model::alert::AlertKind;
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

/// Says who wants to be told of alerts: what administrators said, read with Admin's rights.
pub(crate) fn subscribers(handle: Handle<Admin>) -> Subscribers {
    Arc::new(move || {
        let view = handle.view();
        let all = alert_subscriptions::all(view.read::<Apimgtdb>(), view.read::<Userdb>());
        let subscribers = all.into_iter().map(|(tenant, name, kept)| Subscriber {
            tenant,
            name,
            kinds: kept.kinds.iter().filter_map(|kind| AlertKind::named(kind)).collect(),
            emails: kept.emails,
        });
        subscribers.collect()
    })
}

/// Says who wants to be told of calls that led to no API.
pub(crate) fn bot_subscribers(handle: Handle<Admin>) -> BotSubscribers {
    Arc::new(move || alert_subscriptions::about_bots(handle.view().read::<Apimgtdb>()))
}
