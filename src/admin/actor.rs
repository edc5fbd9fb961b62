//! The actor itself: what it holds. Its handlers are in the files named after what they handle.

use std::sync::Arc;

use actix::{Actor, Context};
use portcullis_database::{ClusterKey, Handle, access};
use portcullis_model::certificate::CertificateControl;
use portcullis_model::cluster::ClusterControl;
use portcullis_model::facts::Examination;

use crate::billing::BillingEngine;
use crate::tenants::Recovery;
use crate::{ClusterPorts, Passwords};

/// The Admin actor. It keeps nothing between messages: all it knows is in the databases.
pub struct Admin {
    pub(crate) handle: Handle<access::Admin>,
    pub(crate) cluster: Arc<dyn ClusterControl>,
    pub(crate) certificates: Arc<dyn CertificateControl>,
    pub(crate) examination: Arc<dyn Examination>,
    pub(crate) passwords: Passwords,
    pub(crate) recovery: Recovery,
    pub(crate) billing: Option<BillingEngine>,
    /// Seals what signs in at other systems.
    pub(crate) key: ClusterKey,
}

impl Admin {
    pub(crate) fn new(
        handle: Handle<access::Admin>,
        ports: ClusterPorts,
        passwords: Passwords,
        recovery: Recovery,
        billing: Option<BillingEngine>,
        key: ClusterKey,
    ) -> Self {
        let ClusterPorts { cluster, certificates, examination, safekeeping: _ } = ports;
        Self { handle, cluster, certificates, examination, passwords, recovery, billing, key }
    }
}

impl Actor for Admin {
    type Context = Context<Self>;
}
