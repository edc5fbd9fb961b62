//! Users and roles as the state keeps them: rows of the first feature level, and beside them what later ones brought.

use std::sync::Arc;

use portcullis_model::{
    Refused, Role, RoleId, RoleRecord, TenantDomain, TenantRecord, Timestamp, User, UserId, UserProfile, Username,
};

use crate::level;
use crate::state::{State, Userdb};

/// The feature level that brought profiles and records.
const SINCE: u32 = 2;

/// Returns a user.
#[must_use]
pub fn user<'a>(people: &'a Userdb, tenant: &TenantDomain, username: &Username) -> Option<&'a Arc<User>> {
    people.users.get(&(tenant.clone(), username.clone()))
}

/// Returns the users of a tenant, by name.
pub fn users_of<'a>(people: &'a Userdb, tenant: &'a TenantDomain) -> impl Iterator<Item = &'a Arc<User>> {
    let first = (tenant.clone(), Username(String::new()));
    people.users.range(first..).take_while(move |(key, _)| key.0 == *tenant).map(|(_, user)| user)
}

/// Returns a user's profile.
#[must_use]
pub fn profile_of(people: &Userdb, user: &User) -> Arc<UserProfile> {
    let stored = people.profiles.get(&(user.tenant.clone(), user.username.clone()));
    stored.cloned().unwrap_or_else(|| Arc::new(UserProfile::of_old(user)))
}

/// Returns until when a user is locked out, where that was ever so. What every sign-in asks; the rest of a profile takes longer.
#[must_use]
pub fn locked_until(people: &Userdb, user: &User) -> Option<Timestamp> {
    people.profiles.get(&(user.tenant.clone(), user.username.clone())).and_then(|profile| profile.locked_until)
}

/// Returns the user of an id.
#[must_use]
pub fn user_by_id(people: &Userdb, tenant: &TenantDomain, id: UserId) -> Option<Arc<User>> {
    if let Some(username) = people.user_ids.get(&(tenant.clone(), id)) {
        return user(people, tenant, username).cloned();
    }
    // Those that were never changed since their feature level: few, and none with many others.
    let has_none = |user: &&Arc<User>| !people.profiles.contains_key(&(user.tenant.clone(), user.username.clone()));
    users_of(people, tenant).filter(has_none).find(|user| UserProfile::of_old(user).id == id).cloned()
}

/// Returns the roles of a tenant, by name.
pub fn roles_of<'a>(people: &'a Userdb, tenant: &'a TenantDomain) -> impl Iterator<Item = &'a Role> {
    let first = (tenant.clone(), Role(String::new()));
    people.roles.range(first..).take_while(move |(key, ())| key.0 == *tenant).map(|(key, ())| &key.1)
}

/// Returns what is known of a role; `None` where there is no such role.
#[must_use]
pub fn role_record(people: &Userdb, tenant: &TenantDomain, role: &Role) -> Option<Arc<RoleRecord>> {
    let key = (tenant.clone(), role.clone());
    people.roles.get(&key)?;
    Some(people.role_records.get(&key).cloned().unwrap_or_else(|| {
        let created_at = people.tenants.get(tenant).copied().unwrap_or_default();
        Arc::new(RoleRecord::of_old(tenant, role, created_at))
    }))
}

/// Returns the role of an id.
#[must_use]
pub fn role_by_id(people: &Userdb, tenant: &TenantDomain, id: RoleId) -> Option<Role> {
    roles_of(people, tenant)
        .find(|role| role_record(people, tenant, role).is_some_and(|record| record.id == id))
        .cloned()
}

/// Says whether a user holds a role.
#[must_use]
pub fn holds(user: &User, role: &Role) -> bool {
    role.0 == Role::EVERYONE || user.roles.contains(role)
}

/// Returns what is known of a tenant; `None` where there is no such tenant.
#[must_use]
pub fn tenant_record(people: &Userdb, domain: &TenantDomain) -> Option<Arc<TenantRecord>> {
    let created_at = *people.tenants.get(domain)?;
    let stored = people.tenant_records.get(domain).cloned();
    Some(stored.unwrap_or_else(|| Arc::new(TenantRecord::of_old(domain, created_at))))
}

/// Says whether a tenant's users may sign in and its APIs may be called.
#[must_use]
pub fn is_active(people: &Userdb, domain: &TenantDomain) -> bool {
    people.tenants.contains_key(domain) && people.tenant_records.get(domain).is_none_or(|record| record.is_active)
}

/// Notes that a user changed: the profile's version, and the id where the user had no profile. Nothing below the feature
/// level that brought profiles.
pub(crate) fn touch_user(state: &mut State, user: &User, now: Timestamp, change: impl FnOnce(&mut UserProfile)) -> u64 {
    if state.feature_level() < SINCE {
        return 0;
    }
    let key = (user.tenant.clone(), user.username.clone());
    let mut profile = profile_of(&state.user, user).as_ref().clone();
    profile.version += 1;
    profile.modified_at = now;
    change(&mut profile);
    let version = profile.version;
    state.user.user_ids.insert((user.tenant.clone(), profile.id), user.username.clone());
    state.user.profiles.insert(key, Arc::new(profile));
    version
}

/// Notes that a role, or who holds it, changed.
pub(crate) fn touch_role(state: &mut State, tenant: &TenantDomain, role: &Role, now: Timestamp) {
    if state.feature_level() < SINCE {
        return;
    }
    let Some(record) = role_record(&state.user, tenant, role) else { return };
    let changed = RoleRecord { version: record.version + 1, modified_at: now, ..record.as_ref().clone() };
    state.user.role_records.insert((tenant.clone(), role.clone()), Arc::new(changed));
}

/// Refuses what would leave a tenant without an administrator who can sign in: `without` is about to be one no more.
///
/// # Errors
/// [`Refused::WrongState`] where there is no other.
pub(crate) fn check_administrator_left(state: &State, without: &User) -> Result<(), Refused> {
    let admin = Role(Role::ADMIN.to_owned());
    if without.is_locked || !without.roles.contains(&admin) {
        return Ok(());
    }
    let is_other =
        |user: &&Arc<User>| user.username != without.username && !user.is_locked && user.roles.contains(&admin);
    if users_of(&state.user, &without.tenant).any(|user| is_other(&user)) {
        return Ok(());
    }
    Err(Refused::wrong_state(format!("{} is the last administrator of {}", without.username, without.tenant)))
}

/// Refuses roles that the tenant does not have, and too many.
///
/// # Errors
/// [`Refused::NotFound`], [`Refused::LimitReached`].
pub(crate) fn check_roles(state: &State, tenant: &TenantDomain, roles: &[Role]) -> Result<(), Refused> {
    use portcullis_model::limit::ROLES_PER_USER_MAX;
    if roles.len() > ROLES_PER_USER_MAX {
        return Err(Refused::LimitReached { what: "roles of a user".to_owned(), max: ROLES_PER_USER_MAX as u64 });
    }
    match roles.iter().find(|role| !state.user.roles.contains_key(&(tenant.clone(), (*role).clone()))) {
        Some(role) => Err(Refused::not_found("role", role)),
        None => Ok(()),
    }
}

const _: () = assert!(SINCE <= level::HIGHEST);

#[cfg(test)]
mod tests {
    use portcullis_model::Principal;

    use super::*;
    use crate::command::{ChangeRole, Command as _, CreateUser, DeleteUser, Moment, RaiseFeatureLevel, UpdateUser};
    use crate::state::ClusterFacts;

    fn moment(index: u64) -> Moment {
        Moment {
            now: Timestamp(index),
            index,
            random: [u8::try_from(index).unwrap(); 32],
            principal: Principal::system(),
        }
    }

    fn state() -> State {
        let mut state = State::default();
        let facts = ClusterFacts {
            id: uuid::Uuid::nil(),
            name: String::new(),
            created_at: Timestamp(0),
            feature_level: 1,
            ca_certificate: String::new(),
            ca_key: portcullis_model::Sealed(Vec::new()),
            node_ids_given: 1,
        };
        state.system.cluster.insert((), Arc::new(facts));
        let tenant = TenantDomain::super_tenant();
        state.user.tenants.insert(tenant.clone(), Timestamp(0));
        for role in Role::SYSTEM {
            state.user.roles.insert((tenant.clone(), Role(role.to_owned())), ());
        }
        RaiseFeatureLevel { level: 2 }.apply(&mut state, &moment(1)).unwrap();
        state
    }

    fn create(state: &mut State, name: &str, role: &str, at: u64) -> UserId {
        let user = User {
            tenant: TenantDomain::super_tenant(),
            username: Username(name.to_owned()),
            password_hash: "hash".to_owned(),
            roles: vec![Role(role.to_owned())],
            email: String::new(),
            is_locked: false,
            created_at: Timestamp(0),
        };
        CreateUser { user, attributes: "{}".to_owned() }.apply(state, &moment(at)).unwrap()
    }

    #[test]
    fn who_is_created_again_has_another_id_and_the_first_is_found_no_more() {
        let (mut state, tenant) = (state(), TenantDomain::super_tenant());
        let first = create(&mut state, "ann", "Internal/creator", 2);
        let delete =
            DeleteUser { tenant: tenant.clone(), username: Username("ann".to_owned()), expected_version: None };
        delete.apply(&mut state, &moment(3)).unwrap();
        let second = create(&mut state, "ann", "Internal/creator", 4);
        assert_ne!(first, second);
        assert!(user_by_id(&state.user, &tenant, first).is_none());
        assert_eq!(user_by_id(&state.user, &tenant, second).unwrap().created_at, Timestamp(4));
    }

    #[test]
    fn the_last_administrator_who_can_sign_in_stays_one_and_a_refusal_changes_nothing() {
        let (mut state, tenant) = (state(), TenantDomain::super_tenant());
        create(&mut state, "ann", Role::ADMIN, 2);
        create(&mut state, "bob", Role::ADMIN, 3);
        let lock = |name: &str| {
            let mut change = UpdateUser::of(tenant.clone(), Username(name.to_owned()));
            change.is_locked = Some(true);
            change
        };
        lock("bob").apply(&mut state, &moment(4)).unwrap();
        let before = state.user.users.clone();
        let take = ChangeRole {
            remove: vec![Username("ann".to_owned())],
            ..ChangeRole::of(tenant.clone(), Role(Role::ADMIN.to_owned()))
        };
        for refused in [
            lock("ann").apply(&mut state, &moment(5)).map(drop),
            take.apply(&mut state, &moment(6)),
            DeleteUser { tenant: tenant.clone(), username: Username("ann".to_owned()), expected_version: None }
                .apply(&mut state, &moment(7)),
        ] {
            assert!(matches!(refused, Err(Refused::WrongState { .. })), "{refused:?}");
        }
        assert!(state.user.users == before);
    }

    #[test]
    fn a_change_from_another_version_is_refused() {
        let (mut state, tenant) = (state(), TenantDomain::super_tenant());
        create(&mut state, "ann", Role::ADMIN, 2);
        let rename = |version| {
            let mut change = UpdateUser::of(tenant.clone(), Username("ann".to_owned()));
            change.attributes = Some("{\"title\":\"x\"}".to_owned());
            change.expected_version = Some(version);
            change
        };
        assert_eq!(rename(1).apply(&mut state, &moment(3)).unwrap(), 2);
        assert!(matches!(rename(1).apply(&mut state, &moment(4)), Err(Refused::Stale { .. })));
    }
}
