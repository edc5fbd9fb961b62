use std::fmt;
use std::sync::Arc;

use portcullis_model::identity_provider::{FederatedUser, SUBJECT_CHARS_MAX, Vouched};
use portcullis_model::limit::USERS_MAX;
use portcullis_model::{IdentityProviderId, Refused, Role, TenantDomain, User, UserId, UserProfile, Username};
use serde::{Deserialize, Serialize};

use super::create_user::check_size;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Generation, State, Userdb};
use crate::{federation, people};

/// Lets somebody in whom an identity provider vouches for: as the user they were before, as one that they are linked to now,
/// or as a new one. Brings the roles and attributes of users that were made so up to date.
#[derive(Clone, Serialize, Deserialize)]
pub struct AdmitUser {
    /// The tenant.
    pub tenant: TenantDomain,
    /// Who vouches: an identity provider of the tenant, or the directory of the configuration.
    pub provider: IdentityProviderId,
    /// For whom.
    pub vouched: Vouched,
    /// The user that they are, where they were none before.
    pub linked_to: Option<Username>,
    /// The hash of a password that nobody knows, for a new user; `None` where none is made.
    pub new_password_hash: Option<String>,
}

impl fmt::Debug for AdmitUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdmitUser({} by {})", self.vouched.subject, self.provider)
    }
}

impl<C: Component> SubmittedBy<C> for AdmitUser where C: Writes<Userdb> {}

impl Command for AdmitUser {
    /// The user.
    type Reply = Username;
    /// Who lost a role at the identity provider has lost what it allowed.
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} by {}", self.vouched.username, self.provider)
    }

    fn apply(mut self, state: &mut State, moment: &Moment) -> Result<Username, Refused> {
        if self.vouched.subject.is_empty() || self.vouched.subject.chars().count() > SUBJECT_CHARS_MAX {
            let what = "characters of a subject".to_owned();
            return Err(Refused::LimitReached { what, max: SUBJECT_CHARS_MAX as u64 });
        }
        check_size(&self.vouched.attributes)?;
        self.vouched.roles = known_roles(state, &self.tenant, &self.vouched.roles);
        let key = (self.tenant.clone(), self.provider, self.vouched.subject.clone());
        let linked = federation::linked(&state.user, &key).cloned();
        let federated = match linked {
            Some(linked) => linked,
            None => Arc::new(self.link(state, moment)?),
        };
        if federated.is_provisioned {
            self.refresh(state, &federated.username, moment);
        }
        let username = federated.username.clone();
        state.user.federated_users.insert(key, federated);
        Ok(username)
    }
}

impl AdmitUser {
    /// Finds or makes the user of somebody who was none before.
    fn link(&self, state: &mut State, moment: &Moment) -> Result<FederatedUser, Refused> {
        if let Some(username) = &self.linked_to {
            people::user(&state.user, &self.tenant, username).ok_or_else(|| Refused::not_found("user", username))?;
            return Ok(FederatedUser { username: username.clone(), since: moment.now, is_provisioned: false });
        }
        let username = self.vouched.username.clone();
        if people::user(&state.user, &self.tenant, &username).is_some() {
            return Err(Refused::exists("user", &username));
        }
        let Some(hash) = &self.new_password_hash else { return Err(Refused::not_found("user", &username)) };
        if state.user.users.len() >= USERS_MAX {
            return Err(Refused::LimitReached { what: "users".to_owned(), max: USERS_MAX as u64 });
        }
        let user = User {
            tenant: self.tenant.clone(),
            username: username.clone(),
            password_hash: hash.clone(),
            roles: Vec::new(),
            email: self.vouched.email.clone(),
            is_locked: false,
            created_at: moment.now,
        };
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&moment.random[..16]);
        let id = UserId::from_random(bytes);
        let attributes = self.vouched.attributes.clone();
        let profile = UserProfile { id, attributes, modified_at: moment.now, version: 1, locked_until: None };
        let key = (self.tenant.clone(), username.clone());
        state.user.user_ids.insert((self.tenant.clone(), id), username.clone());
        state.user.profiles.insert(key.clone(), Arc::new(profile));
        state.user.users.insert(key, Arc::new(user));
        Ok(FederatedUser { username, since: moment.now, is_provisioned: true })
    }

    /// Brings a user who was made so up to date. The last administrator stays one.
    fn refresh(&self, state: &mut State, username: &Username, moment: &Moment) {
        let Some(before) = people::user(&state.user, &self.tenant, username).cloned() else { return };
        let mut user = User::clone(&before);
        user.email.clone_from(&self.vouched.email);
        user.roles.clone_from(&self.vouched.roles);
        let admin = Role(Role::ADMIN.to_owned());
        if !user.roles.contains(&admin) && people::check_administrator_left(state, &before).is_err() {
            user.roles.push(admin);
        }
        user.roles.sort();
        user.roles.dedup();
        let profile = people::profile_of(&state.user, &before);
        if user == *before && profile.attributes == self.vouched.attributes {
            return;
        }
        for role in user.roles.iter().chain(&before.roles) {
            if user.roles.contains(role) != before.roles.contains(role) {
                people::touch_role(state, &self.tenant, role, moment.now);
            }
        }
        people::touch_user(state, &user, moment.now, |profile| profile.attributes.clone_from(&self.vouched.attributes));
        state.user.users.insert((self.tenant.clone(), username.clone()), Arc::new(user));
        state.deployed.advance(Generation::Keys);
    }
}

/// Returns the roles that the tenant has, at most as many as a user may hold.
fn known_roles(state: &State, tenant: &TenantDomain, roles: &[Role]) -> Vec<Role> {
    let is_known = |role: &&Role| state.user.roles.contains_key(&(tenant.clone(), (*role).clone()));
    roles.iter().filter(is_known).take(portcullis_model::limit::ROLES_PER_USER_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use portcullis_model::identity_provider::IdentityProvider;
    use portcullis_model::Timestamp;

    use super::super::store_fixture::Fixture;
    use super::super::{CreateUser, DeleteIdentityProvider, DeleteUser, PutIdentityProvider};
    use super::*;

    fn tenant() -> TenantDomain {
        TenantDomain::super_tenant()
    }

    fn id() -> IdentityProviderId {
        IdentityProviderId::from_random([1; 16])
    }

    fn world() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.state.user.tenants.insert(tenant(), Timestamp(0));
        for role in Role::SYSTEM {
            fixture.state.user.roles.insert((tenant(), Role(role.to_owned())), ());
        }
        let provider = IdentityProvider {
            id: id(),
            tenant: tenant(),
            name: "Partner".to_owned(),
            document: "{}".to_owned(),
            secret: None,
            is_enabled: true,
            created_at: Timestamp(0),
        };
        fixture.apply(PutIdentityProvider { provider, is_new: true }).unwrap();
        fixture
    }

    fn admit(subject: &str, name: &str, roles: &[&str]) -> AdmitUser {
        AdmitUser {
            tenant: tenant(),
            provider: id(),
            vouched: Vouched {
                subject: subject.to_owned(),
                username: Username(name.to_owned()),
                email: format!("{name}@example.com"),
                roles: roles.iter().map(|role| Role((*role).to_owned())).collect(),
                attributes: "{}".to_owned(),
            },
            linked_to: None,
            new_password_hash: Some("hash".to_owned()),
        }
    }

    fn local(name: &str) -> CreateUser {
        let user = User {
            tenant: tenant(),
            username: Username(name.to_owned()),
            password_hash: "own".to_owned(),
            roles: vec![Role(Role::SUBSCRIBER.to_owned())],
            email: String::new(),
            is_locked: false,
            created_at: Timestamp(0),
        };
        CreateUser { user, attributes: "{}".to_owned() }
    }

    fn roles_of(fixture: &Fixture, name: &str) -> Vec<String> {
        let user = people::user(&fixture.state.user, &tenant(), &Username(name.to_owned())).unwrap();
        user.roles.iter().map(|role| role.0.clone()).collect()
    }

    #[test]
    fn who_comes_for_the_first_time_is_made_and_has_the_roles_that_are_said_each_time() {
        let mut fixture = world();
        let came = fixture.apply(admit("s-1", "ann", &["Internal/creator", "no-such-role"])).unwrap();
        assert_eq!((came.0.as_str(), roles_of(&fixture, "ann")), ("ann", vec!["Internal/creator".to_owned()]));
        // Another name at the identity provider does not make somebody else of them.
        let came = fixture.apply(admit("s-1", "anna", &["Internal/publisher"])).unwrap();
        assert_eq!((came.0.as_str(), roles_of(&fixture, "ann")), ("ann", vec!["Internal/publisher".to_owned()]));
        let not_made = AdmitUser { new_password_hash: None, ..admit("s-2", "bob", &[]) };
        assert!(matches!(fixture.apply(not_made), Err(Refused::NotFound { .. })));
    }

    #[test]
    fn nobody_becomes_a_user_who_was_there_before_unless_linked_and_then_keeps_the_roles() {
        let mut fixture = world();
        fixture.apply(local("ann")).unwrap();
        assert!(matches!(fixture.apply(admit("s-1", "ann", &["admin"])), Err(Refused::AlreadyExists { .. })));
        let linked = AdmitUser { linked_to: Some(Username("ann".to_owned())), ..admit("s-1", "x", &["admin"]) };
        assert_eq!(fixture.apply(linked).unwrap().0, "ann");
        assert_eq!(fixture.apply(admit("s-1", "x", &["admin"])).unwrap().0, "ann");
        assert_eq!(roles_of(&fixture, "ann"), ["Internal/subscriber"]);
    }

    #[test]
    fn a_link_leads_to_no_other_user_of_that_name_and_goes_with_its_provider() {
        let mut fixture = world();
        fixture.apply(admit("s-1", "ann", &[])).unwrap();
        let delete = |name: &str| DeleteUser {
            tenant: tenant(),
            username: Username(name.to_owned()),
            expected_version: None,
        };
        fixture.apply(delete("ann")).unwrap();
        fixture.apply(local("ann")).unwrap();
        assert!(matches!(fixture.apply(admit("s-1", "ann", &["admin"])), Err(Refused::AlreadyExists { .. })));
        fixture.apply(admit("s-2", "bob", &[])).unwrap();
        fixture.apply(DeleteIdentityProvider { tenant: tenant(), id: id() }).unwrap();
        assert!(fixture.state.user.federated_users.is_empty());
        let again = DeleteIdentityProvider { tenant: tenant(), id: id() };
        assert!(matches!(fixture.apply(again), Err(Refused::NotFound { .. })));
    }
}
