//! The scopes of the REST APIs and the roles that may have them, by the tenant's configuration. The scopes of APIs are not
//! here; they are part of the APIs.

use std::sync::Arc;

use portcullis_database::Userdb;
use portcullis_database::access::KeyManager;
use portcullis_database::handle::View;
use portcullis_model::{TenantConfig, TenantDomain};

pub(crate) use portcullis_model::tenant_config::{
    is_rest_scope, is_rest_scope_allowed as is_allowed, rest_scopes_of as allowed_by,
};

/// Returns a tenant's configuration; `None` where it never put one.
pub(crate) fn config<'a>(view: &'a View<KeyManager>, tenant: &TenantDomain) -> Option<&'a TenantConfig> {
    shared_config(view, tenant).map(AsRef::as_ref)
}

/// The same, to be kept.
pub(crate) fn shared_config<'a>(view: &'a View<KeyManager>, tenant: &TenantDomain) -> Option<&'a Arc<TenantConfig>> {
    view.read::<Userdb>().tenant_configs.get(tenant)
}
