//! Organizations of tenants: which there are, and to which one somebody belongs.

use std::sync::Arc;

use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::organization::{Organization, named_in};
use portcullis_model::{AssetId, Principal, TenantDomain};

use crate::assets;
use crate::state::{Apimgtdb, Userdb};

/// Whose developer a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// The tenant's own: the user's attribute names no organization, or the tenant has none.
    Tenant,
    /// That of an organization.
    Organization(AssetId, Organization),
    /// Nobody's: the attribute names an organization that the tenant has not, such as a renamed or a deleted one. Nothing
    /// is shared with it.
    Nobody,
}

/// Returns the organizations of a tenant, in the order of their ids.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
) -> impl Iterator<Item = (&'a Arc<Asset>, Organization)> + use<'a> {
    let all = assets::of_tenant(database, tenant, AssetKind::Organization);
    all.filter_map(|asset| Some((asset, serde_json::from_str(&asset.document).ok()?)))
}

/// Returns whose developer a user is, by the user's attribute.
#[must_use]
pub fn belonging(database: &Apimgtdb, people: &Userdb, user: &Principal) -> Belonging {
    let mut all = of_tenant(database, &user.tenant).map(|(asset, organization)| (asset.id, organization)).peekable();
    if all.peek().is_none() {
        return Belonging::Tenant;
    }
    let profile = people.profiles.get(&(user.tenant.clone(), user.username.clone()));
    match profile.and_then(|profile| named_in(&profile.attributes)) {
        Some(named) => among(all, &named),
        None => Belonging::Tenant,
    }
}

/// Returns the organization that is called so elsewhere, whatever the case of letters.
fn among(mut all: impl Iterator<Item = (AssetId, Organization)>, named: &str) -> Belonging {
    match all.find(|(_, organization)| organization.external_organization_id.eq_ignore_ascii_case(named)) {
        Some((id, organization)) => Belonging::Organization(id, organization),
        None => Belonging::Nobody,
    }
}

/// Returns the organization that a user belongs to: the one that the user's attribute names, where the tenant has it.
#[must_use]
pub fn of_user(database: &Apimgtdb, people: &Userdb, user: &Principal) -> Option<(AssetId, Organization)> {
    match belonging(database, people, user) {
        Belonging::Organization(id, organization) => Some((id, organization)),
        Belonging::Tenant | Belonging::Nobody => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_of_an_organization_that_is_not_there_is_nobodys() {
        let acme = Organization {
            external_organization_id: "acme".to_owned(),
            display_name: "Acme".to_owned(),
            description: String::new(),
        };
        let id = AssetId::from_random([7; 16]);
        let belonging = |named: &str| among([(id, acme.clone())].into_iter(), named);
        assert_eq!(belonging("ACME"), Belonging::Organization(id, acme.clone()));
        assert_eq!(belonging("acme-2"), Belonging::Nobody);
    }
}
