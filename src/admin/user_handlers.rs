//! Handles what is asked about users: list, create, set a password. Signing in is the Key Manager's.

use std::sync::Arc;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::handle::View;
use portcullis_database::{Committed, Userdb, access, command};
use portcullis_model::{Refused, Role, TenantDomain, Timestamp, User, Username};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangeUser, CreateUser, ListUsers, Password, SetPassword, UserChange};
use crate::scim::{Passwords, check_username};

/// The feature level that brought profiles of users.
const PROFILES_SINCE: u32 = 2;
/// Characters of an address for notices (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;

impl Handler<ListUsers> for Admin {
    type Result = Vec<Arc<User>>;

    fn handle(&mut self, message: ListUsers, _context: &mut Context<Self>) -> Self::Result {
        let first = (message.tenant.clone(), Username(String::new()));
        let view = self.handle.view();
        let users = view.read::<Userdb>().users.range(first..);
        users.take_while(|(key, _)| key.0 == message.tenant).map(|(_, user)| Arc::clone(user)).collect()
    }
}

impl Handler<CreateUser> for Admin {
    type Result = ResponseFuture<Result<Committed<Arc<User>>, AdminError>>;

    fn handle(&mut self, message: CreateUser, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        let passwords = self.passwords;
        Box::pin(async move {
            let CreateUser { caller, username, password, roles, email } = message;
            let tenant = caller.principal.tenant.clone();
            check_username(&username)?;
            check_password(passwords, &username, &password)?;
            check_email(&email)?;
            check_roles(&handle.view(), &tenant, &roles)?;
            if user_of(&handle.view(), &tenant, &username).is_ok() && caller.idempotency.is_none() {
                return Err(Refused::exists("user", &username).into());
            }
            let user = User {
                tenant: tenant.clone(),
                username: username.clone(),
                password_hash: hashed(passwords, password).await?,
                roles,
                email,
                is_locked: false,
                created_at: Timestamp::default(),
            };
            // A cluster that is being upgraded has no profiles yet.
            let (index, unreached) = if handle.view().feature_level() < PROFILES_SINCE {
                let made = handle.submit(command::PutUser { user, is_new: true }, &caller).await?;
                (made.index, made.unreached)
            } else {
                let command = command::CreateUser { user, attributes: "{}".to_owned() };
                let made = handle.submit(command, &caller).await?;
                (made.index, made.unreached)
            };
            let reply = user_of(&handle.view(), &tenant, &username)?;
            Ok(Committed { reply, index, unreached })
        })
    }
}

impl Handler<ChangeUser> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: ChangeUser, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let ChangeUser { caller, username, change } = message;
            let tenant = caller.principal.tenant.clone();
            Ok(match change {
                UserChange::Grant(role) => {
                    let change = command::ChangeRole { add: vec![username], ..command::ChangeRole::of(tenant, role) };
                    handle.submit(change, &caller).await?
                }
                UserChange::Revoke(role) => {
                    let change =
                        command::ChangeRole { remove: vec![username], ..command::ChangeRole::of(tenant, role) };
                    handle.submit(change, &caller).await?
                }
                UserChange::Lock(is_locked) => {
                    let update = command::UpdateUser::of(tenant, username);
                    let done =
                        handle.submit(command::UpdateUser { is_locked: Some(is_locked), ..update }, &caller).await?;
                    Committed { reply: (), index: done.index, unreached: done.unreached }
                }
                UserChange::Delete => {
                    let delete = command::DeleteUser { tenant, username, expected_version: None };
                    handle.submit(delete, &caller).await?
                }
            })
        })
    }
}

impl Handler<SetPassword> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: SetPassword, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        let passwords = self.passwords;
        Box::pin(async move {
            let SetPassword { caller, username, password } = message;
            let tenant = caller.principal.tenant.clone();
            check_password(passwords, &username, &password)?;
            user_of(&handle.view(), &tenant, &username)?;
            let password_hash = hashed(passwords, password).await?;
            // Read after the slow hashing, so that a change of the user in the meantime is kept.
            let user = user_of(&handle.view(), &tenant, &username)?;
            let user = User { password_hash, ..user.as_ref().clone() };
            Ok(handle.submit(command::PutUser { user, is_new: false }, &caller).await?)
        })
    }
}

/// Hashes a password on a thread for blocking work: it is slow on purpose.
async fn hashed(passwords: Passwords, password: Password) -> Result<String, AdminError> {
    let hash = passwords.hash;
    let work = tokio::task::spawn_blocking(move || hash(&password.0));
    work.await.map_err(|_| AdminError::WorkLost("the password"))
}

fn user_of(view: &View<access::Admin>, tenant: &TenantDomain, username: &Username) -> Result<Arc<User>, Refused> {
    let found = view.read::<Userdb>().users.get(&(tenant.clone(), username.clone()));
    found.cloned().ok_or_else(|| Refused::not_found("user", username))
}

fn check_password(passwords: Passwords, username: &Username, password: &Password) -> Result<(), Refused> {
    passwords.policy.check(&username.0, &password.0).map_err(|reason| Refused::invalid("password", reason))
}

pub(crate) fn check_email(email: &str) -> Result<(), Refused> {
    let has_both_sides =
        email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    let is_plain = !email.contains(|one: char| one.is_whitespace() || one.is_control());
    if email.is_empty() || (has_both_sides && is_plain && email.len() <= EMAIL_CHARS_MAX) {
        return Ok(());
    }
    Err(Refused::invalid(
        "email",
        format!("must be an address such as ann@example.com, at most {EMAIL_CHARS_MAX} characters"),
    ))
}

fn check_roles(view: &View<access::Admin>, tenant: &TenantDomain, roles: &[Role]) -> Result<(), Refused> {
    let known = &view.read::<Userdb>().roles;
    let Some(unknown) = roles.iter().find(|role| !known.contains_key(&(tenant.clone(), (*role).clone()))) else {
        return Ok(());
    };
    let names = known.keys().filter(|key| key.0 == *tenant).map(|key| key.1.0.as_str()).collect::<Vec<_>>();
    Err(Refused::invalid("roles", format!("there is no role `{}`; there are {}", unknown.0, names.join(", "))))
}
