use portcullis_model::task::TaskSubject;
use portcullis_model::{ApplicationId, ClientId, KeyType, Principal, Refused, SubscriptionId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::create_application::{find_application, name_key};
use super::update_application::check_unchanged;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::client_removal::remove_client;
use crate::kept_api_keys;
use crate::mapped_keys;
use crate::state::{Apimgtdb, Generation, State};
use crate::subscriptions::remove_subscription;
use crate::tasks;

/// Deletes an application with its subscriptions, its OAuth clients and their tokens, and its API keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteApplication {
    /// The application.
    pub id: ApplicationId,
    /// Refuses where it belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
    /// Refuses where it changed after this (optimistic locking).
    pub unchanged_since: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for DeleteApplication where C: Writes<Apimgtdb> {}

impl Command for DeleteApplication {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let application = find_application(state, self.id, self.owned_by.as_ref())?;
        check_unchanged(&application, self.unchanged_since)?;
        for subscription in subscriptions_of(state, self.id) {
            remove_subscription(state, subscription);
        }
        for client in clients_of(state, self.id) {
            remove_client(state, &client);
        }
        for mapping in mapped_keys::of_application(state, self.id) {
            mapped_keys::remove(state, self.id, mapping);
        }
        for key in kept_api_keys::of_application(state, self.id) {
            kept_api_keys::remove(state, &key);
        }
        state.apimgt.application_names.remove(&name_key(&application.tenant, &application.owner, &application.name));
        state.apimgt.applications.remove(&self.id);
        tasks::forget(state, &application.tenant, |subject| *subject == TaskSubject::Application(self.id));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

fn subscriptions_of(state: &State, id: ApplicationId) -> Vec<SubscriptionId> {
    let every_api = (id, portcullis_model::ApiId(Uuid::nil()))..=(id, portcullis_model::ApiId(Uuid::max()));
    state.apimgt.subscriptions_by_application.range(every_api).map(|(_, subscription)| *subscription).collect()
}

fn clients_of(state: &State, id: ApplicationId) -> Vec<ClientId> {
    let both = (id, KeyType::Production)..=(id, KeyType::Sandbox);
    state.apimgt.key_mappings.range(both).map(|(_, client)| client.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::{Fixture, api, application, client, subscription, user};
    use super::super::{CreateApplication, CreateSubscription, PutApplicationClient};
    use super::*;
    use crate::state::Deployed;

    fn digest_of_databases(fixture: &Fixture) -> [u8; 32] {
        let without_generations = State { deployed: Deployed::default(), ..fixture.state.clone() };
        crate::digest::digest(&without_generations).unwrap()
    }

    #[test]
    fn with_an_application_go_its_name_subscriptions_and_keys() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        let empty = digest_of_databases(&fixture);
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        fixture.apply(CreateSubscription { subscription: subscription(3, 1, 7, "Gold"), owned_by: None }).unwrap();
        for key_type in [KeyType::Production, KeyType::Sandbox] {
            let client = client(key_type.as_contract(), 1, key_type);
            fixture.apply(PutApplicationClient { client, is_new: true, owned_by: None }).unwrap();
        }
        let id = application(1, "Shop").id;
        let stranger = DeleteApplication { id, owned_by: Some(user("eve")), unchanged_since: None };
        assert!(matches!(fixture.apply(stranger), Err(Refused::NotAllowed { .. })));
        fixture.apply(DeleteApplication { id, owned_by: None, unchanged_since: None }).unwrap();
        assert_eq!(digest_of_databases(&fixture), empty, "nothing of the application is left");
        let again = fixture.apply(DeleteApplication { id, owned_by: None, unchanged_since: None });
        assert!(matches!(again, Err(Refused::NotFound { .. })));
    }
}
