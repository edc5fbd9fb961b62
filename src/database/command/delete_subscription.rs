use portcullis_model::{Principal, Refused, SubscriptionId};
use serde::{Deserialize, Serialize};

use super::update_subscription::find_subscription;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::subscriptions::remove_subscription;

/// Ends a subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteSubscription {
    /// The subscription.
    pub id: SubscriptionId,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for DeleteSubscription where C: Writes<Apimgtdb> {}

impl Command for DeleteSubscription {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        find_subscription(state, self.id, self.owned_by.as_ref())?;
        remove_subscription(state, self.id);
        Ok(())
    }
}
