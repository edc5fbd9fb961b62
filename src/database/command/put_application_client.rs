use std::sync::Arc;

use portcullis_model::oauth::KeyMapping;
use portcullis_model::{ApplicationState, OauthClient, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Creates the OAuth client of an application and key type, or changes the settings of the one there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutApplicationClient {
    /// The client with its mapping. Tenant and owner are the application's; `created_at` is set here. Where it is not
    /// new, the secret, the name and the mapping stay what they were.
    pub client: OauthClient,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for PutApplicationClient where C: Writes<Apimgtdb> {}

impl Command for PutApplicationClient {
    type Reply = OauthClient;

    fn subject(&self) -> String {
        self.client.id.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<OauthClient, Refused> {
        let mapping = self.client.mapping.ok_or_else(|| Refused::invalid("mapping", "an application must be named"))?;
        let application = find_application(state, mapping.application, self.owned_by.as_ref())?;
        if application.state != ApplicationState::Approved {
            return Err(Refused::wrong_state(format!("application {} is not approved", application.name)));
        }
        let mut client = self.client;
        client.tenant = application.tenant.clone();
        client.owner = application.owner.clone();
        if self.is_new {
            check_free(state, &client, &mapping, &application.name)?;
            client.created_at = moment.now;
            state.apimgt.key_mappings.insert((mapping.application, mapping.key_type), client.id.clone());
            state.apimgt.key_mapping_ids.insert(mapping.id, client.id.clone());
        } else {
            let old = state.apimgt.clients.get(&client.id).filter(|old| old.mapping == Some(mapping));
            let old = old.ok_or_else(|| Refused::not_found("key mapping", mapping.id))?;
            client.secret = old.secret.clone();
            client.name = old.name.clone();
            client.created_at = old.created_at;
            state.deployed.advance(Generation::Keys);
        }
        state.apimgt.clients.insert(client.id.clone(), Arc::new(client.clone()));
        Ok(client)
    }
}

fn check_free(state: &State, client: &OauthClient, mapping: &KeyMapping, application: &str) -> Result<(), Refused> {
    if state.apimgt.key_mappings.contains_key(&(mapping.application, mapping.key_type)) {
        let key = format!("{} of application {application}", mapping.key_type.as_contract());
        return Err(Refused::exists("key mapping", key));
    }
    if state.apimgt.key_mapping_ids.contains_key(&mapping.id) {
        return Err(Refused::exists("key mapping", mapping.id));
    }
    if state.apimgt.clients.contains_key(&client.id) {
        return Err(Refused::exists("OAuth client", &client.id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_model::{KeyType, Sealed};

    use super::super::store_fixture::{Fixture, application, client, user};
    use super::super::{CreateApplication, RemoveApplicationClient, ReplaceClientSecret};
    use super::*;

    fn with_keys() -> (Fixture, OauthClient) {
        let mut fixture = Fixture::new();
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let client = client("one", 1, KeyType::Production);
        let client = fixture.apply(PutApplicationClient { client, is_new: true, owned_by: None }).unwrap();
        (fixture, client)
    }

    #[test]
    fn an_application_has_one_client_for_each_key_type() {
        let (mut fixture, _) = with_keys();
        let put = |client| PutApplicationClient { client, is_new: true, owned_by: None };
        let again = fixture.apply(put(client("two", 1, KeyType::Production)));
        assert!(matches!(again, Err(Refused::AlreadyExists { .. })));
        fixture.apply(put(client("two", 1, KeyType::Sandbox))).unwrap();
        let nobody = fixture.apply(put(client("three", 9, KeyType::Production)));
        assert!(matches!(nobody, Err(Refused::NotFound { .. })));
        assert_eq!(fixture.state.apimgt.key_mapping_ids.len(), 2);
    }

    #[test]
    fn a_change_of_settings_keeps_the_secret_and_a_new_secret_keeps_the_settings() {
        let (mut fixture, first) = with_keys();
        let changed = OauthClient { secret: Sealed(vec![9]), grants: vec!["password".to_owned()], ..first.clone() };
        let put = PutApplicationClient { client: changed, is_new: false, owned_by: None };
        let second = fixture.apply(put).unwrap();
        assert_eq!((second.secret.clone(), second.grants.len()), (first.secret, 1));
        let mapping = second.mapping.unwrap();
        let replace = ReplaceClientSecret {
            mapping: mapping.id,
            application: mapping.application,
            secret: Sealed(vec![8]),
            owned_by: None,
        };
        let third = fixture.apply(replace).unwrap();
        assert_eq!((third.secret, third.grants), (Sealed(vec![8]), second.grants));
    }

    #[test]
    fn removed_keys_can_be_generated_again() {
        let (mut fixture, first) = with_keys();
        let mapping = first.mapping.unwrap();
        let remove = |name: &str| RemoveApplicationClient {
            mapping: mapping.id,
            application: mapping.application,
            owned_by: Some(user(name)),
        };
        assert!(matches!(fixture.apply(remove("eve")), Err(Refused::NotAllowed { .. })));
        fixture.apply(remove("sam")).unwrap();
        assert!(matches!(fixture.apply(remove("sam")), Err(Refused::NotFound { .. })));
        fixture.apply(PutApplicationClient { client: first, is_new: true, owned_by: None }).unwrap();
    }
}
