//! The policies in force as the gateway uses them: what limits each API, who is turned away, and the custom rules.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use portcullis_database::State;
use portcullis_database::state::Deployed;
use portcullis_model::throttle::{ApiPlan, CustomPlan, DenyList};
use portcullis_model::{ApiId, DeployedApi};
use tracing::warn;

/// Custom rules that are compiled; the model takes no more.
use portcullis_model::throttle::custom::CUSTOM_RULES_MAX;

/// The policies of one moment. They are never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// Who is turned away.
    pub(crate) denials: Arc<DenyList>,
    /// The custom rules, in the order in which they are asked.
    pub(crate) custom: Arc<[CustomPlan]>,
    /// Whether some custom rules may count two calls with one token to one API differently.
    pub(crate) has_custom_by_call: bool,
    /// What limits calls of each API, by the number of its environment.
    pub(crate) plans: HashMap<(usize, ApiId), Arc<ApiPlan>, RandomState>,
    /// Where policies are found by name.
    pub(crate) source: Source,
}

/// The rows that policies are found in.
#[derive(Default)]
pub(crate) struct Source(pub(crate) Deployed);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.0.policies.len()).finish()
    }
}

impl Policies {
    /// Compiles the policies of a state for the APIs that are served. What has not changed since `before` is kept.
    pub(crate) fn follow<'a>(
        before: &Self,
        state: &State,
        environments: &[String],
        apis: impl Iterator<Item = (usize, &'a Arc<DeployedApi>, bool)>,
    ) -> Self {
        let (now, then) = (&state.deployed, &before.source.0);
        let is_same = now.policies.ptr_eq(&then.policies) && now.policy_rules.ptr_eq(&then.policy_rules);
        let plans = apis.map(|(number, api, has_changed)| {
            let (key, environment) = ((number, api.id), environments.get(number).map_or("", String::as_str));
            let kept = before.plans.get(&key).filter(|_| is_same && !has_changed);
            (key, kept.map_or_else(|| Arc::new(compile(api, environment, now)), Arc::clone))
        });
        let plans = plans.collect();
        let custom = if is_same { Arc::clone(&before.custom) } else { compile_custom(now) };
        let has_custom_by_call = custom.iter().any(CustomPlan::depends_on_call);
        let denials = if now.deny_policies.ptr_eq(&then.deny_policies) {
            Arc::clone(&before.denials)
        } else {
            Arc::new(DenyList::compile(now.denials()))
        };
        Self { denials, custom, has_custom_by_call, plans, source: Source(now.clone()) }
    }
}

fn compile(api: &DeployedApi, environment: &str, policies: &Deployed) -> ApiPlan {
    let (plan, unusable) = ApiPlan::compile(api, environment, policies);
    for condition in unusable {
        warn!(api = %api.id, %condition, "policy limits nothing: a condition of it cannot be used");
    }
    plan
}

fn compile_custom(policies: &Deployed) -> Arc<[CustomPlan]> {
    let mut plans = Vec::new();
    for (policy, rule) in policies.custom_rules().take(CUSTOM_RULES_MAX) {
        match CustomPlan::compile(policy, rule) {
            Ok(plan) => plans.extend(plan),
            Err(error) => warn!(policy = policy.name, %error, "custom rule not in force: it cannot be used"),
        }
    }
    plans.into()
}
