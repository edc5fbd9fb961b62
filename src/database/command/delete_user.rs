use portcullis_model::task::TaskSubject;
use portcullis_model::{Refused, TenantDomain, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::{people, tasks};
use crate::state::{Generation, State, Userdb};

/// Deletes a user. Their tokens are good for nothing when the answer comes; their applications stay, as in the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteUser {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user.
    pub username: Username,
    /// The profile's version that is to be deleted; refused where it is another now.
    pub expected_version: Option<u64>,
}

impl<C: Component> SubmittedBy<C> for DeleteUser where C: Writes<Userdb> {}

impl Command for DeleteUser {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.username.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.username);
        let user = state.user.users.get(&key).cloned().ok_or_else(|| Refused::not_found("user", &key.1))?;
        let profile = people::profile_of(&state.user, &user);
        if self.expected_version.is_some_and(|version| version != profile.version) {
            return Err(Refused::Stale { noun: "user".to_owned(), key: key.1.0 });
        }
        people::check_administrator_left(state, &user)?;
        state.user.users.remove(&key);
        state.user.profiles.remove(&key);
        state.user.user_ids.remove(&(key.0.clone(), profile.id));
        tasks::forget(state, &key.0, |subject| *subject == TaskSubject::User(key.1.clone()));
        for role in &user.roles {
            people::touch_role(state, &key.0, role, moment.now);
        }
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
