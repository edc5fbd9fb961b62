//! Finds where gateway policies are in force, and keeps what gateways know of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::gateway_policy::GatewayPolicy;
use portcullis_model::{AssetId, TenantDomain};

use crate::assets;
use crate::state::{Apimgtdb, Generation, State};

/// Returns the gateway policy that is in force in an environment.
#[must_use]
pub fn in_force<'a>(database: &'a Apimgtdb, tenant: &TenantDomain, environment: &str) -> Option<&'a Arc<Asset>> {
    let is_there = |asset: &&Arc<Asset>| labels_of(asset).iter().any(|label| label == environment);
    assets::of_tenant(database, tenant, AssetKind::GatewayPolicy).find(is_there)
}

/// Returns the environments in which a gateway policy is in force.
#[must_use]
pub fn labels_of(asset: &Asset) -> Vec<String> {
    GatewayPolicy::of_document(&asset.document).applied_gateway_labels
}

/// Returns which environments of these another gateway policy is in force in.
pub(crate) fn taken<'a>(
    database: &Apimgtdb,
    tenant: &TenantDomain,
    labels: &'a [String],
    id: AssetId,
) -> Option<&'a String> {
    labels.iter().find(|label| in_force(database, tenant, label).is_some_and(|other| other.id != id))
}

/// Brings up to date what gateways know of a tenant's gateway policies.
pub(crate) fn refresh(state: &mut State, tenant: &TenantDomain) {
    let mut wanted = BTreeMap::new();
    for asset in assets::of_tenant(&state.apimgt, tenant, AssetKind::GatewayPolicy) {
        let policy = GatewayPolicy::of_document(&asset.document);
        if policy.applied_gateway_labels.is_empty() {
            continue;
        }
        let flows = Arc::new(policy.flows());
        for label in policy.applied_gateway_labels {
            wanted.insert(label, Arc::clone(&flows));
        }
    }
    let first = (tenant.clone(), String::new());
    let there = state.deployed.gateway_policies.range(first..).take_while(|((its, _), _)| its == tenant);
    let gone: Vec<_> =
        there.filter(|((_, label), _)| !wanted.contains_key(label)).map(|(key, _)| key.clone()).collect();
    let mut is_changed = !gone.is_empty();
    for key in gone {
        state.deployed.gateway_policies.remove(&key);
    }
    for (label, flows) in wanted {
        let key = (tenant.clone(), label);
        if state.deployed.gateway_policies.get(&key) != Some(&flows) {
            state.deployed.gateway_policies.insert(key, flows);
            is_changed = true;
        }
    }
    if is_changed {
        state.deployed.advance(Generation::Routes);
    }
}
