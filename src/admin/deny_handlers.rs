//! Handles what is asked about deny policies. Who is turned away by them is not decided here.

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Committed, access, command};
use portcullis_model::{DenyCondition, DenyPolicy, PolicyId, Refused, TenantDomain};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangeDenyPolicy, CreateDenyPolicy, DeleteDenyPolicy, ListDenyPolicies};

fn deny_policies_of(view: &View<access::Admin>, tenant: &TenantDomain) -> Vec<Arc<DenyPolicy>> {
    let all = view.read::<Apimgtdb>().deny_policies.iter().filter(|(key, _)| key.0 == *tenant);
    let mut found: Vec<_> = all.map(|(_, policy)| Arc::clone(policy)).collect();
    found.sort_by_key(|policy| (policy.created_at, policy.id));
    found
}

fn stored_by(
    view: &View<access::Admin>,
    tenant: &TenantDomain,
    is_meant: impl Fn(&DenyPolicy) -> bool,
    asked_for: &str,
) -> Result<Arc<DenyPolicy>, Refused> {
    let found = deny_policies_of(view, tenant).into_iter().find(|policy| is_meant(policy));
    found.ok_or_else(|| Refused::not_found("deny policy", asked_for))
}

impl Handler<ListDenyPolicies> for Admin {
    type Result = Vec<Arc<DenyPolicy>>;

    fn handle(&mut self, message: ListDenyPolicies, _context: &mut Context<Self>) -> Self::Result {
        deny_policies_of(&self.handle.view(), &message.tenant)
    }
}

impl Handler<CreateDenyPolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<DenyPolicy>>, AdminError>>;

    fn handle(&mut self, message: CreateDenyPolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let CreateDenyPolicy { caller, policy } = message;
            let policy = DenyPolicy { id: PolicyId::from_random(random_bytes()), ..policy };
            let (tenant, condition): (TenantDomain, DenyCondition) = (policy.tenant.clone(), policy.condition.clone());
            let made = handle.submit(command::CreateDenyPolicy { policy }, &caller).await?;
            // By its condition, not its id: a retry finds the one that the first try made.
            let reply = stored_by(&handle.view(), &tenant, |one| one.condition == condition, condition.kind())?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<ChangeDenyPolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<DenyPolicy>>, AdminError>>;

    fn handle(&mut self, message: ChangeDenyPolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangeDenyPolicy { caller, id, is_active, expires_at } = message;
            let tenant = caller.principal.tenant.clone();
            let command = command::UpdateDenyPolicy { tenant: tenant.clone(), id, is_active, expires_at };
            let made = handle.submit(command, &caller).await?;
            let reply = stored_by(&handle.view(), &tenant, |one| one.id == id, &id.to_string())?;
            Ok(Committed { reply, index: made.index, unreached: made.unreached })
        })
    }
}

impl Handler<DeleteDenyPolicy> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: DeleteDenyPolicy, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let DeleteDenyPolicy { caller, id } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(handle.submit(command::DeleteDenyPolicy { tenant, id }, &caller).await?)
        })
    }
}
