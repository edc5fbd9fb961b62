//! Finds what tenants keep besides APIs.

use std::sync::Arc;

use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{ApiId, AssetId, TenantDomain};
use uuid::Uuid;

use crate::state::{Apimgtdb, State};

/// Returns a tenant's assets of a kind.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
    kind: AssetKind,
) -> impl Iterator<Item = &'a Arc<Asset>> + use<'a> {
    let key = |id| (kind, tenant.clone(), AssetId(id));
    database.assets.range(key(Uuid::nil())..=key(Uuid::max())).map(|(_, asset)| asset)
}

/// Returns what is other of an API in an environment.
#[must_use]
pub fn environment_properties<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
    api: ApiId,
    environment: &str,
) -> Option<&'a Arc<Asset>> {
    let mut all = of_tenant(database, tenant, AssetKind::EnvironmentProperties);
    all.find(|asset| asset.api == Some(api) && asset.name == environment)
}

/// Removes what belongs to an API.
pub(crate) fn remove_of(state: &mut State, api: ApiId) {
    let keys: Vec<_> =
        state.apimgt.assets.iter().filter(|(_, asset)| asset.api == Some(api)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        state.apimgt.assets.remove(&key);
    }
}

/// Removes what is other of APIs in an environment that is no more.
pub(crate) fn forget_environment(state: &mut State, tenant: &TenantDomain, environment: &str) {
    let own = of_tenant(&state.apimgt, tenant, AssetKind::EnvironmentProperties);
    let keys: Vec<_> = own.filter(|asset| asset.name == environment).map(|asset| asset.id).collect();
    for id in keys {
        state.apimgt.assets.remove(&(AssetKind::EnvironmentProperties, tenant.clone(), id));
    }
}
