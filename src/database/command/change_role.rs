use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_model::limit::{MEMBERS_PER_CHANGE_MAX, ROLES_PER_USER_MAX};
use portcullis_model::{Refused, Role, TenantDomain, User, Username};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::people;
use crate::state::{Generation, State, Userdb};

/// Changes who holds a role, and its name. In force everywhere when the answer comes: who lost a role has lost what it
/// allowed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeRole {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The role.
    pub role: Role,
    /// The version that the change was made from; refused where it is another now.
    pub expected_version: Option<u64>,
    /// Its new name.
    pub new_name: Option<Role>,
    /// Who alone is to hold it; then `add` and `remove` come on top.
    pub replace: Option<Vec<Username>>,
    /// Who is to hold it.
    pub add: Vec<Username>,
    /// Who is to hold it no more; who does not is left alone.
    pub remove: Vec<Username>,
}

impl ChangeRole {
    /// Returns a change that changes nothing yet.
    #[must_use]
    pub fn of(tenant: TenantDomain, role: Role) -> Self {
        Self { tenant, role, expected_version: None, new_name: None, replace: None, add: Vec::new(), remove: Vec::new() }
    }
}

impl<C: Component> SubmittedBy<C> for ChangeRole where C: Writes<Userdb> {}

impl Command for ChangeRole {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        const NAMED: usize = 8;
        let names = |users: &[Username]| users.iter().take(NAMED).map(|user| user.0.as_str()).collect::<Vec<_>>().join(" ");
        let mut subject = self.role.to_string();
        for (verb, users) in [("+", &self.add), ("-", &self.remove)] {
            if !users.is_empty() {
                subject.push_str(&format!(" {verb} {}", names(users)));
            }
        }
        subject
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let Self { tenant, role, expected_version, new_name, replace, add, remove } = self;
        let record = people::role_record(&state.user, &tenant, &role).ok_or_else(|| Refused::not_found("role", &role))?;
        if expected_version.is_some_and(|version| version != record.version) {
            return Err(Refused::Stale { noun: "role".to_owned(), key: role.0 });
        }
        let new_name = new_name.filter(|name| *name != role);
        if let Some(name) = &new_name {
            check_new_name(state, &tenant, &role, name)?;
        }
        let (mut added, mut removed) = (BTreeSet::from_iter(add), BTreeSet::from_iter(remove));
        if let Some(wanted) = replace {
            let wanted = BTreeSet::from_iter(wanted);
            let held = people::users_of(&state.user, &tenant).filter(|user| user.roles.contains(&role));
            let held: BTreeSet<Username> = held.map(|user| user.username.clone()).collect();
            added.extend(wanted.difference(&held).cloned());
            removed.extend(held.difference(&wanted).filter(|one| !added.contains(one)).cloned());
        }
        let (added, removed) = (Vec::from_iter(added), Vec::from_iter(removed));
        change_members(state, &tenant, &role, &added, &removed, moment)?;
        people::touch_role(state, &tenant, &role, moment.now);
        if let Some(name) = new_name {
            rename(state, &tenant, &role, &name, moment);
        }
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}

fn check_new_name(state: &State, tenant: &TenantDomain, role: &Role, name: &Role) -> Result<(), Refused> {
    if role.is_system() {
        return Err(Refused::wrong_state(format!("every tenant has the role {role}: it keeps its name")));
    }
    if state.user.roles.contains_key(&(tenant.clone(), name.clone())) {
        return Err(Refused::exists("role", name));
    }
    Ok(())
}

/// Gives and takes a role. Checks everything first, so that a refusal changes nothing.
pub(super) fn change_members(
    state: &mut State,
    tenant: &TenantDomain,
    role: &Role,
    add: &[Username],
    remove: &[Username],
    moment: &Moment,
) -> Result<(), Refused> {
    if add.len() + remove.len() > MEMBERS_PER_CHANGE_MAX {
        let what = "users whom one change gives or takes a role".to_owned();
        return Err(Refused::LimitReached { what, max: MEMBERS_PER_CHANGE_MAX as u64 });
    }
    if role.0 == Role::EVERYONE {
        return Ok(());
    }
    for username in add {
        let user = people::user(&state.user, tenant, username).ok_or_else(|| Refused::not_found("user", username))?;
        if !user.roles.contains(role) && user.roles.len() >= ROLES_PER_USER_MAX {
            return Err(Refused::LimitReached { what: format!("roles of {username}"), max: ROLES_PER_USER_MAX as u64 });
        }
    }
    if role.0 == Role::ADMIN && !remove.is_empty() {
        check_one_is_left(state, tenant, role, add, remove)?;
    }
    for username in add.iter().chain(remove) {
        let Some(before) = people::user(&state.user, tenant, username).cloned() else { continue };
        let mut user = User::clone(&before);
        user.roles.retain(|held| held != role);
        if add.contains(username) {
            user.roles.push(role.clone());
            user.roles.sort();
        }
        if user.roles != before.roles {
            people::touch_user(state, &user, moment.now, |_| {});
            state.user.users.insert((tenant.clone(), username.clone()), Arc::new(user));
        }
    }
    Ok(())
}

fn check_one_is_left(state: &State, tenant: &TenantDomain, role: &Role, add: &[Username], remove: &[Username]) -> Result<(), Refused> {
    let stays = |user: &Arc<User>| {
        let will_hold = add.contains(&user.username) || (user.roles.contains(role) && !remove.contains(&user.username));
        will_hold && !user.is_locked
    };
    if people::users_of(&state.user, tenant).any(stays) {
        return Ok(());
    }
    Err(Refused::wrong_state(format!("{tenant} would be without an administrator")))
}

fn rename(state: &mut State, tenant: &TenantDomain, role: &Role, name: &Role, moment: &Moment) {
    let holders = people::users_of(&state.user, tenant).filter(|user| user.roles.contains(role));
    let holders: Vec<Arc<User>> = holders.cloned().collect();
    for before in holders {
        let mut user = User::clone(&before);
        user.roles.retain(|held| held != role);
        user.roles.push(name.clone());
        user.roles.sort();
        people::touch_user(state, &user, moment.now, |_| {});
        state.user.users.insert((tenant.clone(), user.username.clone()), Arc::new(user));
    }
    let (old, new) = ((tenant.clone(), role.clone()), (tenant.clone(), name.clone()));
    state.user.roles.remove(&old);
    state.user.roles.insert(new.clone(), ());
    if let Some(record) = state.user.role_records.remove(&old) {
        state.user.role_records.insert(new, record);
    }
}
