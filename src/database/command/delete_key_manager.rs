use portcullis_model::{KeyManagerId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::mapped_keys;
use crate::state::{Apimgtdb, Generation, State};

/// Deletes a key manager with the keys that were mapped from it. No gateway accepts its tokens when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteKeyManager {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The key manager.
    pub id: KeyManagerId,
}

impl<C: Component> SubmittedBy<C> for DeleteKeyManager where C: Writes<Apimgtdb> {}

impl Command for DeleteKeyManager {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        if state.apimgt.key_managers.remove(&(self.tenant, self.id)).is_none() {
            return Err(Refused::not_found("key manager", self.id));
        }
        mapped_keys::remove_of_key_manager(state, self.id);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
