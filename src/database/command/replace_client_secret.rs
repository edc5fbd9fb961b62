use std::sync::Arc;

use portcullis_model::{ApplicationId, KeyMappingId, OauthClient, Principal, Refused, Sealed};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::revoke_client::reopen;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Gives the OAuth client of an application a new secret; the old one is worth nothing any more, on every node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplaceClientSecret {
    /// The key mapping.
    pub mapping: KeyMappingId,
    /// The application it must belong to.
    pub application: ApplicationId,
    /// The new secret.
    pub secret: Sealed,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for ReplaceClientSecret where C: Writes<Apimgtdb> {}

impl Command for ReplaceClientSecret {
    type Reply = OauthClient;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("application {}", self.application)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<OauthClient, Refused> {
        let old = find_mapped_client(state, self.mapping, self.application, self.owned_by.as_ref())?;
        let client = OauthClient { secret: self.secret, ..OauthClient::clone(&old) };
        reopen(state, &client.id);
        state.apimgt.clients.insert(client.id.clone(), Arc::new(client.clone()));
        Ok(client)
    }
}

/// Returns the client of a key mapping, where it belongs to the application, and that to `owned_by`.
pub(super) fn find_mapped_client(
    state: &State,
    mapping: KeyMappingId,
    application: ApplicationId,
    owned_by: Option<&Principal>,
) -> Result<Arc<OauthClient>, Refused> {
    find_application(state, application, owned_by)?;
    state
        .apimgt
        .key_mapping_ids
        .get(&mapping)
        .and_then(|client| state.apimgt.clients.get(client))
        .filter(|client| client.mapping.is_some_and(|one| one.id == mapping && one.application == application))
        .cloned()
        .ok_or_else(|| Refused::not_found("key mapping", mapping))
}
