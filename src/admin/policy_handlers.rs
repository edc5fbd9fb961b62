//! Handles what is asked about throttling policies. How requests are counted against them is not known here.

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, Committed, Handle, access, command};
use portcullis_model::throttle::plan::UNAUTHENTICATED_PLAN;
use portcullis_model::{PolicyId, PolicyLevel, PolicyRules, QuotaPolicy, Refused, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangePolicy, CreatePolicy, DeletePolicy, GetPolicy, ListPolicies, RuledPolicy};

/// Policies of one tenant and level: a bound that no catalogue of plans comes near.
const POLICIES_MAX: usize = 1000;

fn policies_of(view: &View<access::Admin>, tenant: &TenantDomain, level: PolicyLevel) -> Vec<RuledPolicy> {
    let database = view.read::<Apimgtdb>();
    let first = (tenant.clone(), level, String::new());
    let of_level = database.policies.range(first..).take_while(|(key, _)| key.0 == *tenant && key.1 == level);
    let ruled = of_level.map(|(key, policy)| RuledPolicy {
        policy: Arc::clone(policy),
        rules: database.policy_rules.get(key).map(Arc::clone).unwrap_or_default(),
    });
    ruled.collect()
}

fn policy_of(
    view: &View<access::Admin>,
    tenant: &TenantDomain,
    level: PolicyLevel,
    id: PolicyId,
) -> Result<RuledPolicy, Refused> {
    let mut all = policies_of(view, tenant, level).into_iter();
    all.find(|ruled| ruled.policy.id == id).ok_or_else(|| Refused::not_found("policy", id))
}

/// Returns a policy as it is in the state now: what a retry with the same idempotency key gets too.
fn stored(view: &View<access::Admin>, written: &QuotaPolicy) -> Result<RuledPolicy, Refused> {
    let mut all = policies_of(view, &written.tenant, written.level).into_iter();
    all.find(|ruled| ruled.policy.name == written.name).ok_or_else(|| Refused::not_found("policy", &written.name))
}

impl Handler<ListPolicies> for Admin {
    type Result = Vec<RuledPolicy>;

    fn handle(&mut self, message: ListPolicies, _context: &mut Context<Self>) -> Self::Result {
        policies_of(&self.handle.view(), &message.tenant, message.level)
    }
}

impl Handler<GetPolicy> for Admin {
    type Result = Result<RuledPolicy, AdminError>;

    fn handle(&mut self, message: GetPolicy, _context: &mut Context<Self>) -> Self::Result {
        Ok(policy_of(&self.handle.view(), &message.tenant, message.level, message.id)?)
    }
}

impl Handler<CreatePolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<RuledPolicy>, AdminError>>;

    fn handle(&mut self, message: CreatePolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let CreatePolicy { caller, policy, rules } = message;
            let policy = QuotaPolicy { id: PolicyId::from_random(random_bytes()), ..policy };
            if policies_of(&handle.view(), &policy.tenant, policy.level).len() >= POLICIES_MAX {
                let what = "policies of one level".to_owned();
                return Err(Refused::LimitReached { what, max: POLICIES_MAX as u64 }.into());
            }
            put(&handle, policy, rules, true, &caller).await
        })
    }
}

impl Handler<ChangePolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<RuledPolicy>, AdminError>>;

    fn handle(&mut self, message: ChangePolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangePolicy { caller, id, policy, rules } = message;
            let existing = policy_of(&handle.view(), &policy.tenant, policy.level, id)?.policy;
            if policy.name != existing.name {
                let reason = format!("cannot be changed; it is `{}`", existing.name);
                return Err(Refused::invalid("policyName", reason).into());
            }
            put(&handle, policy, rules, false, &caller).await
        })
    }
}

/// Writes a policy. One without rules goes by the older command, which nodes of the first feature level know too.
async fn put(
    handle: &Handle<access::Admin>,
    policy: QuotaPolicy,
    rules: PolicyRules,
    is_new: bool,
    caller: &Caller,
) -> Result<Committed<RuledPolicy>, AdminError> {
    let key = (policy.tenant.clone(), policy.level, policy.name.clone());
    let had_rules = handle.view().read::<Apimgtdb>().policy_rules.contains_key(&key);
    let made = if rules == PolicyRules::default() && !had_rules {
        handle.submit(command::PutPolicy { policy: policy.clone(), is_new }, caller).await?
    } else {
        handle.submit(command::PutThrottlePolicy { policy: policy.clone(), rules, is_new }, caller).await?
    };
    let reply = stored(&handle.view(), &policy)?;
    Ok(Committed { reply, index: made.index, unreached: made.unreached })
}

impl Handler<DeletePolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeletePolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeletePolicy { caller, level, id } = message;
            let tenant = caller.principal.tenant.clone();
            let name = policy_of(&handle.view(), &tenant, level, id)?.policy.name.clone();
            if level == PolicyLevel::Subscription && name == UNAUTHENTICATED_PLAN {
                let why = "it limits the calls without a token: without it they would have no limit. Change it instead";
                return Err(Refused::wrong_state(format!("the plan {name} stays: {why}")).into());
            }
            Ok(handle.submit(command::DeletePolicy { tenant, level, name }, &caller).await?)
        })
    }
}
