//! Removes a subscription with everything that points to it. It does not ask whether that is allowed: the commands do.

use portcullis_model::SubscriptionId;
use portcullis_model::task::TaskSubject;

use crate::state::{Generation, State};
use crate::tasks;

/// Removes a subscription, its entries in the indexes, and what gateways may have cached about it. Does nothing where
/// there is none.
pub(crate) fn remove_subscription(state: &mut State, id: SubscriptionId) {
    let Some(subscription) = state.apimgt.subscriptions.remove(&id) else { return };
    state.apimgt.subscriptions_by_application.remove(&(subscription.application, subscription.api));
    state.apimgt.subscriptions_by_api.remove(&(subscription.api, subscription.application));
    tasks::forget(state, &subscription.tenant, |subject| *subject == TaskSubject::Subscription(id));
    state.deployed.advance(Generation::Keys);
}
