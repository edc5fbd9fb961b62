//! Asks callbacks whether requests that name them are meant (W3C WebSub, 5.3), and keeps what they confirm.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_database::handle::{SubmitError, random_bytes, wall_clock};
use portcullis_database::{Caller, ClusterKey, Handle, access, command};
use portcullis_http::callback::{self, Places};
use portcullis_model::port::WebhookRequest;
use portcullis_model::websub::{LEASE_DEFAULT, LEASE_MAX, Webhook};
use portcullis_model::{Principal, Timestamp};
use tokio::sync::mpsc;
use tracing::{debug, info};
use uuid::Uuid;

use super::figures::{Answer, Counts};

/// Callbacks asked at a time.
const ASKED_AT_ONCE: usize = 32;

/// What it takes to ask callbacks.
pub(super) struct Asker {
    pub(super) handle: Handle<access::Store>,
    pub(super) key: ClusterKey,
    pub(super) places: Places,
    pub(super) counts: Arc<Counts>,
}

/// Asks the callbacks of all requests that come, until no more can.
pub(super) async fn ask_all(asker: Asker, mut asked: mpsc::Receiver<WebhookRequest>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = asked.recv(), if under_way.len() < ASKED_AT_ONCE => match next {
                Some(next) => under_way.push(answer(&asker, next)),
                None => return,
            },
            Some(()) = under_way.next() => {}
        }
    }
}

async fn answer(asker: &Asker, asked: WebhookRequest) {
    let answer = verify(asker, asked).await;
    asker.counts.answered(answer);
}

/// Asks a callback, and keeps what it confirms.
async fn verify(asker: &Asker, asked: WebhookRequest) -> Answer {
    let lease = asked.lease_s.map_or(LEASE_DEFAULT, Duration::from_secs).min(LEASE_MAX);
    let challenge = Uuid::from_bytes(random_bytes()).simple().to_string();
    let mode = if asked.subscribes { "subscribe" } else { "unsubscribe" };
    let lease_s = lease.as_secs().to_string();
    let mut said = vec![("hub.mode", mode), ("hub.topic", asked.asked_topic.as_str())];
    said.extend(asked.subscribes.then_some(("hub.lease_seconds", lease_s.as_str())));
    match callback::confirms(&asked.callback, &said, &challenge, asker.places).await {
        Ok(true) => {}
        Ok(false) => {
            info!(api = %asked.api, topic = asked.topic, mode, "a callback did not confirm what it was asked about");
            return Answer::Unconfirmed;
        }
        Err(fault) => {
            info!(api = %asked.api, topic = asked.topic, mode, %fault, "a callback could not be asked");
            return Answer::Unreachable;
        }
    }
    if let Err(error) = keep(&asker.handle, &asker.key, &asked, lease).await {
        info!(api = %asked.api, topic = asked.topic, mode, %error, "a callback confirmed, and nothing came of it");
        let why = error.to_string();
        let said = [("hub.mode", "denied"), ("hub.topic", asked.asked_topic.as_str()), ("hub.reason", why.as_str())];
        if let Err(fault) = callback::tell(&asked.callback, &said, asker.places).await {
            debug!(%fault, "a callback could not be told");
        }
        return Answer::Denied;
    }
    Answer::Confirmed
}

/// Keeps what a callback has confirmed.
async fn keep(
    handle: &Handle<access::Store>,
    key: &ClusterKey,
    asked: &WebhookRequest,
    lease: Duration,
) -> Result<(), SubmitError> {
    let webhook = Webhook {
        api: asked.api,
        topic: asked.topic.clone(),
        application: asked.application,
        tenant: asked.tenant.clone(),
        callback: asked.callback.clone(),
        asked_topic: asked.asked_topic.clone(),
        secret: asked.secret.as_ref().map(|secret| key.seal(secret.0.as_bytes())),
        subscribed_at: Timestamp(0),
        expires_at: wall_clock().after(lease),
        delivery: None,
    };
    let caller = Caller::new(Principal { tenant: asked.tenant.clone(), username: asked.user.clone() });
    if asked.subscribes {
        handle.submit(command::PutWebhook { webhook }, &caller).await?;
    } else {
        handle.submit(command::RemoveWebhook { key: webhook.key() }, &caller).await?;
    }
    Ok(())
}
