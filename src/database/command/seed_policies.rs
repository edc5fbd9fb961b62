use portcullis_model::{PolicyRules, QuotaPolicy, Refused};
use serde::{Deserialize, Serialize};

use super::put_throttle_policy::store;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Admin, Cluster};
use crate::state::State;

/// Seeds a set of default policies, once in the cluster's life: what an administrator deletes does not come back, and
/// what has a default's name already stays as it is. The policies are part of the entry, so that what a set holds does
/// not depend on the version that applies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeedPolicies {
    /// The set's number.
    pub set: u32,
    /// The policies.
    pub policies: Vec<(QuotaPolicy, PolicyRules)>,
}

impl SubmittedBy<Cluster> for SeedPolicies {}
impl SubmittedBy<Admin> for SeedPolicies {}

impl Command for SeedPolicies {
    /// How many were added.
    type Reply = u32;
    const EVERYWHERE: bool = false;

    fn subject(&self) -> String {
        format!("set {}", self.set)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<u32, Refused> {
        if state.apimgt.policy_seeds.contains_key(&self.set) {
            return Ok(0);
        }
        state.apimgt.policy_seeds.insert(self.set, moment.now);
        let mut added = 0;
        for (policy, rules) in self.policies {
            let key = (policy.tenant.clone(), policy.level, policy.name.clone());
            if !state.apimgt.policies.contains_key(&key) {
                store(state, QuotaPolicy { version: 1, ..policy }, rules);
                added += 1;
            }
        }
        Ok(added)
    }
}
