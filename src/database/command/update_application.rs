use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{Application, ApplicationId, KeyType, OauthClient, Principal, Refused, Timestamp, TokenType};
use serde::{Deserialize, Serialize};

use super::create_application::{check_policy, check_words, find_application, name_key};
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Changes an application. Gateways forget what they cached about its keys, so that a new policy takes hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateApplication {
    /// The application.
    pub id: ApplicationId,
    /// Refuses where it belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
    /// Refuses where it changed after this (optimistic locking).
    pub unchanged_since: Option<Timestamp>,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// Name of the application policy.
    pub policy: String,
    /// Form of access tokens; `None` keeps it.
    pub token_type: Option<TokenType>,
    /// Groups it is shared with.
    pub groups: Vec<String>,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
}

impl<C: Component> SubmittedBy<C> for UpdateApplication where C: Writes<Apimgtdb> {}

impl Command for UpdateApplication {
    type Reply = Application;
    // Its policy may allow less than before.
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Application, Refused> {
        let old = find_application(state, self.id, self.owned_by.as_ref())?;
        check_unchanged(&old, self.unchanged_since)?;
        check_words(&self.name, &self.description)?;
        check_policy(state, &old.tenant, &self.policy)?;
        let old_key = name_key(&old.tenant, &old.owner, &old.name);
        let new_key = name_key(&old.tenant, &old.owner, &self.name);
        if state.apimgt.application_names.get(&new_key).is_some_and(|holder| *holder != self.id) {
            return Err(Refused::exists("application", &self.name));
        }
        let new = Application {
            name: self.name,
            description: self.description,
            policy: self.policy,
            token_type: self.token_type.unwrap_or(old.token_type),
            groups: self.groups,
            attributes: self.attributes,
            // Strictly later than before, so that it tells one change from the next.
            updated_at: moment.now.max(Timestamp(old.updated_at.0 + 1)),
            ..Application::clone(&old)
        };
        state.apimgt.application_names.remove(&old_key);
        state.apimgt.application_names.insert(new_key, self.id);
        if new.token_type != old.token_type {
            set_token_type_of_keys(state, self.id, new.token_type);
        }
        state.apimgt.applications.insert(self.id, Arc::new(new.clone()));
        state.deployed.advance(Generation::Keys);
        Ok(new)
    }
}

/// Lets the keys that an application has get tokens of another form from now on.
fn set_token_type_of_keys(state: &mut State, application: ApplicationId, token_type: TokenType) {
    for key_type in [KeyType::Production, KeyType::Sandbox] {
        let Some(id) = state.apimgt.key_mappings.get(&(application, key_type)) else { continue };
        let Some(old) = state.apimgt.clients.get(id) else { continue };
        let new = OauthClient { token_type, ..OauthClient::clone(old) };
        state.apimgt.clients.insert(id.clone(), Arc::new(new));
    }
}

/// Refuses where the application changed after `since`.
pub(super) fn check_unchanged(application: &Application, since: Option<Timestamp>) -> Result<(), Refused> {
    match since {
        Some(since) if application.updated_at != since => {
            Err(Refused::Stale { noun: "application".to_owned(), key: application.id.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::{Fixture, application, client, user};
    use super::super::{CreateApplication, PutApplicationClient};
    use super::*;

    fn rename(id: ApplicationId, name: &str) -> UpdateApplication {
        UpdateApplication {
            id,
            owned_by: Some(user("sam")),
            unchanged_since: None,
            name: name.to_owned(),
            description: String::new(),
            policy: "10PerMin".to_owned(),
            token_type: None,
            groups: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_renamed_application_frees_its_old_name_and_gateways_forget_its_keys() {
        let mut fixture = Fixture::new();
        let first = fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let keys = fixture.state.deployed.generation(Generation::Keys);
        let renamed = fixture.apply(rename(first.id, "Market")).unwrap();
        assert!(renamed.updated_at > first.updated_at);
        assert!(fixture.state.deployed.generation(Generation::Keys) > keys);
        fixture.apply(CreateApplication { application: application(2, "Shop") }).unwrap();
        assert_eq!(fixture.apply(rename(first.id, "SHOP")), Err(Refused::exists("application", "SHOP")));
        fixture.apply(rename(first.id, "MARKET")).unwrap();
    }

    #[test]
    fn the_keys_of_an_application_follow_its_token_type() {
        let mut fixture = Fixture::new();
        let first = fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let keys = client("one", 1, KeyType::Sandbox);
        fixture.apply(PutApplicationClient { client: keys.clone(), is_new: true, owned_by: None }).unwrap();
        let opaque = UpdateApplication { token_type: Some(TokenType::Opaque), ..rename(first.id, "Shop") };
        fixture.apply(opaque).unwrap();
        assert_eq!(fixture.state.apimgt.clients[&keys.id].token_type, TokenType::Opaque);
    }

    #[test]
    fn a_stranger_and_a_reader_of_an_old_copy_are_refused() {
        let mut fixture = Fixture::new();
        let first = fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        let stranger = UpdateApplication { owned_by: Some(user("eve")), ..rename(first.id, "Mine") };
        assert!(matches!(fixture.apply(stranger), Err(Refused::NotAllowed { .. })));
        let fresh = UpdateApplication { unchanged_since: Some(first.updated_at), ..rename(first.id, "One") };
        fixture.apply(fresh.clone()).unwrap();
        assert!(matches!(fixture.apply(fresh), Err(Refused::Stale { .. })));
    }
}
