use std::sync::Arc;

use portcullis_model::limit::TENANTS_MAX;
use portcullis_model::{PolicyRules, QuotaPolicy, Refused, Role, TenantDomain, TenantId, TenantRecord, User, UserId, UserProfile};
use serde::{Deserialize, Serialize};

use super::create_user::check_size;
use super::put_throttle_policy::store;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, State, Userdb};

/// Creates a tenant with its first administrator, the roles that every tenant has, and default policies. The policies
/// are part of the entry, so that what a tenant begins with does not depend on the version that applies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateTenant {
    /// The domain.
    pub domain: TenantDomain,
    /// The first administrator; tenant, roles and `created_at` are set here.
    pub owner: User,
    /// The administrator's further attributes.
    pub attributes: String,
    /// The default policies; their tenant is set here.
    pub policies: Vec<(QuotaPolicy, PolicyRules)>,
}

impl<C: Component> SubmittedBy<C> for CreateTenant where C: Writes<Apimgtdb> + Writes<Userdb> {}

impl Command for CreateTenant {
    type Reply = TenantId;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.domain.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<TenantId, Refused> {
        let Self { domain, owner, attributes, policies } = self;
        if state.user.tenants.contains_key(&domain) {
            return Err(Refused::exists("tenant", &domain));
        }
        if state.user.tenants.len() >= TENANTS_MAX {
            return Err(Refused::LimitReached { what: "tenants".to_owned(), max: TENANTS_MAX as u64 });
        }
        check_size(&attributes)?;
        let (mut id, mut user_id) = ([0; 16], [0; 16]);
        id.copy_from_slice(&moment.random[..16]);
        user_id.copy_from_slice(&moment.random[16..]);
        let (id, user_id) = (TenantId::from_random(id), UserId::from_random(user_id));
        let highest = state.user.tenant_records.values().map(|record| record.number).max().unwrap_or(0);
        let record = TenantRecord {
            id,
            number: highest.max(0) + 1,
            owner: owner.username.clone(),
            is_active: true,
            created_at: moment.now,
        };
        state.user.tenants.insert(domain.clone(), moment.now);
        state.user.tenant_records.insert(domain.clone(), Arc::new(record));
        let roles: Vec<Role> = Role::SYSTEM.iter().map(|role| Role((*role).to_owned())).collect();
        for role in &roles {
            state.user.roles.insert((domain.clone(), role.clone()), ());
        }
        let owner = User { tenant: domain.clone(), roles, created_at: moment.now, is_locked: false, ..owner };
        let profile = UserProfile { id: user_id, attributes, modified_at: moment.now, version: 1, locked_until: None };
        let key = (domain.clone(), owner.username.clone());
        state.user.user_ids.insert((domain.clone(), user_id), owner.username.clone());
        state.user.profiles.insert(key.clone(), Arc::new(profile));
        state.user.users.insert(key, Arc::new(owner));
        for (policy, rules) in policies {
            store(state, QuotaPolicy { tenant: domain.clone(), version: 1, ..policy }, rules);
        }
        state.deployed.advance(Generation::Keys);
        Ok(id)
    }
}
