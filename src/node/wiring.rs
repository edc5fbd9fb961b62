//! Starts the components of a node and joins them by the model's ports: mints the handles of those that it serves, and
//! hands each what it needs of another, of this node or of others. Raft and the listeners are not started here.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use portcullis_admin::{BillingEngine, ClusterPorts};
use portcullis_analytics::{AlertSettings, Leads};
use portcullis_database::access::Component as Rights;
use portcullis_database::cell::Hook;
use portcullis_database::{ClusterKey, Handle, Proposer, StateCell};
use portcullis_gateway::{Freshness, Gateway};
use portcullis_http::address::AddressCheck;
use portcullis_http::callback;
use portcullis_key_manager::foreign_clients::ForeignClients;
use portcullis_key_manager::remote::RemoteKeyManager;
use portcullis_key_manager::thrift::{Reach, ThriftKeyValidation, ThriftService};
use portcullis_model::access_log::AccessLog;
use portcullis_model::port::{Addresses, Authentication, Countries, KeyValidation, NodeCalls, OauthFace, TokenIssuer};
use portcullis_model::span::Tracing;
use portcullis_model::{Component, NodeId};
use portcullis_traffic_manager::{AllowanceFaces, Telling, TrafficManagerFaces};

use crate::alert_watch::{self, AlertWatch};
use crate::api_sight::ApisOfPublishers;
use crate::boot_fault::BootFault;
use crate::component_nodes::ComponentNodes;
use crate::components::{self, OutsideServices};
use crate::config::{Config, KeyValidatorClient};
use crate::gateway_face;
use crate::management::{self, AdminFaces, Faces};
use crate::node_face::NodeFaces;
use crate::pages;
use crate::places::Places;
use crate::tail;
use crate::thrift::ThriftReach;

/// What the components of a node are made from.
pub(crate) struct Wiring<'a> {
    pub(crate) node: NodeId,
    pub(crate) data_dir: &'a Path,
    pub(crate) config: &'a Config,
    pub(crate) cluster_key: ClusterKey,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) cell: Arc<StateCell>,
    pub(crate) mint: Arc<dyn Proposer>,
    /// Who is asked for what this node does not serve.
    pub(crate) others: Arc<ComponentNodes>,
    /// The way to other nodes' key managers by Thrift.
    pub(crate) by_thrift: Arc<ThriftReach>,
    pub(crate) freshness: Arc<Freshness>,
    /// Which calls the gateway is to trace.
    pub(crate) tracing: Option<Tracing>,
    /// Which lines calls have in the access log.
    pub(crate) access_log: Option<AccessLog>,
}

/// The components that follow the state, and so are there before its first entry is applied.
pub(crate) struct Followers {
    pub(crate) keys: KeyPorts,
    pub(crate) gateway: Option<Arc<Gateway>>,
    /// Takes in what the gateway gathers about calls.
    pub(crate) analytics: Option<Arc<portcullis_analytics::Running>>,
    /// What the gateway takes from.
    pub(crate) allowances: Option<Arc<portcullis_traffic_manager::Running>>,
    /// The Traffic Manager's part of Portcullis' own API.
    pub(crate) throttling_face: Option<Router>,
    /// Tells other systems of decisions and usage.
    pub(crate) telling: Option<Arc<Telling>>,
    /// What other nodes may ask of this one.
    pub(crate) for_nodes: NodeFaces,
    /// Answers by Thrift, where the key manager is on this node.
    pub(crate) thrift: Option<Arc<ThriftService>>,
}

/// What a Traffic Manager on this node gives beside allowances.
struct Throttling {
    for_nodes: Router,
    router: Router,
    hook: Hook,
    telling: Telling,
}

/// The Key Manager's ports, whether it is on this node or on others.
pub(crate) struct KeyPorts {
    keys: Arc<dyn KeyValidation>,
    authentication: Arc<dyn Authentication>,
    issuer: Arc<dyn TokenIssuer>,
    oauth: Arc<dyn OauthFace>,
    /// Its routes, where it is on this node.
    router: Option<Router>,
    /// Its part of Portcullis' own API, where it is on this node.
    portcullis_v1: Option<Router>,
    /// Its part of the interfaces of the original's server, where it is on this node.
    server_v1: Option<Router>,
}

/// The Key Manager's ports, what it answers other nodes, and what it answers by Thrift.
type StartedKeyManager = (KeyPorts, Option<Router>, Option<Arc<ThriftService>>);

impl Wiring<'_> {
    /// Mints a component's handle.
    fn handle<C: Rights>(&self) -> Handle<C> {
        Handle::new(Arc::clone(&self.cell), Arc::clone(&self.mint))
    }

    /// Makes something of a component, where this node serves it.
    fn if_served<T>(&self, component: Component, make: impl FnOnce() -> T) -> Option<T> {
        self.config.serves(component).then(make)
    }

    fn places(&self) -> Places {
        Places::new(Arc::clone(&self.cell), self.config.node.components.clone(), self.config.addresses())
    }

    fn other_nodes(&self) -> Arc<dyn NodeCalls> {
        Arc::<ComponentNodes>::clone(&self.others)
    }

    /// Starts what follows the state, and hooks it onto it.
    pub(crate) fn start_followers(&self) -> Result<Followers, BootFault> {
        let (keys, key_manager, thrift) = self.start_key_manager()?;
        let (allowances, throttling) = self.start_traffic_manager()?;
        let (traffic_manager, throttling_face, feed, telling) = match throttling {
            Some(Throttling { for_nodes, router, hook, telling }) => {
                (Some(for_nodes), Some(router), Some(hook), Some(Arc::new(telling)))
            }
            None => (None, None, None, None),
        };
        let for_nodes = NodeFaces { key_manager, traffic_manager };
        let Some(AllowanceFaces { quotas, hook, running }) = allowances else {
            self.cell.set_hooks(feed.into_iter().collect());
            return Ok(Followers {
                keys,
                gateway: None,
                analytics: None,
                allowances: None,
                for_nodes,
                throttling_face,
                telling,
                thrift,
            });
        };
        let events = components::event_settings(self.config, self.node)?;
        if events.is_some() && !self.config.statistics.enabled {
            tracing::warn!("no events of calls are told: they need statistics.enabled = true");
        }
        let analytics = self.config.statistics.enabled.then(|| {
            let settings = components::analytics_settings(self.config, self.node);
            Arc::new(portcullis_analytics::start(settings, self.handle(), events))
        });
        let freshness = Arc::clone(&self.freshness);
        let countries = components::countries(self.config)?;
        if let Some(countries) = &countries {
            tokio::spawn(Arc::clone(countries).follow());
        }
        let countries = countries.map(|countries| -> Arc<dyn Countries> { countries });
        let gathers = |analytics| components::statistics_settings(self.config, analytics, countries);
        let statistics = analytics.as_deref().map(gathers);
        let settings = components::gateway_settings(
            self.config,
            &self.tls,
            &self.cluster_key,
            freshness,
            statistics,
            self.tracing.clone(),
            self.access_log.clone(),
        )?;
        let may_be_private = self.config.gateway.callbacks_may_be_private;
        let places = if may_be_private { callback::Places::PrivateToo } else { callback::Places::Public };
        let (hub, work) = portcullis_store::hub(self.handle(), self.cluster_key.clone(), Arc::clone(&quotas), places);
        tokio::spawn(work);
        let addresses: Option<Arc<dyn Addresses>> = Some(Arc::new(AddressCheck(places)));
        let content_safety = components::content_safety(self.config)?;
        let settings = portcullis_gateway::Settings { webhooks: Some(hub), addresses, content_safety, ..settings };
        let gateway = portcullis_gateway::start(settings, Arc::clone(&keys.keys), quotas, Arc::clone(&keys.oauth))?;
        let gateway = Arc::new(gateway);
        // Allowances first: a route that is new must find its quota.
        self.cell.set_hooks([hook, gateway.hook()].into_iter().chain(feed).collect());
        let allowances = Some(Arc::new(running));
        let gateway = Some(gateway);
        Ok(Followers { keys, gateway, analytics, allowances, for_nodes, throttling_face, telling, thrift })
    }

    /// Starts the Key Manager, or the way to those of other nodes. Returns its ports, what it answers other nodes, and what
    /// it answers by Thrift.
    fn start_key_manager(&self) -> Result<StartedKeyManager, BootFault> {
        let key = self.cluster_key.clone();
        if !self.config.serves(Component::KeyManager) {
            let remote = Arc::new(RemoteKeyManager::new(self.other_nodes(), key.clone()));
            let validation: Arc<dyn KeyValidation> = match self.config.gateway.key_validator_client {
                KeyValidatorClient::Http => Arc::<RemoteKeyManager>::clone(&remote),
                KeyValidatorClient::Thrift => {
                    let reach: Arc<dyn Reach> = Arc::<ThriftReach>::clone(&self.by_thrift);
                    let spending: Arc<dyn KeyValidation> = Arc::<RemoteKeyManager>::clone(&remote);
                    Arc::new(ThriftKeyValidation::new(self.node, key, reach).spending_by(spending))
                }
            };
            let keys = KeyPorts {
                keys: validation,
                authentication: Arc::<RemoteKeyManager>::clone(&remote),
                issuer: Arc::<RemoteKeyManager>::clone(&remote),
                oauth: remote,
                router: None,
                portcullis_v1: None,
                server_v1: None,
            };
            return Ok((keys, None, None));
        }
        let own = portcullis_key_manager::start(self.handle(), key, components::key_manager_settings(self.config)?);
        let keys = KeyPorts {
            keys: own.keys,
            authentication: own.authentication,
            issuer: own.issuer,
            oauth: own.oauth,
            router: Some(own.router),
            portcullis_v1: Some(own.portcullis_v1),
            server_v1: Some(own.server_v1),
        };
        Ok((keys, Some(own.for_nodes), Some(own.thrift)))
    }

    /// Starts the Traffic Manager, what the gateway takes from, or both. A gateway without a Traffic Manager on its node
    /// keeps its own allowances and hands its reports to nodes that have one.
    fn start_traffic_manager(&self) -> Result<(Option<AllowanceFaces>, Option<Throttling>), BootFault> {
        let settings = components::traffic_manager_settings(self.config, self.node, self.data_dir)?;
        let has_gateway = self.config.serves(Component::Gateway);
        if self.config.serves(Component::TrafficManager) {
            let own = portcullis_traffic_manager::start(&settings, self.handle(), has_gateway)?;
            let TrafficManagerFaces { allowances, for_nodes, router, hook, telling } = own;
            return Ok((allowances, Some(Throttling { for_nodes, router, hook, telling })));
        }
        let allowances = has_gateway
            .then(|| portcullis_traffic_manager::start_for_gateway(&settings, self.other_nodes()))
            .transpose()?;
        Ok((allowances, None))
    }

    /// Returns what finds alerts while this node leads, and tells them.
    pub(crate) fn alert_watch(&self, leads: Leads) -> AlertWatch {
        let (handle, subscribers) = (self.handle(), alert_watch::subscribers(self.handle()));
        let bots = alert_watch::bot_subscribers(self.handle());
        AlertWatch::new(move |settings: AlertSettings| {
            let (leads, subscribers, bots) = (Arc::clone(&leads), Arc::clone(&subscribers), Arc::clone(&bots));
            tokio::spawn(portcullis_analytics::watch(settings, handle.clone(), leads, subscribers, bots))
        })
    }

    fn gateway_face(&self, gateway: Arc<Gateway>, places: &Places) -> gateway_face::Face {
        let keys = self.if_served(Component::KeyManager, || self.handle());
        gateway_face::Face { gateway, deployed: self.handle(), keys, places: places.clone() }
    }

    fn statistics_of_pages(&self) -> portcullis_portal::statistics::Source {
        let is_gathered = self.config.statistics.enabled;
        portcullis_analytics::PagesSource::new(self.handle(), ApisOfPublishers::new(self.handle()), is_gathered)
    }

    /// Starts what is served on the management port, and returns its router.
    pub(crate) fn start_management(
        &self,
        keys: KeyPorts,
        throttling: Option<Router>,
        gateway: Option<Arc<Gateway>>,
        control: ClusterPorts,
        own_faces: Router,
        (billing, outside): (Option<BillingEngine>, OutsideServices),
    ) -> Router {
        let places = self.places();
        let at = places.clone();
        let KeyPorts { authentication, issuer, router: key_manager, portcullis_v1: signing_keys, server_v1, .. } = keys;
        let OutsideServices { assistant, audit } = outside;
        let publisher = self.if_served(Component::Publisher, || {
            portcullis_publisher::start(self.handle(), self.cluster_key.clone(), assistant.clone(), audit)
        });
        let store = self.if_served(Component::Store, || {
            let own = components::passwords(self.config);
            let authentication = Arc::clone(&authentication);
            let passwords = portcullis_store::Passwords { authentication, hash: own.hash, policy: own.policy };
            let foreign = Arc::new(ForeignClients::new(self.cluster_key.clone()));
            let has_assistant = assistant.is_some();
            let settings = move || components::store_settings(&at, has_assistant);
            let assistant = assistant.map(|service| (service, self.config.assistant.apis_max));
            let statistics = self.statistics_of_pages();
            portcullis_store::start(self.handle(), issuer, foreign, passwords, settings, statistics, assistant)
        });
        let admin = self.if_served(Component::Admin, || {
            let passwords = components::passwords(self.config);
            portcullis_admin::start(self.handle(), self.cluster_key.clone(), control, passwords, billing)
        });
        let of_components = [
            publisher.as_ref().map(|publisher| publisher.pages.clone()),
            store.as_ref().map(|store| store.pages.clone()),
            admin.as_ref().map(|admin| admin.pages.clone()),
            Some(portcullis_portal::statistics::routes(self.statistics_of_pages(), &self.config.node.components)),
            self.if_served(Component::Admin, || tail::of_page(gateway.clone())),
        ];
        let faces = Faces {
            portal: pages::router(
                of_components.into_iter().flatten(),
                |one| self.config.serves(one),
                &authentication,
                &places,
            ),
            publisher,
            store,
            admin: admin.map(|admin| AdminFaces {
                admin_v4: admin.admin_v4,
                portcullis_v1: admin.portcullis_v1,
                devops_v0: admin.devops_v0,
                internal_v1: admin.internal_v1,
                scim: admin.scim,
                server_v1: admin.server_v1,
                identity: admin.identity,
            }),
            throttling,
            key_manager,
            signing_keys,
            clients: server_v1,
            gateway: gateway.clone().map(|gateway| gateway_face::routes(self.gateway_face(gateway, &places))),
            tail: tail::routes(gateway),
            of_node: own_faces,
            statistics: portcullis_analytics::routes(self.handle(), ApisOfPublishers::new(self.handle())),
        };
        management::router(faces, authentication, Arc::clone(&self.cell), Arc::clone(&self.mint), &places)
    }
}
