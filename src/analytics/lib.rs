//! Analytics: has what gateways gathered about calls summed up in the state, and answers what the sums are.
//!
//! The way of a call is not here: gateways gather by themselves and hand on from time to time. How batches are added up,
//! and what is kept for how long, is the state machine's (`portcullis_database::statistics`).

mod alerts;
mod analytics;
mod book;
mod collector;
mod countries;
mod events;
mod inbox;
mod messages;
mod pages;
mod publishers;
mod rest;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portcullis_actor::{Address, AskError};
use portcullis_database::Handle;
use portcullis_database::access::Analytics as Rights;
use portcullis_database::statistics::{NetworkBounds, StatisticsBounds};
use portcullis_model::NodeId;
use portcullis_model::port::{ApiSight, CallEvents, CallStatistics};

pub use alerts::{AlertSettings, BotSubscribers, Leads, Mail, MailFault, Subscriber, Subscribers, Thresholds};
pub use analytics::Analytics;
use collector::Collector;
pub use countries::{CountryFile, CountryFileFault};
use events::Events;
pub use events::{EventFigures, EventSettings, Google, Webhook};
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
    /// How much is kept of from where applications call; `None` where that is not kept.
    pub networks: Option<NetworkBounds>,
    /// How many calls are kept that led to no API.
    pub strays_max: u32,
}

/// Takes in what the node's gateway gathers; it ends when this is dropped.
pub struct Running {
    address: Address<Analytics>,
    collector: Arc<Collector>,
    events: Option<Arc<Events>>,
}

impl Running {
    /// Returns where the gateway hands on what it gathers.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn CallStatistics> {
        Arc::<inbox::Inbox>::clone(&self.collector.inbox)
    }

    /// Returns where the gateway tells of calls that have ended; `None` where no other system is told of them.
    #[must_use]
    pub fn events(&self) -> Option<Arc<dyn CallEvents>> {
        self.events.clone().map(|events| -> Arc<dyn CallEvents> { events })
    }

    /// Returns how it stands.
    #[must_use]
    pub fn figures(&self) -> Observed {
        self.collector.observe()
    }

    /// Returns how telling other systems stands, by the name of each.
    #[must_use]
    pub fn event_figures(&self) -> Vec<(&'static str, EventFigures)> {
        self.events.as_ref().map(|events| events.figures()).unwrap_or_default()
    }

    /// Has everything that was handed on brought to the log, and says whether that came about in time. The gateway is
    /// drained first.
    ///
    /// # Errors
    /// Where the actor does not answer.
    pub async fn stop(&self, within: Duration) -> Result<bool, AskError> {
        let told = async {
            match &self.events {
                Some(events) => events.drain(within).await,
                None => true,
            }
        };
        let (brought, told) = tokio::join!(self.address.ask(Drain { within }), told);
        if !told {
            tracing::warn!("other systems did not take all events of the last calls");
        }
        brought
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.collector.end();
    }
}

/// Starts to take in what the node's gateway gathers, and to tell other systems of calls where there are any.
#[must_use]
pub fn start(settings: Settings, handle: Handle<Rights>, events: Option<EventSettings>) -> Running {
    let collector = Arc::new(Collector::new(settings, handle));
    let running = Arc::clone(&collector);
    let address = portcullis_actor::spawn("analytics", MAILBOX, move || Analytics::new(Arc::clone(&running)));
    Running { address, collector, events: events.map(|settings| Arc::new(Events::start(settings))) }
}

/// Finds alerts while this node leads, and tells them, also to subscribers, until the task that runs it ends.
pub async fn watch(
    settings: AlertSettings,
    handle: Handle<Rights>,
    leads: Leads,
    subscribers: Subscribers,
    bots: BotSubscribers,
) {
    alerts::run(settings, handle, leads, subscribers, bots).await;
}

/// Returns `/statistics` of Portcullis' own API, without the API's prefix.
pub fn routes(handle: Handle<Rights>, apis: Arc<dyn ApiSight>) -> Router {
    rest::routes(handle, apis)
}
