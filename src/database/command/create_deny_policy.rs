use std::sync::Arc;

use portcullis_model::api::versioned_context;
use portcullis_model::deny::DENY_POLICIES_MAX;
use portcullis_model::{DenyCondition, DenyPolicy, PolicyId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Turns callers away from now on. In force everywhere when the answer comes. Refused where one with the same condition
/// is there, or the API or application is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateDenyPolicy {
    /// The deny policy; when it was made, and by whom, is set here.
    pub policy: DenyPolicy,
}

impl<C: Component> SubmittedBy<C> for CreateDenyPolicy where C: Writes<Apimgtdb> {}

impl Command for CreateDenyPolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.policy.condition.kind().to_owned()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut policy = self.policy;
        drop_ended(state, moment);
        let of_tenant = deny_policies_of(state, &policy.tenant);
        if of_tenant.iter().any(|other| other.condition == policy.condition) {
            return Err(Refused::exists("deny policy", format!("of that {}", policy.condition.kind())));
        }
        if of_tenant.len() >= DENY_POLICIES_MAX {
            return Err(Refused::LimitReached { what: "deny policies".to_owned(), max: DENY_POLICIES_MAX as u64 });
        }
        check_named(state, &policy)?;
        policy.created_at = moment.now;
        policy.created_by = moment.principal.username.clone();
        let key = (policy.tenant.clone(), policy.id);
        let policy = Arc::new(policy);
        state.apimgt.deny_policies.insert(key.clone(), Arc::clone(&policy));
        state.deployed.deny_policies.insert(key, policy);
        state.deployed.advance(Generation::Policies);
        Ok(())
    }
}

fn deny_policies_of(state: &State, tenant: &TenantDomain) -> Vec<Arc<DenyPolicy>> {
    let first = (tenant.clone(), PolicyId(uuid::Uuid::nil()));
    let rows = state.apimgt.deny_policies.range(first..).take_while(|(key, _)| key.0 == *tenant);
    rows.map(|(_, policy)| Arc::clone(policy)).collect()
}

/// Refuses a name of nothing: a slip of the pen would turn nobody away, and nobody would notice.
fn check_named(state: &State, policy: &DenyPolicy) -> Result<(), Refused> {
    let invalid = |reason: String| Err(Refused::invalid("conditionValue", reason));
    match &policy.condition {
        DenyCondition::Api(context) => {
            let is_there = state
                .apimgt
                .apis
                .values()
                .any(|api| api.tenant == policy.tenant && versioned_context(&api.context, &api.version) == *context);
            if !is_there {
                return invalid(format!("no API has the context {context}; it is written with the version, /pizza/1.0.0"));
            }
        }
        DenyCondition::Application { owner, name } => {
            let is_there = state
                .apimgt
                .applications
                .values()
                .any(|one| one.tenant == policy.tenant && one.owner == *owner && one.name == *name);
            if !is_there {
                return invalid(format!("{owner} has no application {name}; it is written OWNER:NAME"));
            }
        }
        DenyCondition::Tenant(tenant) if !state.user.tenants.contains_key(tenant) => {
            return invalid(format!("there is no tenant {tenant}"));
        }
        _ => {}
    }
    Ok(())
}

/// Drops a few of those whose time is over, so that they do not pile up.
fn drop_ended(state: &mut State, moment: &Moment) {
    const AT_ONCE: usize = 16;
    let ended = state.apimgt.deny_policies.iter().filter(|(_, policy)| policy.expires_at.is_some_and(|at| at <= moment.now));
    let ended: Vec<_> = ended.map(|(key, _)| key.clone()).take(AT_ONCE).collect();
    for key in ended {
        state.apimgt.deny_policies.remove(&key);
        state.deployed.deny_policies.remove(&key);
    }
}
