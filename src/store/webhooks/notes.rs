//! Writes down what became of events, some at a time: who hands events on does not wait for it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_database::command::DELIVERY_NOTES_MAX;
use portcullis_database::{Caller, Handle, access, command};
use portcullis_model::Timestamp;
use portcullis_model::websub::WebhookKey;
use tokio::sync::mpsc;
use tracing::{debug, info};

/// Notes that wait to be written; what is more is dropped.
pub(super) const NOTES_WAITING_MAX: usize = 4 * DELIVERY_NOTES_MAX;
/// How long notes are gathered before they are written.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// Webhooks removed at a time.
const REMOVED_AT_ONCE: usize = 16;
/// How long a write may take.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// What is to be written down of a delivery.
pub(super) enum Note {
    /// When the event was taken or given up, and which of it.
    Is(WebhookKey, Timestamp, bool),
    /// The callback says that nobody is there any more.
    Gone(WebhookKey),
}

/// Writes down all notes that come, until no more can. What cannot be written is dropped: the next event says it again.
pub(super) async fn write_all(handle: Handle<access::Store>, mut notes: mpsc::Receiver<Note>) {
    let mut some = Vec::new();
    while let Some(first) = notes.recv().await {
        some.push(first);
        // A busy topic writes once for many events.
        tokio::time::sleep(GATHERED_FOR).await;
        while some.len() < DELIVERY_NOTES_MAX {
            let Ok(next) = notes.try_recv() else { break };
            some.push(next);
        }
        let (mut known, mut gone) = (Vec::with_capacity(some.len()), BTreeSet::new());
        for note in some.drain(..) {
            match note {
                Note::Is(key, at, is_taken) => known.push((key, at, is_taken)),
                Note::Gone(key) => {
                    gone.insert(key);
                }
            }
        }
        if !known.is_empty() {
            let caller = Caller::system().within(WRITTEN_WITHIN);
            if let Err(error) = handle.submit(command::NoteDeliveries { notes: known }, &caller).await {
                debug!(%error, "what became of events could not be written down");
            }
        }
        remove_all(&handle, gone).await;
    }
}

/// Removes webhooks side by side: each waits until every node knows.
async fn remove_all(handle: &Handle<access::Store>, gone: BTreeSet<WebhookKey>) {
    let mut under_way = FuturesUnordered::new();
    for key in gone {
        if under_way.len() >= REMOVED_AT_ONCE {
            under_way.next().await;
        }
        under_way.push(remove(handle, key));
    }
    while let Some(()) = under_way.next().await {}
}

/// Removes a webhook whose callback says that nobody is there any more.
async fn remove(handle: &Handle<access::Store>, key: WebhookKey) {
    let (api, topic) = (key.0, key.1.clone());
    let caller = Caller::system().within(WRITTEN_WITHIN);
    match handle.submit(command::RemoveWebhook { key }, &caller).await {
        Ok(_) => info!(%api, topic, "a callback said that it is gone, and is not subscribed any more"),
        Err(error) => debug!(%api, topic, %error, "a callback that is gone is still subscribed"),
    }
}
