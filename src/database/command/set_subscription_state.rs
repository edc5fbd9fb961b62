use std::sync::Arc;

use portcullis_model::{Refused, Subscription, SubscriptionId, SubscriptionState};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Blocks or unblocks a subscription to one of the tenant's APIs. In force on every live gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetSubscriptionState {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The state it is to have: unblocked, blocked, or blocked for production.
    pub state: SubscriptionState,
}

impl<C: Component> SubmittedBy<C> for SetSubscriptionState where C: Writes<Apimgtdb> {}

impl Command for SetSubscriptionState {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {:?}", self.subscription, self.state)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let not_found = || Refused::not_found("subscription", self.subscription);
        let current = state.apimgt.subscriptions.get(&self.subscription).ok_or_else(not_found)?;
        let api = state.apimgt.apis.get(&current.api).ok_or_else(not_found)?;
        if api.tenant != moment.principal.tenant {
            return Err(not_found());
        }
        if !is_in_use(current.state) {
            let reason =
                format!("the subscription is {}: it waits for a decision or was refused", current.state.as_contract());
            return Err(Refused::wrong_state(reason));
        }
        if !is_in_use(self.state) {
            let reason = format!("{} is not BLOCKED, PROD_ONLY_BLOCKED or UNBLOCKED", self.state.as_contract());
            return Err(Refused::invalid("blockState", reason));
        }
        let changed = Subscription { state: self.state, ..(**current).clone() };
        state.apimgt.subscriptions.insert(self.subscription, Arc::new(changed));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

/// Says whether a subscription in this state was approved and can be blocked and unblocked.
fn is_in_use(state: SubscriptionState) -> bool {
    use SubscriptionState::{Blocked, ProdOnlyBlocked, Unblocked};
    matches!(state, Unblocked | Blocked | ProdOnlyBlocked)
}
