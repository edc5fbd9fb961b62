//! Who wants to be told of alerts, in all tenants.

use portcullis_model::TenantDomain;
use portcullis_model::alert::{ALERT_SUBSCRIPTIONS_MAX, AlertSubscription};
use portcullis_model::asset::AssetKind;

use crate::assets;
use crate::state::{Apimgtdb, Userdb};

/// Returns the subscriptions of all tenants, each with the name of the user whose it is; of one tenant at most 100.
#[must_use]
pub fn all(database: &Apimgtdb, people: &Userdb) -> Vec<(TenantDomain, String, AlertSubscription)> {
    let of_tenant = |tenant: &TenantDomain| {
        let all = assets::of_tenant(database, tenant, AssetKind::AlertSubscription).take(ALERT_SUBSCRIPTIONS_MAX);
        let read = |text: &str| serde_json::from_str(text).ok();
        all.filter_map(move |asset| Some((asset.tenant.clone(), asset.name.clone(), read(&asset.document)?)))
            .collect::<Vec<_>>()
    };
    people.tenants.keys().flat_map(of_tenant).collect()
}
