use std::sync::Arc;

use portcullis_model::{Refused, User};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Creates a user or replaces the one of that name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutUser {
    /// The user; `created_at` is set here.
    pub user: User,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutUser where C: Writes<Userdb> {}

impl Command for PutUser {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.user.username.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let mut user = self.user;
        if !state.user.tenants.contains_key(&user.tenant) {
            return Err(Refused::not_found("tenant", &user.tenant));
        }
        if let Some(role) = user.roles.iter().find(|role| !state.user.roles.contains_key(&(user.tenant.clone(), (*role).clone()))) {
            return Err(Refused::not_found("role", &role.0));
        }
        let key = (user.tenant.clone(), user.username.clone());
        match (state.user.users.get(&key), self.is_new) {
            (Some(_), true) => return Err(Refused::exists("user", &user.username)),
            (None, false) => return Err(Refused::not_found("user", &user.username)),
            (Some(existing), false) => user.created_at = existing.created_at,
            (None, true) => user.created_at = moment.now,
        }
        people::touch_user(state, &user, moment.now, |_| {});
        state.user.users.insert(key, Arc::new(user));
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
