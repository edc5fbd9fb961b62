//! Finds gateway environments and what is deployed to them.

use std::sync::Arc;

use portcullis_model::environment::Environment;
use portcullis_model::{ApiId, DeployedApi, EnvironmentId, Refused, Revision, TenantDomain};
use uuid::Uuid;

use crate::api_rules::first_id;
use crate::state::{Apimgtdb, State};

/// Returns the environments of a tenant: the one that every tenant has, and those that it made, by name.
#[must_use]
pub fn of_tenant(database: &Apimgtdb, tenant: &TenantDomain) -> Vec<Arc<Environment>> {
    let key = |id| (tenant.clone(), EnvironmentId(id));
    let mut own: Vec<_> =
        database.environments.range(key(Uuid::nil())..=key(Uuid::max())).map(|(_, one)| Arc::clone(one)).collect();
    own.sort_by(|one, other| one.name.cmp(&other.name));
    own.insert(0, Arc::new(Environment::default_of(tenant)));
    own
}

/// Returns the environment of a name.
#[must_use]
pub fn of_name(database: &Apimgtdb, tenant: &TenantDomain, name: &str) -> Option<Arc<Environment>> {
    of_tenant(database, tenant).into_iter().find(|one| one.name == name)
}

/// The feature level from which a deployment names an environment and a host that are there. Before, any name was
/// accepted, and what the logs of then say is answered as it was.
const CHECKED_SINCE: u32 = 2;

/// Checks that a tenant has the environment and virtual host where something is to be deployed.
///
/// # Errors
/// What there is instead.
pub(crate) fn check_place(state: &State, tenant: &TenantDomain, name: &str, host: &str) -> Result<(), Refused> {
    if state.feature_level() < CHECKED_SINCE {
        return Ok(());
    }
    let Some(environment) = of_name(&state.apimgt, tenant, name) else {
        let all = of_tenant(&state.apimgt, tenant);
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        let reason = format!("there is no environment {name}; there is {}", names.join(", "));
        return Err(Refused::invalid("name", reason));
    };
    if environment.vhost(host).is_none() {
        let hosts: Vec<&str> = environment.vhosts.iter().map(|one| one.host.as_str()).collect();
        let reason = format!("environment {name} has no virtual host {host}; it has {}", hosts.join(", "));
        return Err(Refused::invalid("vhost", reason));
    }
    Ok(())
}

/// Returns the APIs of a tenant that an environment serves.
pub(crate) fn served<'a>(
    state: &'a State,
    tenant: &'a TenantDomain,
    name: &'a str,
) -> impl Iterator<Item = &'a Arc<DeployedApi>> {
    let rows = state.deployed.apis.range((name.to_owned(), first_id())..);
    rows.take_while(move |((environment, _), _)| environment == name)
        .map(|(_, api)| api)
        .filter(move |api| api.tenant == *tenant)
}

/// Returns the revision of an API that is in an environment.
pub(crate) fn revision_in(state: &State, api: ApiId, name: &str) -> Option<Arc<Revision>> {
    let mut all = state.apimgt.revisions.range((api, 0)..=(api, u32::MAX)).map(|(_, revision)| revision);
    all.find(|revision| revision.deployments.iter().any(|one| one.environment == name)).cloned()
}
