use portcullis_model::{Refused, TenantDomain, Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{State, Userdb};

/// Lets nobody sign in as a user for a while, because too many tried in vain. Tokens issued before stay good: who
/// guesses passwords must not be able to stop what works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockOutUser {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user.
    pub username: Username,
    /// Until when.
    pub until: Timestamp,
}

impl<C: Component> SubmittedBy<C> for LockOutUser where C: Writes<Userdb> {}

impl Command for LockOutUser {
    type Reply = ();

    fn subject(&self) -> String {
        self.username.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let user = people::user(&state.user, &self.tenant, &self.username).cloned();
        let user = user.ok_or_else(|| Refused::not_found("user", &self.username))?;
        people::touch_user(state, &user, moment.now, |profile| {
            profile.locked_until = Some(profile.locked_until.map_or(self.until, |before| before.max(self.until)));
        });
        Ok(())
    }
}
