//! Analytics: has what gateways gathered about calls summed up in the state, and answers what the sums are.
//!
//! The way of a call is not here: gateways gather by themselves and hand on from time to time. How batches are added up,
//! and what is kept for how long, is the state machine's (`portcullis_database::statistics`).

mod alerts;
mod analytics;
mod book;
mod collector;
mod inbox;
mod messages;
mod pages;
mod rest;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portcullis_actor::{Address, AskError};
use portcullis_database::Handle;
use portcullis_database::access::Analytics as Rights;
use portcullis_database::statistics::StatisticsBounds;
use portcullis_model::NodeId;
use portcullis_model::port::CallStatistics;

pub use alerts::{AlertSettings, Leads, Mail, MailFault, Thresholds};
pub use analytics::Analytics;
use collector::Collector;
pub use messages::{Drain, Observe, Observed};
pub use pages::PagesSource;

/// Messages that wait for the actor.
const MAILBOX: usize = 16;

/// How Analytics is set up on a node.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeId,
    /// What is kept.
    pub bounds: StatisticsBounds,
}

/// Takes in what the node's gateway gathers; it ends when this is dropped.
pub struct Running {
    address: Address<Analytics>,
    collector: Arc<Collector>,
}

impl Running {
    /// Returns where the gateway hands on what it gathers.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn CallStatistics> {
        Arc::<inbox::Inbox>::clone(&self.collector.inbox)
    }

    /// Returns how it stands.
    #[must_use]
    pub fn figures(&self) -> Observed {
        self.collector.observe()
    }

    /// Has everything that was handed on brought to the log, and says whether that came about in time. The gateway is
    /// drained first.
    ///
    /// # Errors
    /// Where the actor does not answer.
    pub async fn stop(&self, within: Duration) -> Result<bool, AskError> {
        self.address.ask(Drain { within }).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.collector.end();
    }
}

/// Starts to take in what the node's gateway gathers.
#[must_use]
pub fn start(settings: Settings, handle: Handle<Rights>) -> Running {
    let collector = Arc::new(Collector::new(settings, handle));
    let running = Arc::clone(&collector);
    let address = portcullis_actor::spawn("analytics", MAILBOX, move || Analytics::new(Arc::clone(&running)));
    Running { address, collector }
}

/// Finds alerts while this node leads, and tells them, until the task that runs it ends.
pub async fn watch(settings: AlertSettings, handle: Handle<Rights>, leads: Leads) {
    alerts::run(settings, handle, leads).await;
}

/// Returns `/statistics` of Portcullis' own API, without the API's prefix.
pub fn routes(handle: Handle<Rights>) -> Router {
    rest::routes(handle)
}
