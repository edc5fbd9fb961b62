use std::sync::Arc;

use portcullis_model::throttle::custom::CUSTOM_RULES_MAX;
use portcullis_model::{PolicyLevel, PolicyRules, QuotaPolicy, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Creates a throttling policy with its rules, or replaces the one of that name. In force everywhere when the answer
/// comes; counters whose window is open keep the limit they opened with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutThrottlePolicy {
    /// The policy; its version is set here.
    pub policy: QuotaPolicy,
    /// Its rules.
    pub rules: PolicyRules,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutThrottlePolicy where C: Writes<Apimgtdb> {}

impl Command for PutThrottlePolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.policy.name.clone()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut policy = self.policy;
        let key = (policy.tenant.clone(), policy.level, policy.name.clone());
        match (state.apimgt.policies.get(&key), self.is_new) {
            (Some(_), true) => return Err(Refused::exists("policy", &policy.name)),
            (None, false) => return Err(Refused::not_found("policy", &policy.name)),
            (Some(existing), false) => {
                policy.id = existing.id;
                policy.version = existing.version + 1;
            }
            (None, true) => {
                check_room(state, policy.level)?;
                policy.version = 1;
            }
        }
        crate::counters::policy_change::note(state, &key, moment.index);
        store(state, policy, self.rules);
        Ok(())
    }
}

/// Every custom rule is asked for every call.
fn check_room(state: &State, level: PolicyLevel) -> Result<(), Refused> {
    if level == PolicyLevel::Custom && state.deployed.custom_rules().count() >= CUSTOM_RULES_MAX {
        return Err(Refused::LimitReached { what: "custom rules".to_owned(), max: CUSTOM_RULES_MAX as u64 });
    }
    Ok(())
}

/// Puts a policy and its rules into the databases and into force.
pub(super) fn store(state: &mut State, policy: QuotaPolicy, rules: PolicyRules) {
    let key = (policy.tenant.clone(), policy.level, policy.name.clone());
    let policy = Arc::new(policy);
    state.apimgt.policies.insert(key.clone(), Arc::clone(&policy));
    state.deployed.policies.insert(key.clone(), policy);
    if rules == PolicyRules::default() {
        state.apimgt.policy_rules.remove(&key);
        state.deployed.policy_rules.remove(&key);
    } else {
        let rules = Arc::new(rules);
        state.apimgt.policy_rules.insert(key.clone(), Arc::clone(&rules));
        state.deployed.policy_rules.insert(key, rules);
    }
    state.deployed.advance(Generation::Policies);
}
