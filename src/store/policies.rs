//! Throttling policies as subscribers see them: plans and application policies.

use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::{List, Stamped};
use portcullis_model::counter::CounterSelector;
use portcullis_model::throttle::plan::UNAUTHENTICATED_PLAN;
use portcullis_model::{PolicyLevel, PolicyRules, QuotaPolicy, Refused, Role, TenantDomain};

use crate::actor::{Desk, Request, StoreView};
use crate::apis::stamped;
use crate::applications::find_owned;
use crate::dto::policy::PolicyDto;
use crate::error::StoreError;
use crate::messages::{GetPolicy, ListPolicies, ResetApplicationQuota, Visitor};

impl Request for ListPolicies {
    type Reply = Stamped<List<PolicyDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let list = policies(&view, &self.visitor, self.level).map(|one| describe(&view, one)).collect();
        Ok(stamped(List::of(list, self.page), &view))
    }
}

impl Request for GetPolicy {
    type Reply = Stamped<PolicyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let found = policies(&view, &self.visitor, self.level)
            .find(|policy| policy.name == self.name || policy.id.to_string() == self.name);
        let policy = found.ok_or_else(|| Refused::not_found("throttling policy", &self.name))?;
        Ok(stamped(describe(&view, policy), &view))
    }
}

impl Request for ResetApplicationQuota {
    type Reply = Stamped<()>;

    /// Begins the application's quota and burst anew for one user. The selector also picks the application's plans;
    /// they are the publisher's to give, so the level keeps them out.
    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let application = find_owned(&view, &self.subscriber, self.application)?;
        let selector = CounterSelector {
            tenant: application.tenant.clone(),
            level: Some(PolicyLevel::Application),
            policy: Some(application.policy.clone()),
            application: Some(application.id),
            user: Some(self.user.unwrap_or_else(|| self.subscriber.username().clone())),
        };
        let mut after = None;
        loop {
            let reset = command::ResetCounters { selector: selector.clone(), after };
            let Committed { reply, index, unreached } = desk.submit(reset, &self.subscriber).await?;
            after = reply.looked_to;
            if after.is_none() {
                return Ok(Stamped { body: (), index, unreached });
            }
        }
    }
}

/// Returns a policy as the contract shows it.
pub(crate) fn describe(view: &StoreView, policy: &QuotaPolicy) -> PolicyDto {
    PolicyDto::new(policy, rules_of(view, &policy.tenant, policy.level, &policy.name))
}

fn rules_of<'a>(view: &'a StoreView, tenant: &TenantDomain, level: PolicyLevel, name: &str) -> Option<&'a PolicyRules> {
    let rules = view.read::<Apimgtdb>().policy_rules.get(&(tenant.clone(), level, name.to_owned()));
    rules.map(AsRef::as_ref)
}

/// Says whether somebody with `roles` may choose a plan.
pub(crate) fn may_choose(view: &StoreView, tenant: &TenantDomain, plan: &str, roles: &[Role]) -> bool {
    let permission =
        rules_of(view, tenant, PolicyLevel::Subscription, plan).and_then(|rules| rules.permission.as_ref());
    permission.is_none_or(|permission| permission.admits(roles))
}

fn policies<'a>(
    view: &'a StoreView,
    visitor: &'a Visitor,
    level: PolicyLevel,
) -> impl Iterator<Item = &'a QuotaPolicy> {
    let tenant = &visitor.tenant;
    let first = (tenant.clone(), level, String::new());
    let all = view.read::<Apimgtdb>().policies.range(first..).map(|(_, policy)| policy.as_ref());
    all.take_while(move |policy| policy.tenant == *tenant && policy.level == level)
        .filter(|policy| policy.name != UNAUTHENTICATED_PLAN)
        .filter(move |policy| {
            level != PolicyLevel::Subscription || may_choose(view, tenant, &policy.name, &visitor.roles)
        })
}
