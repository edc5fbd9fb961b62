//! Starts the components of a node and joins them by the model's ports: mints their handles, and hands each what it
//! needs of another. Raft and the listeners are not started here.

use std::path::Path;
use std::sync::Arc;

use portcullis_database::access::Component;
use portcullis_database::{ClusterKey, Handle, Proposer, StateCell};
use portcullis_gateway::Gateway;
use portcullis_key_manager::KeyManagerFaces;
use portcullis_model::NodeId;
use portcullis_model::cluster::ClusterControl;
use portcullis_traffic_manager::TrafficManagerFaces;

use crate::boot_fault::BootFault;
use crate::components;
use crate::config::Config;
use crate::management::{self, Faces};
use crate::pages::Pages;

/// What the components of a node are made from.
pub(crate) struct Wiring<'a> {
    pub(crate) node: NodeId,
    pub(crate) data_dir: &'a Path,
    pub(crate) config: &'a Config,
    pub(crate) cluster_key: ClusterKey,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) cell: Arc<StateCell>,
    pub(crate) mint: Arc<dyn Proposer>,
}

/// The components that follow the state, and so are there before its first entry is applied.
pub(crate) struct Followers {
    pub(crate) key_manager: KeyManagerFaces,
    pub(crate) traffic_manager: portcullis_traffic_manager::Running,
    pub(crate) gateway: Arc<Gateway>,
}

impl Wiring<'_> {
    /// Mints a component's handle.
    fn handle<C: Component>(&self) -> Handle<C> {
        Handle::new(Arc::clone(&self.cell), Arc::clone(&self.mint))
    }

    /// Starts what follows the state, and hooks it onto it.
    pub(crate) fn start_followers(&self) -> Result<Followers, BootFault> {
        let key_manager = portcullis_key_manager::start(
            self.handle(),
            self.cluster_key.clone(),
            components::key_manager_settings(self.config),
        );
        let settings = portcullis_traffic_manager::Settings { node: self.node, data_dir: self.data_dir.to_owned() };
        let TrafficManagerFaces { quotas, hook, running: traffic_manager } =
            portcullis_traffic_manager::start(&settings, self.handle())?;
        let gateway = portcullis_gateway::start(
            components::gateway_settings(self.config, &self.tls),
            Arc::clone(&key_manager.keys),
            quotas,
            Arc::clone(&key_manager.oauth),
        )?;
        let gateway = Arc::new(gateway);
        // Allowances first: a route that is new must find its quota.
        self.cell.set_hooks(vec![hook, gateway.hook()]);
        Ok(Followers { key_manager, traffic_manager, gateway })
    }

    /// Starts what is served on the management port, and returns its router.
    pub(crate) fn start_management(
        &self,
        key_manager: KeyManagerFaces,
        control: Arc<dyn ClusterControl>,
    ) -> axum::Router {
        let admin = portcullis_admin::start(self.handle(), Arc::clone(&control), portcullis_key_manager::hash_password);
        let pages = Pages {
            publisher: self.handle(),
            store: self.handle(),
            admin: self.handle(),
            cluster: control,
            addresses: components::page_addresses(self.config),
        };
        let faces = Faces {
            publisher: portcullis_publisher::start(self.handle(), self.cluster_key.clone()),
            store: portcullis_store::start(self.handle(), key_manager.issuer, components::store_settings(self.config)),
            admin_v4: admin.admin_v4,
            portcullis_v1: admin.portcullis_v1,
            key_manager: key_manager.router,
            portal: portcullis_portal::routes(Arc::new(pages), Arc::clone(&key_manager.authentication)),
        };
        management::router(faces, key_manager.authentication, Arc::clone(&self.cell), Arc::clone(&self.mint))
    }
}
