//! Throttling policies as subscribers see them: plans and application policies.

use portcullis_database::Apimgtdb;
use portcullis_http::{List, Stamped};
use portcullis_model::{PolicyLevel, QuotaPolicy, Refused, TenantDomain};

use crate::actor::{Desk, Request, StoreView};
use crate::apis::stamped;
use crate::dto::policy::PolicyDto;
use crate::error::StoreError;
use crate::messages::{GetPolicy, ListPolicies};

/// The plan of calls without a token: nobody subscribes with it.
const UNAUTHENTICATED: &str = "Unauthenticated";

impl Request for ListPolicies {
    type Reply = Stamped<List<PolicyDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let list = policies(&view, &self.tenant, self.level).map(PolicyDto::from).collect();
        Ok(stamped(List::of(list, self.page), &view))
    }
}

impl Request for GetPolicy {
    type Reply = Stamped<PolicyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let found = policies(&view, &self.tenant, self.level)
            .find(|policy| policy.name == self.name || policy.id.to_string() == self.name);
        let policy = found.ok_or_else(|| Refused::not_found("throttling policy", &self.name))?;
        Ok(stamped(PolicyDto::from(policy), &view))
    }
}

fn policies<'a>(
    view: &'a StoreView,
    tenant: &TenantDomain,
    level: PolicyLevel,
) -> impl Iterator<Item = &'a QuotaPolicy> {
    let first = (tenant.clone(), level, String::new());
    let all = view.read::<Apimgtdb>().policies.range(first..).map(|(_, policy)| policy.as_ref());
    let tenant = tenant.clone();
    all.take_while(move |policy| policy.tenant == tenant && policy.level == level)
        .filter(|policy| policy.name != UNAUTHENTICATED)
}
