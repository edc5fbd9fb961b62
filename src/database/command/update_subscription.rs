use std::sync::Arc;

use portcullis_model::{Principal, Refused, Subscription, SubscriptionId, SubscriptionState};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::create_subscription::check_plan;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Changes the plan of a subscription. Not possible while it is blocked, waits or was refused, as in the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateSubscription {
    /// The subscription.
    pub id: SubscriptionId,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
    /// Name of the new plan.
    pub plan: String,
}

impl<C: Component> SubmittedBy<C> for UpdateSubscription where C: Writes<Apimgtdb> {}

impl Command for UpdateSubscription {
    type Reply = Subscription;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {}", self.id, self.plan)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<Subscription, Refused> {
        let old = find_subscription(state, self.id, self.owned_by.as_ref())?;
        if !matches!(old.state, SubscriptionState::Unblocked | SubscriptionState::ProdOnlyBlocked) {
            let reason = format!("a subscription that is {} cannot change its plan", old.state.as_contract());
            return Err(Refused::wrong_state(reason));
        }
        let api = state.apimgt.apis.get(&old.api).ok_or_else(|| Refused::not_found("API", old.api))?;
        check_plan(state, api, &self.plan)?;
        let new = Subscription { plan: self.plan, ..Subscription::clone(&old) };
        state.apimgt.subscriptions.insert(self.id, Arc::new(new.clone()));
        state.deployed.advance(Generation::Keys);
        Ok(new)
    }
}

/// Returns a subscription, where it exists and its application belongs to `owned_by`.
pub(super) fn find_subscription(
    state: &State,
    id: SubscriptionId,
    owned_by: Option<&Principal>,
) -> Result<Arc<Subscription>, Refused> {
    let found = state.apimgt.subscriptions.get(&id).ok_or_else(|| Refused::not_found("subscription", id))?;
    match find_application(state, found.application, owned_by) {
        Err(Refused::NotAllowed { .. }) => {
            let reason = format!("you do not have permission to access the subscription with id {id}");
            Err(Refused::NotAllowed { reason })
        }
        Err(other) => Err(other),
        Ok(_) => Ok(Arc::clone(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::{Fixture, api, application, subscription, user};
    use super::super::{CreateApplication, CreateSubscription, DeleteSubscription};
    use super::*;

    fn subscribed() -> (Fixture, SubscriptionId) {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let one = CreateSubscription { subscription: subscription(3, 1, 7, "Gold"), owned_by: None };
        let id = fixture.apply(one).unwrap().id;
        (fixture, id)
    }

    #[test]
    fn a_new_plan_makes_gateways_forget_the_key() {
        let (mut fixture, id) = subscribed();
        let keys = fixture.state.deployed.generation(Generation::Keys);
        let change = |plan: &str| UpdateSubscription { id, owned_by: None, plan: plan.to_owned() };
        assert!(matches!(fixture.apply(change("Silver")), Err(Refused::Invalid { .. })));
        assert_eq!(fixture.state.deployed.generation(Generation::Keys), keys);
        assert_eq!(fixture.apply(change("Bronze")).unwrap().plan, "Bronze");
        assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
    }

    #[test]
    fn a_blocked_subscription_keeps_its_plan() {
        let (mut fixture, id) = subscribed();
        let mut blocked = Subscription::clone(&fixture.state.apimgt.subscriptions[&id]);
        blocked.state = SubscriptionState::Blocked;
        fixture.state.apimgt.subscriptions.insert(id, Arc::new(blocked));
        let change = UpdateSubscription { id, owned_by: None, plan: "Bronze".to_owned() };
        assert!(matches!(fixture.apply(change), Err(Refused::WrongState { .. })));
    }

    #[test]
    fn a_deleted_subscription_leaves_no_trace_and_can_be_made_again() {
        let (mut fixture, id) = subscribed();
        let stranger = DeleteSubscription { id, owned_by: Some(user("eve")) };
        assert!(matches!(fixture.apply(stranger), Err(Refused::NotAllowed { .. })));
        fixture.apply(DeleteSubscription { id, owned_by: Some(user("sam")) }).unwrap();
        assert!(fixture.state.apimgt.subscriptions_by_application.is_empty());
        assert!(fixture.state.apimgt.subscriptions_by_api.is_empty());
        let gone = fixture.apply(DeleteSubscription { id, owned_by: None });
        assert!(matches!(gone, Err(Refused::NotFound { .. })));
        fixture.apply(CreateSubscription { subscription: subscription(4, 1, 7, "Gold"), owned_by: None }).unwrap();
    }
}
