//! Identity providers and who signed in by them, as the state keeps them.

use std::sync::Arc;

use portcullis_model::identity_provider::{FederatedUser, IdentityProvider};
use portcullis_model::{IdentityProviderId, TenantDomain};
use uuid::Uuid;

use crate::people;
use crate::state::Userdb;

/// Returns the identity providers of a tenant, by id.
pub fn providers_of<'a>(users: &'a Userdb, tenant: &TenantDomain) -> impl Iterator<Item = &'a Arc<IdentityProvider>> {
    let all = (tenant.clone(), IdentityProviderId(Uuid::nil()))..=(tenant.clone(), IdentityProviderId(Uuid::max()));
    users.identity_providers.range(all).map(|(_, one)| one)
}

/// Returns which user somebody is whom an identity provider vouches for; `None` where that user is there no more, also where
/// another of the same name came after.
#[must_use]
pub fn linked<'a>(
    users: &'a Userdb,
    key: &(TenantDomain, IdentityProviderId, String),
) -> Option<&'a Arc<FederatedUser>> {
    let found = users.federated_users.get(key)?;
    let user = people::user(users, &key.0, &found.username)?;
    (user.created_at <= found.since).then_some(found)
}
