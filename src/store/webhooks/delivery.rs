//! Hands events on to the callbacks that are subscribed to their topics: each counts against its subscriber's plan, is
//! tried again where it is not taken, and what became of it is noted in the state.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_database::handle::wall_clock;
use portcullis_database::{Apimgtdb, ClusterKey, Handle, access, webhooks};
use portcullis_http::callback::{Delivered, Parcel, Places};
use portcullis_model::counter::CounterSubject;
use portcullis_model::port::{Allowance, Quotas, Taken};
use portcullis_model::websub::Webhook;
use portcullis_model::{ApplicationId, CounterKey, QuotaUnit, TenantDomain, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, info, warn};

use super::figures::{Counts, Fate};
use super::notes::Note;
use super::shares::Shares;
use super::{Held, subscription_of};

/// Deliveries under way, those that wait for another try included, from which on no event is begun.
pub(super) const UNDER_WAY_MAX: usize = 20_000;
/// Events posted at a time, to all callbacks together.
const POSTED_AT_ONCE: usize = 128;
/// How long an event waits for the cluster to grant more of a plan's quota.
const GRANT_WAIT: Duration = Duration::from_secs(1);
/// How old the last success is at least when another is noted: a busy topic does not write with each event.
const NOTED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What deliveries need.
pub(super) struct Deliverer {
    pub(super) handle: Handle<access::Store>,
    pub(super) key: ClusterKey,
    pub(super) quotas: Arc<dyn Quotas>,
    pub(super) places: Places,
    pub(super) counts: Arc<Counts>,
}

/// Hands on all events that come, until no more can.
pub(super) async fn deliver_all(deliverer: Deliverer, mut events: mpsc::Receiver<Held>, notes: mpsc::Sender<Note>) {
    let shared = Semaphore::new(POSTED_AT_ONCE);
    let mut shares = Shares::default();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = events.recv(), if under_way.len() < UNDER_WAY_MAX => {
                let Some(held) = next else { return };
                let held = Arc::new(held);
                let full = shares.full();
                let (left, sent): (Vec<_>, Vec<_>) = deliveries(&deliverer.handle, &held)
                    .into_iter()
                    .partition(|delivery| full.contains(&delivery.webhook.application));
                if !left.is_empty() {
                    let (api, topic) = (held.event.api, held.event.topic.as_str());
                    let callbacks = left.len();
                    deliverer.counts.ended(Fate::Crowded, callbacks);
                    info!(%api, topic, callbacks, "an event was not sent to some: too many are under way to them");
                }
                for delivery in sent {
                    let own = shares.begin(delivery.webhook.application);
                    under_way.push(deliverer.deliver(delivery, own, &shared));
                }
            }
            Some((application, note)) = under_way.next() => {
                shares.end(application);
                if let Some(note) = note
                    && notes.try_send(note).is_err()
                {
                    debug!("what became of an event is not written down: too much is to be");
                }
            }
        }
        deliverer.counts.are_under_way(under_way.len());
    }
}

/// An event for one webhook.
struct Delivery {
    held: Arc<Held>,
    webhook: Arc<Webhook>,
    counter: CounterKey,
}

/// Finds whom an event is for.
fn deliveries(handle: &Handle<access::Store>, held: &Arc<Held>) -> Vec<Delivery> {
    let view = handle.view();
    let (database, now, event) = (view.read::<Apimgtdb>(), wall_clock(), &held.event);
    let live = webhooks::of_topic(database, event.api, &event.topic).filter(|webhook| webhook.is_live(now));
    live.filter_map(|webhook| {
        let (application, api) = (webhook.application, webhook.api);
        let plan = subscription_of(database, (application, api))?.plan.clone();
        let counter = counter(&event.tenant, plan, CounterSubject::Subscription { application, api });
        Some(Delivery { held: Arc::clone(held), webhook: Arc::clone(webhook), counter })
    })
    .collect()
}

fn counter(tenant: &TenantDomain, policy: String, subject: CounterSubject) -> CounterKey {
    CounterKey { tenant: tenant.clone(), policy, subject }
}

impl Deliverer {
    /// Hands an event on to one webhook; returns whose it is, and what is to be written down.
    async fn deliver(
        &self,
        delivery: Delivery,
        own: Arc<Semaphore>,
        shared: &Semaphore,
    ) -> (ApplicationId, Option<Note>) {
        let (application, webhook) = (delivery.webhook.application, Arc::clone(&delivery.webhook));
        let fate = self.hand_on(delivery, [&own, shared]).await;
        self.counts.ended(fate, 1);
        (application, note_of(&webhook, fate, wall_clock()))
    }

    async fn hand_on(&self, delivery: Delivery, turns: [&Semaphore; 2]) -> Fate {
        let Delivery { held, webhook, counter } = delivery;
        let event = &held.event;
        if let Some(allowance) = self.quotas.allowance(&counter)
            && !takes(allowance.as_ref(), event.body.len() as u64).await
        {
            info!(api = %event.api, topic = event.topic, plan = counter.policy, "an event was not sent: the plan is used up");
            return Fate::OverPlan;
        }
        let secret = match webhook.secret.as_ref().map(|sealed| self.key.open(sealed)).transpose() {
            Ok(secret) => secret,
            Err(error) => {
                // Unsigned it would not be believed, and who wants a signature is not to get anything without.
                warn!(api = %event.api, topic = event.topic, %error, "an event was not sent");
                return Fate::Unsigned;
            }
        };
        let parcel = Parcel {
            content_type: event.content_type.clone(),
            hub: event.hub.clone(),
            topic: webhook.asked_topic.clone(),
            body: event.body.clone(),
            places: self.places,
        };
        let secret = secret.as_ref().map(|secret| secret.as_slice());
        match parcel.deliver(&webhook.callback, secret, turns, || self.is_wanted(&webhook)).await {
            Delivered::Taken => Fate::Taken,
            Delivered::GivenUp => Fate::GivenUp,
            Delivered::Gone => Fate::Gone,
            Delivered::Dropped => Fate::Unwanted,
        }
    }

    /// Says whether a webhook is still to get events: it may have ended while one was under way, or may be left alone
    /// because of others.
    fn is_wanted(&self, webhook: &Webhook) -> bool {
        let view = self.handle.view();
        let database = view.read::<Apimgtdb>();
        database.webhooks.get(&webhook.key()).is_some_and(|webhook| webhook.is_live(wall_clock()))
            && subscription_of(database, (webhook.application, webhook.api)).is_some()
    }
}

/// Returns what is to be written down of what became of an event.
fn note_of(webhook: &Webhook, fate: Fate, at: Timestamp) -> Option<Note> {
    match fate {
        Fate::Gone => Some(Note::Gone(webhook.key())),
        Fate::GivenUp => Some(Note::Is(webhook.key(), at, false)),
        Fate::Taken => {
            let last = webhook.delivery.filter(|last| last.failures == 0);
            let is_known = last.is_some_and(|last| last.at.after(NOTED_AGAIN_AFTER) > at);
            (!is_known).then(|| Note::Is(webhook.key(), at, true))
        }
        Fate::Unwanted | Fate::OverPlan | Fate::Crowded | Fate::Unsigned => None,
    }
}

/// Takes what an event costs of a plan; says whether there was as much.
async fn takes(allowance: &dyn Allowance, bytes: u64) -> bool {
    let cost = match allowance.unit() {
        QuotaUnit::Bytes => bytes,
        QuotaUnit::Requests | QuotaUnit::Events => 1,
        QuotaUnit::Tokens | QuotaUnit::PromptTokens | QuotaUnit::CompletionTokens => return true,
    };
    let deadline = tokio::time::Instant::now() + GRANT_WAIT;
    loop {
        // Made before the try, so that a grant between the two is not missed.
        let changed = allowance.changed();
        match allowance.try_take(cost, wall_clock()) {
            Taken::Yes { .. } | Taken::Over { .. } => return true,
            Taken::Exhausted { .. } => return false,
            Taken::Dry => {}
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return matches!(allowance.take_beyond(cost, wall_clock()), Some(Taken::Yes { .. } | Taken::Over { .. }));
        }
    }
}
