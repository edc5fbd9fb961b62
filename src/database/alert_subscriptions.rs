//! Who wants to be told of alerts, in all tenants.

use portcullis_model::TenantDomain;
use portcullis_model::alert::{ALERT_SUBSCRIPTIONS_MAX, AlertSubscription};
use portcullis_model::asset::AssetKind;

use crate::assets;
use crate::state::{Apimgtdb, Userdb};

/// Returns the addresses that are mailed about calls that led to no API: those of the first tenant's administrators.
#[must_use]
pub fn about_bots(database: &Apimgtdb) -> Vec<String> {
    let all = assets::of_tenant(database, &TenantDomain::super_tenant(), AssetKind::BotSubscription);
    all.take(ALERT_SUBSCRIPTIONS_MAX).map(|asset| asset.name.clone()).collect()
}

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
