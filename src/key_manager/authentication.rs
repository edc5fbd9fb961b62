//! Says who is behind credentials shown to the management port. What the caller may do there is the component's to ask.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::LockOutUser;
use portcullis_database::handle::View;
use portcullis_database::{Caller, Userdb, federation, people};
use portcullis_model::identity_provider::Vouched;
use portcullis_model::port::{Authentication, AuthenticationRefusal, Credentials, Identity, PortFuture};
use portcullis_model::{IdentityProviderId, Principal, User};

use crate::authority::{Authority, active_user, split_username};
use crate::bound::USERNAME_BYTES_MAX;
use crate::browser_messages::Cookie;
use crate::directory::Directory;
use crate::known_token::NotGood;
use crate::password::{Check, UserKey};
use crate::rest_scope;
use crate::sign_in_notes::{BAD_PASSWORD, LOCKED_OUT};

impl Authentication for Authority {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        self.authenticate_from(credentials, None)
    }

    fn authenticate_from<'a>(
        &'a self,
        credentials: Credentials<'a>,
        origin: Option<IpAddr>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        Box::pin(async move {
            match credentials {
                Credentials::Basic { username, password } => {
                    let user = self.sign_in_from(username, password, origin).await?;
                    Ok(self.identities.of(user, &self.handle.view()))
                }
                Credentials::Bearer(token) => self.identify_bearer(token).await,
                Credentials::SignIn(cookie) => {
                    let signed_in = self.signed_in(Some(&Cookie(cookie.to_owned()))).await;
                    let user = signed_in.ok_or(AuthenticationRefusal::Invalid)?.user;
                    Ok(self.identities.of(user, &self.handle.view()))
                }
            }
        })
    }
}

impl Authority {
    /// Returns the user behind a name (`user` or `user@tenant`) and a password. Who guesses from an address is slowed down, and
    /// what was tried is noted.
    pub async fn sign_in_from(
        &self,
        username: &str,
        password: &str,
        origin: Option<IpAddr>,
    ) -> Result<Arc<User>, AuthenticationRefusal> {
        if username.len() > USERNAME_BYTES_MAX {
            return Err(AuthenticationRefusal::Invalid);
        }
        let view = self.handle.view();
        let key = split_username(&view, username);
        let user = active_user(&view, &key.0, &key.1);
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let locked_until = user.as_ref().and_then(|user| people::locked_until(view.read(), user));
        if locked_until.is_some_and(|until| self.now(&view) < until) {
            // Refused as a wrong password is, and as late, so that who guesses does not hear that the user is there.
            self.passwords.check(&key, password, None, origin).await;
            self.sign_ins.note(&key, origin, Some(LOCKED_OUT));
            return Err(AuthenticationRefusal::Invalid);
        }
        if let Some(directory) = self.directory.as_ref().filter(|_| is_of_directory(&view, &key)) {
            return Box::pin(self.sign_in_by_directory(directory, &key, password, origin)).await;
        }
        match (self.passwords.check(&key, password, hash, origin).await, user) {
            (Check::Good { is_new }, Some(user)) => {
                if is_new {
                    self.sign_ins.note(&key, origin, None);
                }
                Ok(user)
            }
            (Check::NotNow, _) => Err(AuthenticationRefusal::Unavailable),
            (Check::Bad { in_a_row }, user) => {
                self.sign_ins.note(&key, origin, Some(BAD_PASSWORD));
                if let Some(user) = user {
                    self.lock_out_after(in_a_row, &user).await;
                }
                Err(AuthenticationRefusal::Invalid)
            }
            (Check::Good { .. }, None) => Err(AuthenticationRefusal::Invalid),
        }
    }

    /// Signs in somebody whom the directory knows.
    async fn sign_in_by_directory(
        &self,
        directory: &Directory,
        key: &UserKey,
        password: &str,
        origin: Option<IpAddr>,
    ) -> Result<Arc<User>, AuthenticationRefusal> {
        let ask = async {
            directory.sign_in(&key.1.0, password).await.inspect_err(|cause| {
                tracing::warn!(%cause, url = directory.settings.url, "the directory does not say who signs in");
            })
        };
        let user = || active_user(&self.handle.view(), &key.0, &key.1);
        match self.passwords.check_elsewhere(key, password, origin, ask).await {
            (Check::Good { is_new: false }, _) => user().ok_or(AuthenticationRefusal::Invalid),
            (Check::Good { is_new: true }, Some(person)) => {
                let vouched = Vouched {
                    subject: key.1.0.clone(),
                    username: key.1.clone(),
                    email: person.email,
                    roles: directory.roles_of(&person.groups),
                    attributes: "{}".to_owned(),
                };
                let makes_one = user().is_none();
                let admitted = self.admit(&key.0, directory_id(), vouched, None, makes_one, origin).await;
                admitted.map_err(|error| match error.status {
                    503 => AuthenticationRefusal::Unavailable,
                    _ => AuthenticationRefusal::Invalid,
                })
            }
            (Check::NotNow, _) => Err(AuthenticationRefusal::Unavailable),
            (Check::Bad { in_a_row }, _) => {
                self.sign_ins.note(key, origin, Some(BAD_PASSWORD));
                if let Some(user) = user() {
                    self.lock_out_after(in_a_row, &user).await;
                }
                Err(AuthenticationRefusal::Invalid)
            }
            (Check::Good { .. }, None) => Err(AuthenticationRefusal::Invalid),
        }
    }

    /// Locks a user out for a while, on every node, after so many failed sign-ins in a row at this one.
    async fn lock_out_after(&self, in_a_row: u32, user: &User) {
        let Some(lock_out) = self.settings.lock_out else { return };
        if in_a_row < lock_out.failures {
            return;
        }
        let view = self.handle.view();
        let command = LockOutUser {
            tenant: user.tenant.clone(),
            username: user.username.clone(),
            until: self.now(&view).after(lock_out.lasts),
        };
        if let Err(failed) = self.handle.submit(command, &Caller::system()).await {
            tracing::warn!(%failed, "a user could not be locked out after failed sign-ins");
        }
    }

    /// Says whether a user may administer the tenant.
    pub fn may_administer(&self, user: &User) -> bool {
        let view = self.handle.view();
        rest_scope::is_allowed(rest_scope::config(&view, &user.tenant), "apim:admin", &user.roles)
    }

    /// Returns who is behind a token: its user, or the owner of its client for a client's own token.
    async fn identify_bearer(&self, token: &str) -> Result<Identity, AuthenticationRefusal> {
        let token = self.know_surely(token).await.map_err(|fault| match fault {
            NotGood::Expired => AuthenticationRefusal::Expired,
            NotGood::NotHeardOf { is_ours: true } => AuthenticationRefusal::Unavailable,
            NotGood::NotHeardOf { is_ours: false } | NotGood::Unknown => AuthenticationRefusal::Invalid,
        })?;
        // This port takes no proofs: a bound token is no bearer token.
        if token.binding().is_some() {
            return Err(AuthenticationRefusal::Invalid);
        }
        let user = match token.user {
            Some(user) => user,
            None => active_user(&self.handle.view(), &token.client.tenant, &token.client.owner)
                .ok_or(AuthenticationRefusal::Invalid)?,
        };
        // A role that was taken away takes its scopes out of the tokens issued before.
        let view = self.handle.view();
        let config = rest_scope::config(&view, &user.tenant);
        let is_still_allowed = |scope: &String| {
            !rest_scope::is_rest_scope(config, scope) || rest_scope::is_allowed(config, scope, &user.roles)
        };
        let scopes = token.scopes.into_iter().filter(is_still_allowed).collect();
        Ok(identity(&user, scopes))
    }
}

/// The identity provider that the directory is: the same on every node, and nobody's who is registered.
fn directory_id() -> IdentityProviderId {
    IdentityProviderId::of_names(&["the directory of the configuration"])
}

/// Says whether the directory is asked about a user: of those of the first tenant about everybody whom nobody knows here, and
/// those who came by it. Whoever is locked is not asked about.
fn is_of_directory(view: &View<Access>, (tenant, username): &UserKey) -> bool {
    let users = view.read::<Userdb>();
    if !tenant.is_super() {
        return false;
    }
    match people::user(users, tenant, username) {
        None => is_name(&username.0),
        Some(user) => {
            let linked = federation::linked(users, &(tenant.clone(), directory_id(), username.0.clone()));
            !user.is_locked && linked.is_some_and(|linked| linked.is_provisioned)
        }
    }
}

/// Says whether a user may have this name.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c))
}

/// Returns who is behind a token with `scopes`.
fn identity(user: &User, scopes: Arc<[String]>) -> Identity {
    Identity {
        principal: Principal { tenant: user.tenant.clone(), username: user.username.clone() },
        roles: user.roles.as_slice().into(),
        scopes,
        origin: None,
        is_token: true,
    }
}
