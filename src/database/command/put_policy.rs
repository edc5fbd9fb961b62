use std::sync::Arc;

use portcullis_model::{QuotaPolicy, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Creates a throttling policy or replaces the one of that name. In force everywhere when the answer comes; counters
/// whose window is open keep the limit they opened with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutPolicy {
    /// The policy; its version is set here.
    pub policy: QuotaPolicy,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutPolicy where C: Writes<Apimgtdb> {}

impl Command for PutPolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.policy.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut policy = self.policy;
        let key = (policy.tenant.clone(), policy.level, policy.name.clone());
        let existing = state.apimgt.policies.get(&key);
        match (existing, self.is_new) {
            (Some(_), true) => return Err(Refused::exists("policy", &policy.name)),
            (None, false) => return Err(Refused::not_found("policy", &policy.name)),
            (Some(existing), false) => {
                policy.id = existing.id;
                policy.version = existing.version + 1;
            }
            (None, true) => policy.version = 1,
        }
        crate::counters::policy_change::note(state, &key, moment.index);
        let policy = Arc::new(policy);
        state.apimgt.policies.insert(key.clone(), Arc::clone(&policy));
        state.deployed.policies.insert(key, policy);
        state.deployed.advance(Generation::Policies);
        Ok(())
    }
}
