//! What creators and publishers see of the statistics: calls to those APIs that they may see.

use std::sync::Arc;

use portcullis_database::Statdb;
use portcullis_database::statistics::reading::Sight;
use portcullis_model::ApiId;
use portcullis_model::port::{ApiSight, Identity};

/// Returns which of the APIs that were called a publisher may see.
pub(crate) fn publishers_sight(stat: &Statdb, apis: &dyn ApiSight, identity: &Identity) -> Sight {
    let of_tenant = stat.apis.values().filter(|api| api.tenant == identity.principal.tenant);
    Sight::Apis(Arc::new(of_tenant.map(|api| api.id).filter(|api| may_see(stat, apis, identity, *api)).collect()))
}

/// Says whether a publisher may see the calls to an API. Of one that is gone nobody knows whom it was restricted to: its
/// provider still sees them.
pub(crate) fn may_see(stat: &Statdb, apis: &dyn ApiSight, identity: &Identity, api: ApiId) -> bool {
    apis.may_see(identity, api).unwrap_or_else(|| {
        let known = stat.apis.get(&api).filter(|known| known.tenant == identity.principal.tenant);
        known.is_some_and(|known| known.provider == identity.principal.username)
    })
}
