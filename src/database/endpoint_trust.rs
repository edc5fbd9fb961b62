//! Finds the certificates that backends are trusted by, and keeps what gateways know of them.

use std::sync::Arc;

use portcullis_model::TenantDomain;
use portcullis_model::endpoint_trust::{EndpointCertificate, EndpointTrust};

use crate::state::{Apimgtdb, Generation, State};

/// Returns the endpoint certificates of a tenant, in the order of their aliases.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &'a TenantDomain,
) -> impl Iterator<Item = &'a Arc<EndpointCertificate>> {
    let all = database.endpoint_certificates.range((tenant.clone(), String::new())..);
    all.take_while(move |((its, _), _)| its == tenant).map(|(_, one)| one)
}

/// Brings up to date what gateways know of a tenant's certificates.
pub(crate) fn refresh(state: &mut State, tenant: &TenantDomain) {
    let all = of_tenant(&state.apimgt, tenant).map(|one| (one.place.clone(), one.certificate.clone()));
    let trust = EndpointTrust { certificates: all.collect() };
    if trust.certificates.is_empty() {
        state.deployed.endpoint_trust.remove(tenant);
    } else {
        state.deployed.endpoint_trust.insert(tenant.clone(), Arc::new(trust));
    }
    state.deployed.advance(Generation::Routes);
}
