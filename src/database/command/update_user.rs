use std::fmt;
use std::sync::Arc;

use portcullis_model::{Refused, TenantDomain, User, Username};
use serde::{Deserialize, Serialize};

use super::create_user::check_size;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Changes a user: what is `None` stays.
#[derive(Clone, Serialize, Deserialize)]
pub struct UpdateUser {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user.
    pub username: Username,
    /// The profile's version that the change was made from; refused where it is another now.
    pub expected_version: Option<u64>,
    /// Further attributes, as a JSON object in the form of SCIM.
    pub attributes: Option<String>,
    /// The address for notices.
    pub email: Option<String>,
    /// Whether the user is locked. Unlocking also ends a lock-out.
    pub is_locked: Option<bool>,
    /// The hash of a new password.
    pub password_hash: Option<String>,
    /// The hash that a new password takes the place of; refused where it is another now.
    pub replaces_hash: Option<String>,
}

impl fmt::Debug for UpdateUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpdateUser({}@{})", self.username, self.tenant)
    }
}

impl UpdateUser {
    /// Returns a change that changes nothing yet.
    #[must_use]
    pub fn of(tenant: TenantDomain, username: Username) -> Self {
        Self {
            tenant,
            username,
            expected_version: None,
            attributes: None,
            email: None,
            is_locked: None,
            password_hash: None,
            replaces_hash: None,
        }
    }
}

impl<C: Component> SubmittedBy<C> for UpdateUser where C: Writes<Userdb> {}

impl Command for UpdateUser {
    /// The profile's version now.
    type Reply = u64;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        let mut subject = self.username.to_string();
        if self.password_hash.is_some() {
            subject.push_str(" password");
        }
        match self.is_locked {
            Some(true) => subject.push_str(" locked"),
            Some(false) => subject.push_str(" active"),
            None => {}
        }
        subject
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<u64, Refused> {
        let before = people::user(&state.user, &self.tenant, &self.username).cloned();
        let before = before.ok_or_else(|| Refused::not_found("user", &self.username))?;
        let profile = people::profile_of(&state.user, &before);
        let is_stale = self.expected_version.is_some_and(|version| version != profile.version)
            || self.replaces_hash.as_ref().is_some_and(|hash| *hash != before.password_hash);
        if is_stale {
            return Err(Refused::Stale { noun: "user".to_owned(), key: self.username.0 });
        }
        if let Some(attributes) = &self.attributes {
            check_size(attributes)?;
        }
        if self.is_locked == Some(true) {
            people::check_administrator_left(state, &before)?;
        }
        let mut user = User::clone(&before);
        user.email = self.email.unwrap_or(user.email);
        user.is_locked = self.is_locked.unwrap_or(user.is_locked);
        user.password_hash = self.password_hash.unwrap_or(user.password_hash);
        let is_let_in = self.is_locked == Some(false);
        let changes_keys = user.is_locked != before.is_locked || user.password_hash != before.password_hash;
        let version = people::touch_user(state, &user, moment.now, |profile| {
            profile.attributes = self.attributes.unwrap_or_else(|| profile.attributes.clone());
            if is_let_in {
                profile.locked_until = None;
            }
        });
        state.user.users.insert((self.tenant, self.username), Arc::new(user));
        if changes_keys {
            state.deployed.advance(Generation::Keys);
        }
        Ok(version)
    }
}
