//! Keeps and removes a subscription with everything that points to it. Nothing here asks whether that is allowed: the
//! commands do.

use std::sync::Arc;

use portcullis_model::task::TaskSubject;
use portcullis_model::{Subscription, SubscriptionId};

use crate::state::{Apimgtdb, Generation, State};
use crate::tasks;

/// Keeps a new subscription, with its entries in the indexes, and has gateways forget that there was none.
pub(crate) fn keep_subscription(state: &mut State, subscription: Subscription) {
    let Subscription { id, api, application, created_at, .. } = subscription;
    state.apimgt.subscriptions_by_application.insert((application, api), id);
    state.apimgt.subscriptions_by_api.insert((api, application), id);
    state.apimgt.subscriptions_by_time.insert((api, created_at, id), ());
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
    tasks::forget(state, &subscription.tenant, |subject| *subject == TaskSubject::Subscription(id));
    state.deployed.advance(Generation::Keys);
}

impl Apimgtdb {
    /// Makes the index by time of a state that was written before there was one.
    pub(crate) fn index_subscriptions_by_time(&mut self) {
        if self.subscriptions_by_time.is_empty() {
            let all = self.subscriptions.values();
            self.subscriptions_by_time = all.map(|one| ((one.api, one.created_at, one.id), ())).collect();
        }
    }
}
