//! The gateway environments to which a publisher may deploy.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, environments};
use portcullis_model::port::Identity;
use portcullis_model::{Deployment, Environment};

use super::{ADMIN_ROLE, Registry, Snapshot, seen};
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{ListEnvironments, Seen};

impl Registry {
    pub(crate) async fn list_environments(
        &self,
        message: ListEnvironments,
    ) -> Result<Seen<Vec<Arc<Environment>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let open = open_to(&snapshot, &message.asker.identity);
        Ok(seen(&snapshot, open))
    }
}

/// Returns the environments to which somebody may deploy.
pub(super) fn open_to(snapshot: &Snapshot, identity: &Identity) -> Vec<Arc<Environment>> {
    let mut all = environments::of_tenant(snapshot.read::<Apimgtdb>(), &identity.principal.tenant);
    let is_admin = identity.roles.iter().any(|role| role.0 == ADMIN_ROLE);
    all.retain(|one| is_admin || one.is_open_to(&identity.roles));
    all
}

/// Checks where something is to be deployed; where a deployment names no virtual host, it is the environment's first.
pub(super) fn placed(
    open: &[Arc<Environment>],
    mut deployments: Vec<Deployment>,
) -> Result<Vec<Deployment>, PublisherError> {
    let mut faults = Vec::new();
    for (number, deployment) in deployments.iter_mut().enumerate() {
        let Some(environment) = open.iter().find(|one| one.name == deployment.environment) else {
            let names: Vec<&str> = open.iter().map(|one| one.name.as_str()).collect();
            let reason = format!("there is no environment {}; there is {}", deployment.environment, names.join(", "));
            faults.push(FieldFault::new(format!("[{number}].name"), reason));
            continue;
        };
        if deployment.vhost.is_empty() {
            deployment.vhost = environment.vhosts.first().map(|one| one.host.clone()).unwrap_or_default();
        } else if environment.vhost(&deployment.vhost).is_none() {
            let hosts: Vec<&str> = environment.vhosts.iter().map(|one| one.host.as_str()).collect();
            let reason = format!("there is no virtual host {}; there is {}", deployment.vhost, hosts.join(", "));
            faults.push(FieldFault::new(format!("[{number}].vhost"), reason));
        }
    }
    if faults.is_empty() { Ok(deployments) } else { Err(PublisherError::Fields(faults)) }
}
