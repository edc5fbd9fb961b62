use portcullis_model::{ApplicationId, KeyMappingId, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::mapped_keys;
use crate::state::{Apimgtdb, Generation, State};

/// Has a client of another key manager no longer call for an application. No gateway accepts its tokens when the answer
/// comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnmapKey {
    /// The application.
    pub application: ApplicationId,
    /// The key mapping.
    pub mapping: KeyMappingId,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for UnmapKey where C: Writes<Apimgtdb> {}

impl Command for UnmapKey {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        find_application(state, self.application, self.owned_by.as_ref())?;
        if !mapped_keys::remove(state, self.application, self.mapping) {
            return Err(Refused::not_found("key mapping", self.mapping));
        }
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
