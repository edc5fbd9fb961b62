use std::sync::Arc;

use portcullis_model::{Application, ApplicationId, KeyType, OauthClient, Refused, TenantDomain, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::create_application::{find_application, name_key};
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Apimgtdb, Generation, State};

/// Gives an application to another user of its tenant, with its keys. Tokens that were issued go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeApplicationOwner {
    /// The tenant of whoever asks: applications of others are not found.
    pub tenant: TenantDomain,
    /// The application.
    pub id: ApplicationId,
    /// Whose it is to be.
    pub owner: Username,
}

impl<C: Component> SubmittedBy<C> for ChangeApplicationOwner where C: Writes<Apimgtdb> {}

impl Command for ChangeApplicationOwner {
    type Reply = ();
    // What gateways cached names the old owner.
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {}", self.id, self.owner.0)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let old = find_application(state, self.id, None)?;
        if old.tenant != self.tenant {
            return Err(Refused::not_found("application", self.id));
        }
        if people::user(&state.user, &old.tenant, &self.owner).is_none() {
            return Err(Refused::invalid("owner", format!("there is no user {}", self.owner.0)));
        }
        let new_key = name_key(&old.tenant, &self.owner, &old.name);
        if state.apimgt.application_names.get(&new_key).is_some_and(|holder| *holder != self.id) {
            let reason = format!("{} has an application {} already", self.owner.0, old.name);
            return Err(Refused::invalid("owner", reason));
        }
        state.apimgt.application_names.remove(&name_key(&old.tenant, &old.owner, &old.name));
        state.apimgt.application_names.insert(new_key, self.id);
        for key_type in [KeyType::Production, KeyType::Sandbox] {
            let client = state.apimgt.key_mappings.get(&(self.id, key_type));
            let Some(client) = client.and_then(|id| state.apimgt.clients.get(id)) else { continue };
            let client = OauthClient { owner: self.owner.clone(), ..OauthClient::clone(client) };
            state.apimgt.clients.insert(client.id.clone(), Arc::new(client));
        }
        let updated_at = moment.now.max(Timestamp(old.updated_at.0 + 1));
        let new = Application { owner: self.owner, updated_at, ..Application::clone(&old) };
        state.apimgt.applications.insert(self.id, Arc::new(new));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::User;

    use super::super::store_fixture::{Fixture, application, client};
    use super::super::{CreateApplication, PutApplicationClient};
    use super::*;

    fn change(owner: &str) -> ChangeApplicationOwner {
        let Application { id, tenant, .. } = application(1, "Shop");
        ChangeApplicationOwner { tenant, id, owner: Username(owner.to_owned()) }
    }

    fn with_mia() -> Fixture {
        let mut fixture = Fixture::new();
        let tenant = application(1, "Shop").tenant;
        let mia = Username("mia".to_owned());
        let user = User {
            tenant: tenant.clone(),
            username: mia.clone(),
            password_hash: String::new(),
            roles: Vec::new(),
            email: String::new(),
            is_locked: false,
            created_at: Timestamp(0),
        };
        fixture.state.user.users.insert((tenant, mia), Arc::new(user));
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        fixture
    }

    #[test]
    fn an_application_goes_to_another_user_with_its_keys_and_its_name_is_free_again() {
        let mut fixture = with_mia();
        let client = client("key", 1, KeyType::Production);
        fixture.apply(PutApplicationClient { client, is_new: true, owned_by: None }).unwrap();
        fixture.apply(change("mia")).unwrap();
        assert!(fixture.state.apimgt.clients.values().all(|client| client.owner.0 == "mia"));
        assert_eq!(fixture.state.apimgt.applications.get_min().unwrap().1.owner.0, "mia");
        fixture.apply(CreateApplication { application: application(2, "Shop") }).unwrap();
    }

    #[test]
    fn only_a_user_of_the_tenant_without_one_of_that_name_gets_it() {
        let mut fixture = with_mia();
        let before = crate::digest::digest(&fixture.state).unwrap();
        assert!(matches!(fixture.apply(change("eve")), Err(Refused::Invalid { .. })));
        let elsewhere = ChangeApplicationOwner { tenant: TenantDomain("b.example".to_owned()), ..change("mia") };
        assert!(matches!(fixture.apply(elsewhere), Err(Refused::NotFound { .. })));
        assert_eq!(crate::digest::digest(&fixture.state).unwrap(), before);
        let hers = Application { owner: Username("mia".to_owned()), ..application(2, "Shop") };
        fixture.apply(CreateApplication { application: hers }).unwrap();
        assert!(matches!(fixture.apply(change("mia")), Err(Refused::Invalid { .. })));
    }
}
