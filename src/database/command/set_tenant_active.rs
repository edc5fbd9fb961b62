use std::sync::Arc;

use portcullis_model::{Refused, TenantDomain, TenantRecord};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Activates or deactivates a tenant. Of one that is not active, no user signs in, no token is accepted and no API is
/// served by any live node when the answer comes. Everything it has stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetTenantActive {
    /// The domain.
    pub domain: TenantDomain,
    /// Whether it is to be active.
    pub is_active: bool,
}

impl<C: Component> SubmittedBy<C> for SetTenantActive where C: Writes<Userdb> {}

impl Command for SetTenantActive {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {}", self.domain, if self.is_active { "active" } else { "inactive" })
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let Self { domain, is_active } = self;
        let record = people::tenant_record(&state.user, &domain).ok_or_else(|| Refused::not_found("tenant", &domain))?;
        if domain.is_super() && !is_active {
            return Err(Refused::wrong_state(format!("{domain} is the first tenant: it stays active")));
        }
        let record = TenantRecord { is_active, ..record.as_ref().clone() };
        state.user.tenant_records.insert(domain.clone(), Arc::new(record));
        if is_active {
            state.deployed.closed_tenants.remove(&domain);
        } else {
            state.deployed.closed_tenants.insert(domain, ());
        }
        state.deployed.advance(Generation::Routes);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
