use std::sync::Arc;

use portcullis_model::{DenyPolicy, PolicyId, Refused, TenantDomain, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State};

/// Switches a deny policy on or off, or sets when it ends. In force everywhere when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateDenyPolicy {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The deny policy.
    pub id: PolicyId,
    /// Whether it is to be in force; `None` leaves that as it is.
    pub is_active: Option<bool>,
    /// When it is to end (the inner `None`: never); `None` leaves that as it is.
    pub expires_at: Option<Option<Timestamp>>,
}

impl<C: Component> SubmittedBy<C> for UpdateDenyPolicy where C: Writes<Apimgtdb> {}

impl Command for UpdateDenyPolicy {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.id);
        let existing = state.apimgt.deny_policies.get(&key);
        let existing = existing.ok_or_else(|| Refused::not_found("deny policy", self.id))?;
        let policy = Arc::new(DenyPolicy {
            is_active: self.is_active.unwrap_or(existing.is_active),
            expires_at: self.expires_at.unwrap_or(existing.expires_at),
            ..existing.as_ref().clone()
        });
        state.apimgt.deny_policies.insert(key.clone(), Arc::clone(&policy));
        state.deployed.deny_policies.insert(key, policy);
        state.deployed.advance(Generation::Policies);
        Ok(())
    }
}
