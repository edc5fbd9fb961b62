use portcullis_model::{EnvironmentId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::assets;
use crate::environments;
use crate::gateway_policies;
use crate::state::{Apimgtdb, State};

/// Deletes a gateway environment to which nothing is deployed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteEnvironment {
    /// The tenant.
    pub tenant: TenantDomain,
    /// Which.
    pub id: EnvironmentId,
}

impl<C: Component> SubmittedBy<C> for DeleteEnvironment where C: Writes<Apimgtdb> {}

impl Command for DeleteEnvironment {
    type Reply = ();

    fn subject(&self) -> String {
        format!("environment {}", self.id)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        let environment = state.apimgt.environments.get(&key);
        let environment = environment.ok_or_else(|| Refused::not_found("gateway environment", key.1))?;
        if let Some(api) = environments::served(state, &key.0, &environment.name).next() {
            let reason =
                format!("API {} {} is deployed to {}; undeploy it first", api.name, api.version, environment.name);
            return Err(Refused::wrong_state(reason));
        }
        if let Some(policy) = gateway_policies::in_force(&state.apimgt, &key.0, &environment.name) {
            let reason = format!("gateway policy {} is in force in {}; undeploy it first", policy.id, environment.name);
            return Err(Refused::wrong_state(reason));
        }
        let name = environment.name.clone();
        state.apimgt.environments.remove(&key);
        // One of the same name that is made later is another.
        assets::forget_environment(state, &key.0, &name);
        Ok(())
    }
}
