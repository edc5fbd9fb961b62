use portcullis_model::{ApplicationId, Principal, Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::kept_api_keys;
use crate::state::{Apimgtdb, Generation, State};

/// Revokes an API key. Refused on every node when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeApiKey {
    /// The digest of the key.
    pub digest: TokenDigest,
    /// The application it must belong to.
    pub application: ApplicationId,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for RevokeApiKey where C: Writes<Apimgtdb> {}

impl Command for RevokeApiKey {
    /// Whether there was such a key: one that was revoked before, or whose time is over, is none.
    type Reply = bool;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("application {}", self.application)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<bool, Refused> {
        find_application(state, self.application, self.owned_by.as_ref())?;
        let Some(key) = state.apimgt.api_keys.get(&self.digest) else { return Ok(false) };
        if key.application != self.application {
            return Err(Refused::invalid("apikey", "is not a key of this application"));
        }
        kept_api_keys::remove(state, &self.digest);
        state.deployed.advance(Generation::Keys);
        Ok(true)
    }
}
