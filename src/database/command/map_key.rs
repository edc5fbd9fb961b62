use portcullis_model::key_manager::{MAPPED_KEYS_PER_APPLICATION_MAX, MappedKey};
use portcullis_model::{ApplicationState, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{key_managers, mapped_keys};

/// Has a client of another key manager call for an application. The reply is what was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MapKey {
    /// The client and the application; `created_at` is set here.
    pub key: MappedKey,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for MapKey where C: Writes<Apimgtdb> {}

impl Command for MapKey {
    type Reply = MappedKey;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<MappedKey, Refused> {
        let mut key = self.key;
        let application = find_application(state, key.application, self.owned_by.as_ref())?;
        if application.state != ApplicationState::Approved {
            return Err(Refused::wrong_state(format!("application {} is not approved", application.name)));
        }
        if key_managers::find(&state.apimgt, &application.tenant, key.key_manager).is_none() {
            return Err(Refused::not_found("key manager", key.key_manager));
        }
        let tables = &state.apimgt;
        if tables.mapped_keys.contains_key(&(key.key_manager, key.client.clone()))
            || tables.mapped_keys_by_application.contains_key(&(key.application, key.mapping))
        {
            return Err(Refused::exists("key mapping of consumer key", &key.client));
        }
        if mapped_keys::of_application(state, key.application).len() >= MAPPED_KEYS_PER_APPLICATION_MAX {
            let what = format!("mapped keys of application {}", application.name);
            return Err(Refused::LimitReached { what, max: MAPPED_KEYS_PER_APPLICATION_MAX as u64 });
        }
        if key.registered.is_some() && mapped_keys::has_registered(state, &key) {
            let noun = format!("key of application {} at the key manager for", application.name);
            return Err(Refused::exists(&noun, key.key_type.as_contract()));
        }
        key.created_at = moment.now;
        mapped_keys::keep(state, key.clone());
        Ok(key)
    }
}
