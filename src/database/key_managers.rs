//! Key managers beside the cluster's own: those of a tenant, and those of the first tenant that are for all tenants.

use std::sync::Arc;

use portcullis_model::key_manager::KeyManager;
use portcullis_model::{KeyManagerId, TenantDomain};
use uuid::Uuid;

use crate::state::Apimgtdb;

/// Returns those that a tenant has for itself alone, in the order of their ids.
pub fn own_of<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
) -> impl Iterator<Item = &'a Arc<KeyManager>> + use<'a> {
    kept_by(database, tenant).filter(|one| !one.is_global())
}

/// Returns those that are for all tenants.
pub fn global(database: &Apimgtdb) -> impl Iterator<Item = &Arc<KeyManager>> {
    kept_by(database, &TenantDomain::super_tenant()).filter(|one| one.is_global())
}

/// Returns those whose tokens a tenant's APIs accept: its own, before those of all tenants.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
) -> impl Iterator<Item = &'a Arc<KeyManager>> + use<'a> {
    own_of(database, tenant).chain(global(database))
}

/// Returns one whose tokens a tenant's APIs accept.
#[must_use]
pub fn find<'a>(database: &'a Apimgtdb, tenant: &TenantDomain, id: KeyManagerId) -> Option<&'a Arc<KeyManager>> {
    let global = || {
        let kept = database.key_managers.get(&(TenantDomain::super_tenant(), id));
        kept.filter(|one| one.is_global())
    };
    database.key_managers.get(&(tenant.clone(), id)).or_else(global)
}

fn kept_by<'a>(database: &'a Apimgtdb, tenant: &TenantDomain) -> impl Iterator<Item = &'a Arc<KeyManager>> + use<'a> {
    let all = (tenant.clone(), KeyManagerId(Uuid::nil()))..=(tenant.clone(), KeyManagerId(Uuid::max()));
    database.key_managers.range(all).map(|(_, one)| one)
}
