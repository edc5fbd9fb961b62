//! Subscribers change their own password here. Whether the present one is right is the Key Manager's to say.

use std::fmt;
use std::sync::Arc;

use portcullis_database::{Userdb, command, people};
use portcullis_http::Stamped;
use portcullis_model::port::{Authentication, AuthenticationRefusal, Credentials};
use portcullis_model::{PasswordPolicy, Refused};

use crate::actor::{Desk, Request};
use crate::error::StoreError;
use crate::messages::ChangePassword;

/// How passwords are checked and made.
#[derive(Clone)]
pub struct Passwords {
    /// The Key Manager's end.
    pub authentication: Arc<dyn Authentication>,
    /// Makes the stored form of a password. Slow: called on a thread for blocking work.
    pub hash: fn(&str) -> String,
    /// What a new one must be like.
    pub policy: PasswordPolicy,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

impl Request for ChangePassword {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Stamped<()>, StoreError> {
        let Self { by, current, new } = self;
        let (tenant, username) = (by.principal.tenant.clone(), by.principal.username.clone());
        let wrong = || Refused::invalid("currentPassword", "is not the password of this user");
        let user = people::user(desk.view().read::<Userdb>(), &tenant, &username).cloned().ok_or_else(wrong)?;
        let name = format!("{username}@{tenant}");
        let shown = Credentials::Basic { username: &name, password: &current };
        desk.passwords.authentication.authenticate(shown).await.map_err(|refusal| match refusal {
            AuthenticationRefusal::Unavailable => StoreError::PasswordNotChecked,
            AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired => wrong().into(),
        })?;
        let unfit = |reason: String| Refused::invalid("newPassword", reason);
        desk.passwords.policy.check(&username.0, &new).map_err(unfit)?;
        let hash = desk.passwords.hash;
        let hashed = tokio::task::spawn_blocking(move || hash(&new)).await;
        let mut change = command::UpdateUser::of(tenant, username);
        change.password_hash = Some(hashed.map_err(|_| StoreError::PasswordNotChecked)?);
        // Whoever set another one in the meantime wins.
        change.replaces_hash = Some(user.password_hash.clone());
        let made = desk.submit(change, &by).await?;
        Ok(Stamped { body: (), index: made.index, unreached: made.unreached })
    }
}
