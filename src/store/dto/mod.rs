//! Bodies of the DevPortal contract, by noun: what comes in and what goes out. They hold no rules.

pub(crate) mod api;
pub(crate) mod api_key;
pub(crate) mod application;
pub(crate) mod application_archive;
pub(crate) mod catalog;
pub(crate) mod endpoint_urls;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod secret;
pub(crate) mod subscription;

use portcullis_model::{TenantDomain, Username};

/// Returns a user's name as the contracts show it: with the domain where the tenant is not the first.
pub(crate) fn name_of_user(tenant: &TenantDomain, username: &Username) -> String {
    if tenant.is_super() { username.0.clone() } else { format!("{username}@{tenant}") }
}
