//! Which creators and publishers may see an API (the original's *publisher access control*): everybody of its tenant, or
//! those alone who hold one of the roles that it names.

use serde_json::Value;

use crate::api::Api;
use crate::port::Identity;

/// The role whose holders see every API of their tenant.
pub const ADMIN_ROLE: &str = "admin";

/// Says whether somebody may see an API: it is of the same tenant, and not restricted to roles that he lacks. Its
/// provider and administrators see it in any case.
#[must_use]
pub fn may_see(identity: &Identity, api: &Api) -> bool {
    if api.tenant != identity.principal.tenant {
        return false;
    }
    let is_privileged =
        identity.roles.iter().any(|role| role.0 == ADMIN_ROLE) || api.provider == identity.principal.username;
    // Most are not restricted, and need not be read.
    if is_privileged || !api.other_fields.contains("\"RESTRICTED\"") {
        return true;
    }
    let fields: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
    if fields["accessControl"] != "RESTRICTED" {
        return true;
    }
    let allowed = fields["accessControlRoles"].as_array().into_iter().flatten();
    allowed.filter_map(Value::as_str).any(|role| identity.roles.iter().any(|held| held.0 == role))
}
