use portcullis_model::{PolicyId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Deletes a deny policy. Its callers are served again everywhere when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteDenyPolicy {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The deny policy.
    pub id: PolicyId,
}

impl<C: Component> SubmittedBy<C> for DeleteDenyPolicy where C: Writes<Apimgtdb> {}

impl Command for DeleteDenyPolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        if state.apimgt.deny_policies.remove(&key).is_none() {
            return Err(Refused::not_found("deny policy", self.id));
        }
        state.deployed.deny_policies.remove(&key);
        state.deployed.advance(Generation::Policies);
        Ok(())
    }
}
