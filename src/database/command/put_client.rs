use std::sync::Arc;

use portcullis_model::Refused;
use portcullis_model::limit::CLIENTS_PER_OWNER_MAX;
use portcullis_model::oauth::OauthClient;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Registers an OAuth client that stands by itself (dynamic client registration), or replaces the settings of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutClient {
    /// The client. Its mapping, owner, tenant and `created_at` never change: an existing client keeps them.
    pub client: OauthClient,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutClient where C: Writes<Apimgtdb> {}

impl Command for PutClient {
    type Reply = ();

    fn subject(&self) -> String {
        self.client.id.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut client = self.client;
        let existing = state.apimgt.clients.get(&client.id).cloned();
        match (&existing, self.is_new) {
            (Some(_), true) => return Err(Refused::exists("OAuth client", &client.id)),
            (None, false) => return Err(Refused::not_found("OAuth client", &client.id)),
            (None, true) if client.mapping.is_some() => {
                return Err(Refused::invalid("mapping", "the keys of an application are made in the Store"));
            }
            (None, true) => client.created_at = moment.now,
            (Some(existing), false) => {
                client.mapping = existing.mapping;
                client.owner = existing.owner.clone();
                client.tenant = existing.tenant.clone();
                client.created_at = existing.created_at;
            }
        }
        if client.mapping.is_none() {
            take_name(state, &client, existing.as_deref())?;
        }
        state.apimgt.clients.insert(client.id.clone(), Arc::new(client));
        Ok(())
    }
}

/// Takes the client's name for its owner, and gives back the one it had. Changes nothing where it refuses.
fn take_name(state: &mut State, client: &OauthClient, existing: Option<&OauthClient>) -> Result<(), Refused> {
    let key = (client.tenant.clone(), client.owner.clone(), client.name.clone());
    match state.apimgt.client_names.get(&key) {
        Some(taken_by) if *taken_by == client.id => return Ok(()),
        Some(_) => return Err(Refused::exists("OAuth client", &client.name)),
        None => {}
    }
    if let Some(existing) = existing {
        let old = (existing.tenant.clone(), existing.owner.clone(), existing.name.clone());
        state.apimgt.client_names.remove(&old);
    } else {
        let first = (client.tenant.clone(), client.owner.clone(), String::new());
        let of_owner = state
            .apimgt
            .client_names
            .range(first..)
            .take_while(|((tenant, owner, _), _)| *tenant == client.tenant && *owner == client.owner)
            .take(CLIENTS_PER_OWNER_MAX)
            .count();
        if of_owner >= CLIENTS_PER_OWNER_MAX {
            let what = format!("OAuth clients registered by {}", client.owner);
            return Err(Refused::LimitReached { what, max: CLIENTS_PER_OWNER_MAX as u64 });
        }
    }
    state.apimgt.client_names.insert(key, client.id.clone());
    Ok(())
}
