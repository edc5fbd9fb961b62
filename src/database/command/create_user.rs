use std::sync::Arc;

use portcullis_model::limit::{PROFILE_BYTES_MAX, USERS_MAX};
use portcullis_model::{Refused, User, UserId, UserProfile};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Creates a user with a profile. One who was deleted before may be created again, and is somebody else: with an id of
/// their own, and without the tokens of the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateUser {
    /// The user; `created_at` is set here.
    pub user: User,
    /// Further attributes, as a JSON object in the form of SCIM.
    pub attributes: String,
}

impl<C: Component> SubmittedBy<C> for CreateUser where C: Writes<Userdb> {}

impl Command for CreateUser {
    type Reply = UserId;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.user.username.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<UserId, Refused> {
        let Self { mut user, attributes } = self;
        if !state.user.tenants.contains_key(&user.tenant) {
            return Err(Refused::not_found("tenant", &user.tenant));
        }
        user.roles.sort();
        user.roles.dedup();
        people::check_roles(state, &user.tenant, &user.roles)?;
        let key = (user.tenant.clone(), user.username.clone());
        if state.user.users.contains_key(&key) {
            return Err(Refused::exists("user", &user.username));
        }
        if state.user.users.len() >= USERS_MAX {
            return Err(Refused::LimitReached { what: "users".to_owned(), max: USERS_MAX as u64 });
        }
        check_size(&attributes)?;
        user.created_at = moment.now;
        let mut id = [0; 16];
        id.copy_from_slice(&moment.random[..16]);
        let id = UserId::from_random(id);
        let profile = UserProfile { id, attributes, modified_at: moment.now, version: 1, locked_until: None };
        state.user.user_ids.insert((user.tenant.clone(), id), user.username.clone());
        state.user.profiles.insert(key.clone(), Arc::new(profile));
        for role in &user.roles {
            people::touch_role(state, &user.tenant, role, moment.now);
        }
        state.user.users.insert(key, Arc::new(user));
        state.deployed.advance(Generation::Keys);
        Ok(id)
    }
}

/// Refuses attributes of too many bytes.
pub(super) fn check_size(attributes: &str) -> Result<(), Refused> {
    if attributes.len() <= PROFILE_BYTES_MAX {
        return Ok(());
    }
    Err(Refused::LimitReached { what: "bytes of a user's attributes".to_owned(), max: PROFILE_BYTES_MAX as u64 })
}
