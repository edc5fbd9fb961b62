use portcullis_model::{Principal, Refused, Subscription};
use serde::{Deserialize, Serialize};

use super::create_subscription::subscribe;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// How many APIs the audit names.
const SUBJECTS_NAMED: usize = 8;

/// Makes several subscriptions, or none where one of them is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateSubscriptions {
    /// The subscriptions with their ids; `created_at` is set here.
    pub subscriptions: Vec<Subscription>,
    /// Refuses where an application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for CreateSubscriptions where C: Writes<Apimgtdb> {}

impl Command for CreateSubscriptions {
    type Reply = Vec<Subscription>;

    fn subject(&self) -> String {
        let named = self.subscriptions.iter().take(SUBJECTS_NAMED);
        let apis: Vec<String> = named.map(|one| one.api.to_string()).collect();
        let application = self.subscriptions.first().map(|one| one.application.to_string()).unwrap_or_default();
        format!("application {application} to APIs {}", apis.join(" "))
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Vec<Subscription>, Refused> {
        let mut draft = state.clone();
        let mut made = Vec::with_capacity(self.subscriptions.len());
        for subscription in self.subscriptions {
            made.push(subscribe(&mut draft, moment, subscription, self.owned_by.as_ref())?);
        }
        *state = draft;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CreateApplication;
    use super::super::store_fixture::{Fixture, api, application, subscription};
    use super::*;

    #[test]
    fn one_refused_subscription_refuses_them_all() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture.publish(api(8));
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let both = |plan| CreateSubscriptions {
            subscriptions: vec![subscription(3, 1, 7, "Gold"), subscription(4, 1, 8, plan)],
            owned_by: None,
        };
        assert!(fixture.apply(both("Silver")).is_err());
        assert_eq!(fixture.state.apimgt.subscriptions.len(), 0);
        fixture.apply(both("Bronze")).unwrap();
        assert_eq!(fixture.state.apimgt.subscriptions.len(), 2);
    }
}
