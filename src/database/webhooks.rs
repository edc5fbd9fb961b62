//! Keeps, finds and removes webhooks with their entries in the indexes. Nothing here asks whether that is allowed: the
//! commands do.

use std::sync::Arc;

use portcullis_model::websub::{Webhook, WebhookKey};
use portcullis_model::{ApiId, ApplicationId, Timestamp};
use uuid::Uuid;

use crate::state::{Apimgtdb, State};

/// Webhooks dropped by one entry: more than one adds, so that they do not pile up, and few, so that no entry is slow.
const DROPPED_AT_ONCE: usize = 16;

/// Returns the webhooks of a topic.
pub fn of_topic<'a>(database: &'a Apimgtdb, api: ApiId, topic: &'a str) -> impl Iterator<Item = &'a Arc<Webhook>> {
    let first = (api, topic.to_owned(), ApplicationId(Uuid::nil()), String::new());
    let rows = database.webhooks.range(first..);
    rows.take_while(move |((its, name, ..), _)| *its == api && name == topic).map(|(_, webhook)| webhook)
}

/// Returns the webhooks of an application, or those that it has at one API.
pub fn of_application(
    database: &Apimgtdb,
    application: ApplicationId,
    api: Option<ApiId>,
) -> impl Iterator<Item = &Arc<Webhook>> {
    let first = (application, api.unwrap_or(ApiId(Uuid::nil())), String::new(), String::new());
    let rows = database.webhooks_by_application.range(first..);
    let rows = rows.take_while(move |((its, at, ..), ())| *its == application && api.is_none_or(|api| api == *at));
    rows.filter_map(|((application, api, topic, callback), ())| {
        database.webhooks.get(&(*api, topic.clone(), *application, callback.clone()))
    })
}

/// Keeps a webhook, in place of the one before.
pub(crate) fn keep(state: &mut State, webhook: Webhook) {
    let key = webhook.key();
    remove(state, &key);
    let (api, topic, application, callback) = key.clone();
    state.apimgt.webhooks_by_application.insert((application, api, topic, callback), ());
    state.apimgt.webhook_ends.insert((webhook.expires_at, key.clone()), ());
    state.apimgt.webhooks.insert(key, Arc::new(webhook));
}

/// Removes a webhook; says whether there was one.
pub(crate) fn remove(state: &mut State, key: &WebhookKey) -> bool {
    let Some(webhook) = state.apimgt.webhooks.remove(key) else { return false };
    let (api, topic, application, callback) = key.clone();
    state.apimgt.webhooks_by_application.remove(&(application, api, topic, callback));
    state.apimgt.webhook_ends.remove(&(webhook.expires_at, key.clone()));
    true
}

/// Removes the webhooks that an application has at an API.
pub(crate) fn remove_all(state: &mut State, application: ApplicationId, api: ApiId) {
    if state.apimgt.webhooks.is_empty() {
        return;
    }
    let keys: Vec<WebhookKey> =
        of_application(&state.apimgt, application, Some(api)).map(|webhook| webhook.key()).collect();
    for key in keys {
        remove(state, &key);
    }
}

/// Removes some of those whose lease has ended.
pub(crate) fn drop_ended(state: &mut State, now: Timestamp) {
    for _ in 0..DROPPED_AT_ONCE {
        let Some(((ends, key), ())) = state.apimgt.webhook_ends.get_min() else { return };
        if *ends > now {
            return;
        }
        let key = key.clone();
        remove(state, &key);
    }
}
