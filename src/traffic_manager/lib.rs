//! The Traffic Manager: keeps quotas exact across the cluster, with no hop on the way of a request.
//!
//! Gateways take from the [`Ledger`] in memory; an actor reports to the log what was spent and asks for more. What may
//! be granted is decided by the state machine (`portcullis_database::counters`), not here.

mod allowance;
mod book;
mod delivery;
pub mod feed;
mod intake;
pub mod ledger;
pub mod manager;
pub mod messages;
mod notes;
mod queue;
mod rate;
mod reporter;
mod rest;
mod seen;
pub mod store;
mod waiter;
mod word;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portcullis_actor::{Address, AskError};
use portcullis_database::Handle;
use portcullis_database::access::TrafficManager as Rights;
use portcullis_database::cell::Hook;
use portcullis_model::NodeId;
use portcullis_model::port::{NodeCalls, Quotas};

use delivery::Delivery;
use feed::{Broker, Feed, Publisher, Teller};
use intake::Intake;
use notes::Notes;
use reporter::Reporter;
use store::Found;

pub use feed::BrokerSettings;
pub use intake::PATH;
pub use ledger::{Ledger, Opening};
pub use manager::TrafficManager;
pub use messages::{Drain, Observe, Observed};
pub use reporter::{StoreStanding, WaitingReport};
pub use store::{Store, StoreError};

/// Messages that wait for the actor.
const MAILBOX: usize = 64;

/// How a node's Traffic Manager is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeId,
    /// The node's data directory; the message store is in `mbstoredb` below it.
    pub data_dir: PathBuf,
    /// How many bytes of reports may wait in the message store. Beyond them usage gathers in memory.
    pub store_bytes_max: u64,
    /// The broker to which the feed is published, if any.
    pub broker: Option<BrokerSettings>,
}

/// What gateways take from on a node, whether its Traffic Manager runs there or elsewhere.
pub struct AllowanceFaces {
    /// Where gateways take from.
    pub quotas: Arc<dyn Quotas>,
    /// Takes in each new state; to be set on the state cell.
    pub hook: Hook,
    /// Keeps it running.
    pub running: Running,
}

/// What the node joins the Traffic Manager to the others by.
pub struct TrafficManagerFaces {
    /// What the gateway of the node takes from; `None` where it has no gateway.
    pub allowances: Option<AllowanceFaces>,
    /// Takes in the reports of nodes without a Traffic Manager; to be mounted at [`PATH`] on the port between nodes.
    pub for_nodes: Router,
    /// `/throttling` of Portcullis' own API, to be mounted at `/api/portcullis/v1`.
    pub router: Router,
    /// Takes in each new state for the feed; to be set on the state cell.
    pub hook: Hook,
    /// Tells other systems of decisions and usage.
    pub telling: Telling,
}

/// What tells other systems of decisions and usage; it ends when this is dropped.
pub struct Telling {
    feed: Arc<Feed>,
    broker: Option<Arc<Broker>>,
    /// Actors that nobody asks anything; they live as long as their addresses.
    _actors: (Address<Teller>, Option<Address<Publisher>>),
}

/// What the feed has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedFigures {
    /// Messages of the feed.
    pub told: u64,
    /// Readers of the feed.
    pub readers: u64,
    /// Readers that were too slow.
    pub dropped: u64,
    /// Where there is a broker: whether it is connected, how many messages it has confirmed, how often it failed.
    pub broker: Option<(bool, u64, u64)>,
}

impl Telling {
    fn start(broker: Option<BrokerSettings>) -> Self {
        let feed = Feed::new();
        let telling = Arc::clone(&feed);
        let teller = portcullis_actor::spawn("throttle-feed", MAILBOX, move || Teller(Arc::clone(&telling)));
        let broker = broker.map(|broker| Broker::new(broker, Arc::clone(&feed)));
        let publisher = broker
            .clone()
            .map(|broker| portcullis_actor::spawn("throttle-broker", MAILBOX, move || Publisher(Arc::clone(&broker))));
        Self { feed, broker, _actors: (teller, publisher) }
    }

    /// Returns what was counted.
    #[must_use]
    pub fn figures(&self) -> FeedFigures {
        let (told, readers, dropped) = self.feed.figures();
        FeedFigures { told, readers, dropped, broker: self.broker.as_ref().map(|broker| broker.figures()) }
    }

    /// Ends all streams, so that their readers go elsewhere.
    pub fn end(&self) {
        self.feed.end();
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.feed.end();
    }
}

/// A running Traffic Manager; it ends when this is dropped.
pub struct Running {
    address: Address<TrafficManager>,
    reporter: Arc<Reporter>,
}

impl Running {
    /// Returns how it stands.
    ///
    /// # Errors
    /// Where the actor does not answer.
    pub async fn observe(&self) -> Result<Observed, AskError> {
        self.address.ask(Observe).await
    }

    /// Returns the same at once.
    #[must_use]
    pub fn figures(&self) -> Observed {
        self.reporter.observe()
    }

    /// Gives up everything this node holds, so that the others can use it, and says whether that reached the log.
    /// Requests find nothing to take from then on: gateways are drained first.
    ///
    /// # Errors
    /// Where the actor does not answer.
    pub async fn stop(&self, within: Duration) -> Result<bool, AskError> {
        self.address.ask(Drain { within }).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reporter.end();
    }
}

/// Starts the Traffic Manager of a node: its message store, and, where the node `has_gateway`, the ledger.
///
/// # Errors
/// Where the message store can neither be opened nor made anew.
pub fn start(
    settings: &Settings,
    handle: Handle<Rights>,
    has_gateway: bool,
) -> Result<TrafficManagerFaces, StoreError> {
    let (store, mut found) = Store::open(&settings.data_dir)?;
    let intake = Intake::new(handle.clone(), store.clone());
    let own = if has_gateway { Vec::new() } else { std::mem::take(&mut found.statements) };
    tokio::spawn(Arc::clone(&intake).replay(std::mem::take(&mut found.of_others), own));
    let delivery = Delivery::Own { handle: handle.clone(), store };
    let allowances = has_gateway.then(|| start_ledger(settings, delivery, found));
    let telling = Telling::start(settings.broker.clone());
    let (feed, listener) = (Arc::clone(&telling.feed), Arc::clone(&telling.feed));
    let reporter = allowances.as_ref().map(|allowances| Arc::clone(&allowances.running.reporter));
    let router = rest::routes(rest::Face { handle, reporter, intake: Arc::clone(&intake), feed });
    let hook: Hook = Box::new(move |_old, new| listener.learn(new));
    Ok(TrafficManagerFaces { allowances, for_nodes: Intake::routes(intake), router, hook, telling })
}

/// Starts what a gateway takes from on a node without a Traffic Manager: the ledger, whose reports go to `nodes` that
/// have one. No message store is opened.
///
/// # Errors
/// Where the node's notes can neither be read nor written.
pub fn start_for_gateway(settings: &Settings, nodes: Arc<dyn NodeCalls>) -> Result<AllowanceFaces, StoreError> {
    let (notes, found) = Notes::open(&settings.data_dir)?;
    Ok(start_ledger(settings, Delivery::ByNodes { nodes, notes }, found))
}

fn start_ledger(settings: &Settings, delivery: Delivery, found: Found) -> AllowanceFaces {
    let ledger = Ledger::new(settings.node);
    let reporter = Arc::new(Reporter::new(Arc::clone(&ledger), delivery, found, settings));
    let running = Arc::clone(&reporter);
    let address =
        portcullis_actor::spawn("traffic-manager", MAILBOX, move || TrafficManager::new(Arc::clone(&running)));
    let learner = Arc::clone(&ledger);
    let hook: Hook = Box::new(move |_old, new| learner.learn(new));
    AllowanceFaces { quotas: ledger, hook, running: Running { address, reporter } }
}
