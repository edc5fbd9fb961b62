use std::sync::Arc;

use portcullis_model::limit::ROLES_PER_TENANT_MAX;
use portcullis_model::{Refused, Role, RoleId, RoleRecord, TenantDomain, Username};
use serde::{Deserialize, Serialize};

use super::change_role::change_members;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{State, Userdb};

/// Creates a role, and gives it to users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRole {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The role.
    pub role: Role,
    /// Who holds it from the start.
    pub members: Vec<Username>,
}

impl<C: Component> SubmittedBy<C> for CreateRole where C: Writes<Userdb> {}

impl Command for CreateRole {
    type Reply = RoleId;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.role.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<RoleId, Refused> {
        let Self { tenant, role, members } = self;
        if !state.user.tenants.contains_key(&tenant) {
            return Err(Refused::not_found("tenant", &tenant));
        }
        let key = (tenant, role);
        if state.user.roles.contains_key(&key) {
            return Err(Refused::exists("role", &key.1));
        }
        if people::roles_of(&state.user, &key.0).count() >= ROLES_PER_TENANT_MAX {
            return Err(Refused::LimitReached { what: "roles".to_owned(), max: ROLES_PER_TENANT_MAX as u64 });
        }
        let mut id = [0; 16];
        id.copy_from_slice(&moment.random[..16]);
        let id = RoleId::from_random(id);
        let record = RoleRecord { id, created_at: moment.now, modified_at: moment.now, version: 1 };
        change_members(state, &key.0, &key.1, &members, &[], moment)?;
        state.user.roles.insert(key.clone(), ());
        state.user.role_records.insert(key, Arc::new(record));
        Ok(id)
    }
}
