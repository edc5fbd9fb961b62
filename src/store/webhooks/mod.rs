//! The hub of APIs of the type WEBSUB: takes webhooks and events from gateways, asks callbacks whether they are meant, and
//! hands events on. What is subscribed is in the state, on every node; events that are under way are in memory alone.

mod delivery;
mod figures;
mod intent;
mod list;
mod notes;
mod shares;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_database::{Apimgtdb, ClusterKey, Handle, access, webhooks};
use portcullis_http::callback::{self, Places};
use portcullis_model::policy::PolicyLevel;
use portcullis_model::port::{Quotas, WebhookEvent, WebhookFigures, WebhookRefusal, WebhookRequest, Webhooks};
use portcullis_model::websub::{EVENT_BYTES_MAX, SECRET_BYTES_MAX};
use portcullis_model::{ApiId, ApplicationId, Subscription, SubscriptionState};
use tokio::sync::mpsc;

use self::delivery::Deliverer;
use self::figures::Counts;
use self::intent::Asker;

/// Requests that wait for their callback to be asked.
const INTENTS_WAITING_MAX: usize = 256;
/// Events that wait to be handed on.
const EVENTS_WAITING_MAX: usize = 256;
/// Bytes of the events that are under way.
const EVENT_BYTES_HELD_MAX: usize = 64 << 20;

type View = portcullis_database::handle::View<access::Store>;

/// The hub. Its work is done by the future that is made with it.
pub struct Hub {
    handle: Handle<access::Store>,
    intents: mpsc::Sender<WebhookRequest>,
    events: mpsc::Sender<Held>,
    bytes: Arc<AtomicUsize>,
    counts: Arc<Counts>,
}

/// Makes a hub, whose callbacks are at `places`, and what does its work: it ends when the hub is dropped.
pub fn hub(
    handle: Handle<access::Store>,
    key: ClusterKey,
    quotas: Arc<dyn Quotas>,
    places: Places,
) -> (Arc<Hub>, impl Future<Output = ()> + Send + use<>) {
    let (intents, asked) = mpsc::channel(INTENTS_WAITING_MAX);
    let (events, taken) = mpsc::channel(EVENTS_WAITING_MAX);
    let counts = Arc::new(Counts::default());
    let hub = Hub { handle: handle.clone(), intents, events, bytes: Arc::default(), counts: Arc::clone(&counts) };
    let work = async move {
        let asker = Asker { handle: handle.clone(), key: key.clone(), places, counts: Arc::clone(&counts) };
        let intents = intent::ask_all(asker, asked);
        let (notes, noted) = mpsc::channel(notes::NOTES_WAITING_MAX);
        let deliverer = Deliverer { handle: handle.clone(), key, quotas, places, counts };
        let deliveries = delivery::deliver_all(deliverer, taken, notes);
        tokio::join!(intents, deliveries, notes::write_all(handle, noted));
    };
    (Arc::new(hub), work)
}

/// An event that is under way, which counts among the bytes that are held.
struct Held {
    event: WebhookEvent,
    bytes: Arc<AtomicUsize>,
}

impl Held {
    /// Holds an event; `None` where there is no room.
    fn new(event: WebhookEvent, bytes: &Arc<AtomicUsize>) -> Option<Self> {
        let size = event.body.len();
        let before = bytes.fetch_add(size, Ordering::Relaxed);
        let held = Self { event, bytes: Arc::clone(bytes) };
        (before + size <= EVENT_BYTES_HELD_MAX).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.event.body.len(), Ordering::Relaxed);
    }
}

impl Webhooks for Hub {
    fn ask(&self, asked: WebhookRequest) -> Result<(), WebhookRefusal> {
        check(&self.handle.view(), &asked)?;
        self.intents.try_send(asked).map_err(|_| WebhookRefusal::Busy)
    }

    fn take(&self, event: WebhookEvent) -> Result<(), WebhookRefusal> {
        if event.body.len() > EVENT_BYTES_MAX {
            return Err(WebhookRefusal::Invalid(format!("an event may have at most {EVENT_BYTES_MAX} bytes")));
        }
        let held = Held::new(event, &self.bytes).ok_or(WebhookRefusal::Busy)?;
        self.events.try_send(held).map_err(|_| WebhookRefusal::Busy)
    }

    fn figures(&self) -> WebhookFigures {
        self.counts.figures()
    }
}

/// Refuses a request of which nothing would become.
fn check(view: &View, asked: &WebhookRequest) -> Result<(), WebhookRefusal> {
    callback::check(&asked.callback).map_err(|why| WebhookRefusal::Invalid(format!("hub.callback {why}")))?;
    if asked.secret.as_ref().is_some_and(|secret| secret.0.len() > SECRET_BYTES_MAX) {
        return Err(WebhookRefusal::Invalid(format!("hub.secret may have at most {SECRET_BYTES_MAX} bytes")));
    }
    let database = view.read::<Apimgtdb>();
    let Some(subscription) = subscription_of(database, (asked.application, asked.api)) else {
        let why = "the application of the token is not subscribed to the API".to_owned();
        return Err(WebhookRefusal::Invalid(why));
    };
    let key = (asked.api, asked.topic.clone(), asked.application, asked.callback.clone());
    let is_there = database.webhooks.contains_key(&key);
    if !asked.subscribes {
        let why = "the callback is not subscribed to the topic".to_owned();
        return if is_there { Ok(()) } else { Err(WebhookRefusal::Invalid(why)) };
    }
    let api = database.apis.get(&asked.api);
    let rules = api.map(|api| (api.tenant.clone(), PolicyLevel::Subscription, subscription.plan.clone()));
    let rules = rules.and_then(|key| view.deployed().policy_rules.get(&key));
    let allowed = rules.map_or(0, |rules| rules.subscriber_count as usize);
    let are = webhooks::of_application(database, asked.application, Some(asked.api)).count();
    if allowed > 0 && are >= allowed && !is_there {
        let plan = &subscription.plan;
        let why = format!("The plan {plan} allows {allowed} callbacks, and the application has as many at this API");
        return Err(WebhookRefusal::TooMany(why));
    }
    Ok(())
}

/// Returns the subscription by which an application may have callbacks at an API.
fn subscription_of(database: &Apimgtdb, of: (ApplicationId, ApiId)) -> Option<&Arc<Subscription>> {
    let id = database.subscriptions_by_application.get(&of)?;
    database.subscriptions.get(id).filter(|one| one.state == SubscriptionState::Unblocked)
}
