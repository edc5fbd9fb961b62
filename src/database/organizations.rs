//! Organizations of tenants: which there are, and to which one somebody belongs.

use std::sync::Arc;

use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::organization::{Organization, named_in};
use portcullis_model::{AssetId, Principal, TenantDomain};

use crate::assets;
use crate::state::{Apimgtdb, Userdb};

/// Returns the organizations of a tenant, in the order of their ids.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
) -> impl Iterator<Item = (&'a Arc<Asset>, Organization)> + use<'a> {
    let all = assets::of_tenant(database, tenant, AssetKind::Organization);
    all.filter_map(|asset| Some((asset, serde_json::from_str(&asset.document).ok()?)))
}

/// Returns the organization that a user belongs to: the one that the user's attribute names, where the tenant has it.
#[must_use]
pub fn of_user(database: &Apimgtdb, people: &Userdb, user: &Principal) -> Option<(AssetId, Organization)> {
    let mut all = of_tenant(database, &user.tenant).peekable();
    all.peek()?;
    let profile = people.profiles.get(&(user.tenant.clone(), user.username.clone()))?;
    let named = named_in(&profile.attributes)?;
    let mut all = all.map(|(asset, organization)| (asset.id, organization));
    all.find(|(_, organization)| organization.external_organization_id.eq_ignore_ascii_case(&named))
}
