//! Handles what is asked about tenants, their configuration, and signing up.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, ResponseFuture};
use portcullis_database::handle::{View, wall_clock};
use portcullis_database::{
    Apimgtdb, Caller, ClusterKey, Committed, Userdb, access, command, default_policies, organizations, people,
};
use portcullis_model::external_store::ExternalStores;
use portcullis_model::organization::named_in;
use portcullis_model::{Principal, Refused, Role, TenantConfig, TenantDomain, Timestamp, User, Username};
use serde_json::Value;

use super::messages::{
    CreateTenant, KnownTenant, ListTenants, MakeResetCode, PutConfig, ReadConfig, ResetCode, RolesOf, SetTenantActive,
    SignUp, UnknownRoles, UseResetCode,
};
use super::recovery;
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::scim::{Passwords, check_username};
use crate::user_handlers::check_email;

/// How long a change of a configuration waits for what was acknowledged before it.
const FRESH_WITHIN: Duration = Duration::from_secs(5);
/// Characters of a domain (RFC 1035).
const DOMAIN_CHARS: RangeInclusive<usize> = 1..=253;

/// Refuses what is no domain that a tenant may have.
fn check_domain(domain: &TenantDomain) -> Result<(), Refused> {
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (1..=63).contains(&label.len()) && is_plain && !label.starts_with('-') && !label.ends_with('-')
    };
    if DOMAIN_CHARS.contains(&domain.0.len()) && domain.0.split('.').all(is_label) {
        return Ok(());
    }
    let wanted = "must be a domain in small letters, such as example.com: letters, digits, hyphens and dots";
    Err(Refused::invalid("domain", wanted))
}

fn known(data: &Userdb, domain: &TenantDomain) -> Option<KnownTenant> {
    let record = people::tenant_record(data, domain)?;
    let owner = people::user(data, domain, &record.owner);
    let owner_id = owner.map(|owner| people::profile_of(data, owner).id);
    let owner_email = owner.map(|owner| owner.email.clone()).unwrap_or_default();
    Some(KnownTenant { domain: domain.clone(), record, owner_id, owner_email })
}

/// Returns the stored form of a new password, or why it is not acceptable.
async fn hashed(passwords: Passwords, username: &Username, password: String) -> Result<String, AdminError> {
    passwords.policy.check(&username.0, &password).map_err(|reason| Refused::invalid("password", reason))?;
    let work = tokio::task::spawn_blocking(move || (passwords.hash)(&password));
    work.await.map_err(|_| AdminError::WorkLost("the password"))
}

fn user_of(view: &View<access::Admin>, tenant: &TenantDomain, username: &Username) -> Result<Arc<User>, Refused> {
    let found = people::user(view.read::<Userdb>(), tenant, username);
    found.cloned().ok_or_else(|| Refused::not_found("user", username))
}

impl Handler<ListTenants> for Admin {
    type Result = Vec<KnownTenant>;

    fn handle(&mut self, _: ListTenants, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let data = view.read::<Userdb>();
        data.tenants.keys().filter_map(|domain| known(data, domain)).collect()
    }
}

impl Handler<CreateTenant> for Admin {
    type Result = ResponseFuture<Result<Committed<KnownTenant>, AdminError>>;

    fn handle(&mut self, message: CreateTenant, _context: &mut Context<Self>) -> Self::Result {
        let (handle, passwords) = (self.handle.clone(), self.passwords);
        Box::pin(async move {
            let CreateTenant { caller, domain, owner, password, email, attributes } = message;
            check_domain(&domain)?;
            check_username(&owner)?;
            check_email(&email)?;
            if handle.view().read::<Userdb>().tenants.contains_key(&domain) && caller.idempotency.is_none() {
                return Err(Refused::exists("tenant", &domain).into());
            }
            let owner = User {
                tenant: domain.clone(),
                password_hash: hashed(passwords, &owner, password).await?,
                username: owner,
                roles: Vec::new(),
                email,
                is_locked: false,
                created_at: Timestamp::default(),
            };
            let command = command::CreateTenant {
                domain: domain.clone(),
                owner,
                attributes: Value::Object(attributes).to_string(),
                policies: default_policies::of_new_tenant(&domain),
            };
            let Committed { index, unreached, .. } = handle.submit(command, &caller).await?;
            let reply = known(handle.view().read::<Userdb>(), &domain);
            let reply = reply.ok_or_else(|| Refused::not_found("tenant", &domain))?;
            Ok(Committed { reply, index, unreached })
        })
    }
}

impl Handler<SetTenantActive> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: SetTenantActive, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move {
            let SetTenantActive { caller, domain, is_active } = message;
            Ok(handle.submit(command::SetTenantActive { domain, is_active }, &caller).await?)
        })
    }
}

impl Handler<ReadConfig> for Admin {
    type Result = Option<Arc<TenantConfig>>;

    fn handle(&mut self, message: ReadConfig, _context: &mut Context<Self>) -> Self::Result {
        self.handle.view().read::<Userdb>().tenant_configs.get(&message.tenant).cloned()
    }
}

impl Handler<PutConfig> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: PutConfig, _context: &mut Context<Self>) -> Self::Result {
        let (handle, key) = (self.handle.clone(), self.key.clone());
        Box::pin(async move {
            let PutConfig { caller, expected, mut config } = message;
            let domain = caller.principal.tenant.clone();
            // Whose passwords are kept must be what was acknowledged last.
            let view = handle.linearizable_view(FRESH_WITHIN).await?;
            let before = view.read::<Userdb>().tenant_configs.get(&domain).cloned();
            seal_passwords(&mut config, before.as_deref(), &key)?;
            Ok(handle.submit(command::PutTenantConfig { domain, expected, config }, &caller).await?)
        })
    }
}

/// Seals the passwords for stores of other systems. One that is blank, or sealed already, is the one that was there.
///
/// # Errors
/// Where a password would be kept for another user or another system than it was given for: whoever may change the
/// configuration may not learn it.
fn seal_passwords(config: &mut TenantConfig, before: Option<&TenantConfig>, key: &ClusterKey) -> Result<(), Refused> {
    let read = |document: &str| serde_json::from_str::<Value>(document).unwrap_or_default();
    let stores_of = |document: &Value| document.as_object().and_then(|document| ExternalStores::read(document).ok());
    let stores = before.and_then(|before| stores_of(&read(&before.document))).unwrap_or_default().stores;
    let mut document = read(&config.document);
    if document.get("ExternalAPIStores").is_none() {
        return Ok(());
    }
    for (number, now) in stores_of(&document).unwrap_or_default().stores.iter().enumerate() {
        let Some(before) = stores.iter().find(|store| store.id == now.id) else { continue };
        let is_kept = !before.password.is_empty() && (now.password.is_empty() || now.password == before.password);
        if is_kept && !now.is_same_account(before) {
            let field = format!("ExternalAPIStores.ExternalAPIStore[{number}].Password");
            return Err(Refused::invalid(&field, "must be given again, since Endpoint or Username changed"));
        }
    }
    ExternalStores::replace_passwords(&mut document, |id, password| {
        let before = stores.iter().find(|store| store.id == id).map(|store| store.password.as_str());
        match before {
            Some(before) if password.is_empty() || password == before => before.to_owned(),
            _ if password.is_empty() => String::new(),
            _ => key.seal(password.as_bytes()).to_text(),
        }
    });
    config.document = document.to_string();
    Ok(())
}

impl Handler<RolesOf> for Admin {
    type Result = Option<Vec<Role>>;

    fn handle(&mut self, message: RolesOf, _context: &mut Context<Self>) -> Self::Result {
        user_of(&self.handle.view(), &message.tenant, &message.username).ok().map(|user| user.roles.clone())
    }
}

impl Handler<UnknownRoles> for Admin {
    type Result = Vec<Role>;

    fn handle(&mut self, message: UnknownRoles, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let roles = &view.read::<Userdb>().roles;
        message.roles.into_iter().filter(|role| !roles.contains_key(&(message.tenant.clone(), role.clone()))).collect()
    }
}

impl Handler<SignUp> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: SignUp, _context: &mut Context<Self>) -> Self::Result {
        let (handle, passwords) = (self.handle.clone(), self.passwords);
        Box::pin(async move {
            let SignUp { origin, request, tenant, username, password, email, attributes } = message;
            let view = handle.view();
            let data = view.read::<Userdb>();
            if !people::is_active(data, &tenant) {
                return Err(Refused::not_found("tenant", &tenant).into());
            }
            let roles = TenantConfig::sign_up_roles(data.tenant_configs.get(&tenant).map(AsRef::as_ref));
            let mut roles = roles.ok_or_else(|| Refused::NotAllowed {
                reason: format!("nobody signs up to {tenant} by himself: ask an administrator"),
            })?;
            roles.push(Role(Role::EVERYONE.to_owned()));
            check_username(&username)?;
            check_email(&email)?;
            if people::user(data, &tenant, &username).is_some() {
                return Err(Refused::exists("user", &username).into());
            }
            let attributes = Value::Object(attributes).to_string();
            let has_organizations = organizations::of_tenant(view.read::<Apimgtdb>(), &tenant).next().is_some();
            if has_organizations && named_in(&attributes).is_some() {
                let reason = "must not be sent: an administrator says who belongs to which organization";
                return Err(Refused::invalid("organization", reason).into());
            }
            let principal = Principal { tenant: tenant.clone(), username: username.clone() };
            let user = User {
                tenant,
                password_hash: hashed(passwords, &username, password).await?,
                username,
                roles,
                email,
                is_locked: false,
                created_at: Timestamp::default(),
            };
            let command = command::SignUpUser { user, attributes };
            let Committed { index, unreached, .. } =
                handle.submit(command, &Caller::new(principal).from_address(origin).of_request(request)).await?;
            Ok(Committed { reply: (), index, unreached })
        })
    }
}

impl Handler<MakeResetCode> for Admin {
    type Result = Result<ResetCode, AdminError>;

    fn handle(&mut self, message: MakeResetCode, _context: &mut Context<Self>) -> Self::Result {
        let user = user_of(&self.handle.view(), &message.tenant, &message.username)?;
        Ok(ResetCode { text: self.recovery.make(&user, wall_clock()), lives_s: recovery::LIVES_S })
    }
}

impl Handler<UseResetCode> for Admin {
    type Result = ResponseFuture<Result<Committed<()>, AdminError>>;

    fn handle(&mut self, message: UseResetCode, _context: &mut Context<Self>) -> Self::Result {
        let (handle, passwords, recovery) = (self.handle.clone(), self.passwords, self.recovery.clone());
        Box::pin(async move {
            let not_good = || Refused::invalid("key", "the code is unknown, spent or over: ask for another");
            let (tenant, username, replaces) = recovery.read(&message.text, wall_clock()).ok_or_else(not_good)?;
            let view = handle.view();
            let user = user_of(&view, &tenant, &username).map_err(|_| not_good())?;
            if !replaces.is_of(&user) || !people::is_active(view.read::<Userdb>(), &tenant) {
                return Err(not_good().into());
            }
            let mut change = command::UpdateUser::of(tenant.clone(), username.clone());
            change.password_hash = Some(hashed(passwords, &username, message.password).await?);
            change.replaces_hash = Some(user.password_hash.clone());
            let caller = Caller::new(Principal { tenant, username });
            let caller = caller.from_address(message.origin).of_request(message.request);
            let Committed { index, unreached, .. } = handle.submit(change, &caller).await?;
            Ok(Committed { reply: (), index, unreached })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_password_is_kept_for_the_user_and_the_system_that_it_was_given_for() {
        let key = ClusterKey::new([7; 32]);
        let with = |endpoint: &str, username: &str, password: &str| {
            let one = json!({"id": "Two", "Endpoint": endpoint, "Username": username, "Password": password});
            let mut document = TenantConfig::default_document();
            document["ExternalAPIStores"] = json!({"StoreURL": "https://one", "ExternalAPIStore": [one]});
            TenantConfig::read(&document).unwrap()
        };
        let mut before = with("https://two/devportal", "ann", "secret");
        seal_passwords(&mut before, None, &key).unwrap();
        let mut same = with("https://two/store", "ann", "");
        seal_passwords(&mut same, Some(&before), &key).unwrap();
        let password = |config: &TenantConfig| {
            let document: Value = serde_json::from_str(&config.document).unwrap();
            document["ExternalAPIStores"]["ExternalAPIStore"][0]["Password"].clone()
        };
        assert_eq!(password(&same), password(&before));
        let sealed = password(&before).as_str().unwrap().to_owned();
        for (endpoint, username, password) in [
            ("https://other/devportal", "ann", ""),
            ("https://other", "ann", sealed.as_str()),
            ("https://two", "bob", ""),
        ] {
            let mut moved = with(endpoint, username, password);
            let refused = seal_passwords(&mut moved, Some(&before), &key).unwrap_err().to_string();
            let told = "Password: must be given again, since Endpoint or Username changed";
            assert!(refused.contains(told), "{refused}");
        }
        seal_passwords(&mut with("https://other", "ann", "new"), Some(&before), &key).unwrap();
    }
}
