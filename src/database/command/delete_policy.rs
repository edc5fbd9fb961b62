use portcullis_model::{PolicyLevel, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::create_subscription::offers;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Deletes a throttling policy. Refused while something uses it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletePolicy {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The level.
    pub level: PolicyLevel,
    /// The name.
    pub name: String,
}

impl<C: Component> SubmittedBy<C> for DeletePolicy where C: Writes<Apimgtdb> {}

impl Command for DeletePolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.level, self.name);
        if !state.apimgt.policies.contains_key(&key) {
            return Err(Refused::not_found("policy", &key.2));
        }
        let (tenant, level, name) = &key;
        let is_used = match level {
            PolicyLevel::Subscription => {
                let is_of_tenant = |api| state.apimgt.apis.get(api).is_some_and(|api| api.tenant == *tenant);
                // The plan is the API's tenant's, whoever subscribed.
                state.apimgt.subscriptions.values().any(|one| one.plan == *name && is_of_tenant(&one.api))
                    || state.apimgt.apis.values().any(|api| api.tenant == *tenant && offers(state, api, name))
            }
            PolicyLevel::Application => {
                state.apimgt.applications.values().any(|one| one.policy == *name && one.tenant == *tenant)
            }
            PolicyLevel::Advanced => state.apimgt.apis.values().any(|api| {
                api.tenant == *tenant
                    && (api.api_policy.as_ref() == Some(name) || api.operations.iter().any(|one| one.policy == *name))
            }),
            PolicyLevel::Custom => false,
        };
        if is_used {
            return Err(Refused::wrong_state(format!("policy {name} is in use and cannot be deleted")));
        }
        crate::counters::policy_change::note(state, &key, moment.index);
        state.apimgt.policies.remove(&key);
        state.apimgt.policy_rules.remove(&key);
        state.deployed.policies.remove(&key);
        state.deployed.policy_rules.remove(&key);
        state.deployed.advance(Generation::Policies);
        Ok(())
    }
}
