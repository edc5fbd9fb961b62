//! Keeps and removes a subscription with everything that points to it. Nothing here asks whether that is allowed: the
//! commands do.

use std::sync::Arc;

use portcullis_model::task::TaskSubject;
use portcullis_model::{ApiId, ApplicationId, Subscription, SubscriptionId, Timestamp};

use crate::level;
use crate::state::{Apimgtdb, Generation, State};
use crate::{tasks, webhooks};

/// Keeps a new subscription, with its entries in the indexes, and has gateways forget that there was none.
pub(crate) fn keep_subscription(state: &mut State, subscription: Subscription) {
    let Subscription { id, api, application, created_at, .. } = subscription;
    state.apimgt.subscriptions_by_application.insert((application, api), id);
    state.apimgt.subscriptions_by_api.insert((api, application), id);
    if has_index_by_time(state) {
        state.apimgt.subscriptions_by_time.insert((api, created_at, id), ());
    }
    state.apimgt.subscriptions.insert(id, Arc::new(subscription));
    state.deployed.advance(Generation::Keys);
}

/// Removes a subscription, its entries in the indexes, and what gateways may have cached about it. Does nothing where
/// there is none.
pub(crate) fn remove_subscription(state: &mut State, id: SubscriptionId) {
    let Some(subscription) = state.apimgt.subscriptions.remove(&id) else { return };
    state.apimgt.subscriptions_by_application.remove(&(subscription.application, subscription.api));
    state.apimgt.subscriptions_by_api.remove(&(subscription.api, subscription.application));
    state.apimgt.subscriptions_by_time.remove(&(subscription.api, subscription.created_at, id));
    webhooks::remove_all(state, subscription.application, subscription.api);
    tasks::forget(state, &subscription.tenant, |subject| *subject == TaskSubject::Subscription(id));
    state.deployed.advance(Generation::Keys);
}

/// Makes the index by time, where the level has it: at the moment the level is raised, and of a snapshot that was taken
/// before there was the index.
pub(crate) fn index_by_time(state: &mut State) {
    if has_index_by_time(state) {
        let all = state.apimgt.subscriptions.values();
        state.apimgt.subscriptions_by_time = all.map(|one| ((one.api, one.created_at, one.id), ())).collect();
    }
}

/// Returns the subscriptions of an API, the oldest first.
#[must_use]
pub fn of_api(database: &Apimgtdb, api: ApiId) -> Vec<SubscriptionId> {
    let nil = uuid::Uuid::nil();
    if !database.subscriptions_by_time.is_empty() {
        let from = (api, Timestamp(0), SubscriptionId(nil));
        let of_api = database.subscriptions_by_time.range(from..).take_while(|((its, ..), ())| *its == api);
        return of_api.map(|((.., id), ())| *id).collect();
    }
    // In a cluster of the first level.
    let from = (api, ApplicationId(nil));
    let of_api = database.subscriptions_by_api.range(from..).take_while(|((its, _), _)| *its == api);
    let mut found: Vec<_> = of_api.filter_map(|(_, id)| database.subscriptions.get(id)).collect();
    found.sort_by_key(|one| (one.created_at, one.id));
    found.iter().map(|one| one.id).collect()
}

/// Nodes of the first level do not know the index.
fn has_index_by_time(state: &State) -> bool {
    state.feature_level() > level::FIRST
}
