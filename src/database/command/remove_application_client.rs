use portcullis_model::{ApplicationId, KeyMappingId, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::replace_client_secret::find_mapped_client;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::client_removal::remove_client;
use crate::state::{Apimgtdb, State};

/// Removes the keys of an application for one key type: its OAuth client and the client's tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveApplicationClient {
    /// The key mapping.
    pub mapping: KeyMappingId,
    /// The application it must belong to.
    pub application: ApplicationId,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for RemoveApplicationClient where C: Writes<Apimgtdb> {}

impl Command for RemoveApplicationClient {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("application {}", self.application)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let client = find_mapped_client(state, self.mapping, self.application, self.owned_by.as_ref())?;
        remove_client(state, &client.id);
        Ok(())
    }
}
