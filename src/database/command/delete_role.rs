use std::sync::Arc;

use portcullis_model::{Refused, Role, TenantDomain, User};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Deletes a role, and takes it from whoever holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteRole {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The role.
    pub role: Role,
    /// The version that is to be deleted; refused where it is another now.
    pub expected_version: Option<u64>,
}

impl<C: Component> SubmittedBy<C> for DeleteRole where C: Writes<Userdb> {}

impl Command for DeleteRole {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.role.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, role, expected_version } = self;
        let record = people::role_record(&state.user, &tenant, &role).ok_or_else(|| Refused::not_found("role", &role))?;
        if role.is_system() {
            return Err(Refused::wrong_state(format!("every tenant has the role {role}: it cannot be deleted")));
        }
        if expected_version.is_some_and(|version| version != record.version) {
            return Err(Refused::Stale { noun: "role".to_owned(), key: role.0 });
        }
        let holders = people::users_of(&state.user, &tenant).filter(|user| user.roles.contains(&role));
        let holders: Vec<Arc<User>> = holders.cloned().collect();
        for before in holders {
            let mut user = User::clone(&before);
            user.roles.retain(|held| *held != role);
            people::touch_user(state, &user, moment.now, |_| {});
            state.user.users.insert((tenant.clone(), user.username.clone()), Arc::new(user));
        }
        state.user.roles.remove(&(tenant.clone(), role.clone()));
        state.user.role_records.remove(&(tenant, role));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
