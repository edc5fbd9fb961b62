//! The Admin component: throttling policies, users, and the control of the cluster.
//!
//! [`messages`] is its public interface; the REST faces (the Admin v4 contract and `/api/portcullis/v1`) are thin over
//! it. It does not count requests, does not issue keys, and does not itself change the membership: that is the port
//! [`ClusterControl`].

mod actor;
mod admin_error;
mod alerts;
mod assets;
mod audit;
mod billing;
mod bots;
mod call_logs;
mod certificate_handlers;
pub mod certificate_messages;
mod cluster_handlers;
mod condition_body;
mod counters;
mod custom_body;
mod deny_body;
mod deny_handlers;
pub mod diagnosis;
mod environments;
pub mod examine_handlers;
mod growth;
mod headings;
mod internal;
mod join_rate;
mod key_manager_body;
mod key_manager_handlers;
mod key_manager_usages;
mod limit_body;
mod limits_handlers;
mod llm_providers;
mod membership_body;
mod membership_handlers;
mod membership_messages;
pub mod messages;
mod monetization;
mod organizations;
mod ownership;
mod pages;
mod policy_body;
mod policy_handlers;
mod rest_certificates;
mod rest_cluster;
mod rest_denials;
mod rest_doctor;
mod rest_key_managers;
mod rest_limits;
mod rest_nodes;
mod rest_policies;
mod rest_safekeeping;
mod rest_settings;
mod rest_transfer;
mod rest_users;
mod roles;
pub mod safekeeper;
#[cfg(test)]
mod safekeeping_tests;
mod scim;
mod tasks;
mod tenants;
#[cfg(test)]
mod tests;
mod themes;
#[cfg(test)]
mod throttling_tests;
mod transactions;
mod user_handlers;

use std::sync::Arc;

use axum::Router;
use portcullis_actor::Address;
use portcullis_database::{ClusterKey, Handle, access};
use portcullis_model::certificate::CertificateControl;
use portcullis_model::cluster::ClusterControl;
use portcullis_model::facts::Examination;
use portcullis_model::safekeeping::Safekeeping;

pub use actor::Admin;
pub use admin_error::AdminError;
pub use billing::BillingEngine;
pub use scim::Passwords;

/// Messages that Admin has in work at a time. Each is a call of an administrator, a script or a joining node.
const CAPACITY: usize = 256;

/// What Admin controls the cluster by.
#[derive(Clone)]
pub struct ClusterPorts {
    /// Its nodes.
    pub cluster: Arc<dyn ClusterControl>,
    /// Its certificates.
    pub certificates: Arc<dyn CertificateControl>,
    /// Its snapshots, backups and upgrades.
    pub safekeeping: Arc<dyn Safekeeping>,
    /// The examination of its nodes.
    pub examination: Arc<dyn Examination>,
}

impl std::fmt::Debug for ClusterPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterPorts")
    }
}

/// The faces of Admin.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The Admin v4 contract, to be mounted at `/api/am/admin/v4`.
    pub admin_v4: Router,
    /// Portcullis' own API, to be mounted at `/api/portcullis/v1`.
    pub portcullis_v1: Router,
    /// The original's interfaces of its server, to be mounted at `/api/server/v1`.
    pub server_v1: Router,
    /// What people do who cannot sign in, to be mounted at `/api/identity`.
    pub identity: Router,
    /// The DevOps v0 contract, to be mounted at `/api/am/devops/v0`.
    pub devops_v0: Router,
    /// What the original's control plane tells its gateways, to be mounted at `/internal/data/v1`.
    pub internal_v1: Router,
    /// Users and roles by SCIM 2.0, to be mounted at `/scim2`.
    pub scim: Router,
    /// The web pages, to be mounted at the root, within what all pages share.
    pub pages: Router,
    /// The actor, for whoever sends messages itself.
    pub address: Address<Admin>,
}

/// Starts Admin. `key` seals what signs in at other systems; `billing` is told of the use of APIs.
#[must_use]
pub fn start(
    handle: Handle<access::Admin>,
    key: ClusterKey,
    ports: ClusterPorts,
    passwords: Passwords,
    billing: Option<BillingEngine>,
) -> Faces {
    let recovery = tenants::Recovery::new(key.clone());
    let safekeeping = safekeeper::start(Arc::clone(&ports.safekeeping));
    let seals = key.clone();
    let address = portcullis_actor::spawn("admin", CAPACITY, move || {
        Admin::new(handle.clone(), ports.clone(), passwords, recovery.clone(), billing.clone(), seals.clone())
    });
    let admin_v4 = Router::new()
        .merge(rest_policies::routes(&address))
        .merge(rest_transfer::routes(&address))
        .merge(rest_denials::routes(&address))
        .merge(rest_key_managers::routes(&address, &key))
        .merge(headings::routes(&address))
        .merge(environments::routes(&address))
        .merge(alerts::routes(&address))
        .merge(bots::routes(&address))
        .merge(llm_providers::routes(&address))
        .merge(key_manager_usages::routes(&address))
        .merge(monetization::routes(&address))
        .merge(organizations::routes(&address))
        .merge(ownership::routes(&address))
        .merge(tasks::routes(&address))
        .merge(tenants::config_routes(&address))
        .merge(themes::routes(&address))
        .merge(transactions::routes(&address))
        .merge(rest_settings::routes());
    let portcullis_v1 = Router::new()
        .merge(rest_cluster::routes(address.clone()))
        .merge(rest_limits::routes(address.clone()))
        .merge(rest_nodes::routes(address.clone()))
        .merge(rest_certificates::routes(address.clone()))
        .merge(rest_doctor::routes(address.clone()))
        .merge(rest_users::routes(address.clone()))
        .merge(audit::routes(&address))
        .merge(safekeeping);
    let scim = scim::routes(&address);
    let (server_v1, identity) = (tenants::tenant_routes(&address), tenants::sign_up_routes(&address));
    let (devops_v0, internal_v1) = (call_logs::routes(&address), internal::routes(&address));
    let pages = pages::routes(&address, key);
    Faces { admin_v4, portcullis_v1, devops_v0, internal_v1, pages, scim, server_v1, identity, address }
}
