use portcullis_model::{Refused, ScopeId, TenantDomain};
use serde::{Deserialize, Serialize};

use super::put_shared_scope::has;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Deletes a shared scope that no API uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteSharedScope {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The scope.
    pub id: ScopeId,
}

impl<C: Component> SubmittedBy<C> for DeleteSharedScope where C: Writes<Apimgtdb> {}

impl Command for DeleteSharedScope {
    type Reply = ();

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        let scope = state.apimgt.shared_scopes.get(&key).ok_or_else(|| Refused::not_found("scope", key.1))?;
        if let Some(api) = state.apimgt.apis.values().find(|api| has(api, scope)) {
            let reason = format!("the scope {} is used by API {} {}", scope.name, api.name, api.version);
            return Err(Refused::wrong_state(reason));
        }
        state.apimgt.shared_scopes.remove(&key);
        Ok(())
    }
}
