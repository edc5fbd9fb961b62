//! The management port's router: mounts the components' faces at their paths and puts around them what all share. What
//! this node does not serve is answered with the nodes that do.

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::ACCEPT;
use http::{HeaderMap, Method, Uri};
use portcullis_database::{Proposer, StateCell};
use portcullis_http::{ApiError, layers, problem};
use portcullis_model::Component;
use portcullis_model::port::Authentication;
use portcullis_store::StoreFaces;

use crate::places::Places;
use crate::reads::{Entrance, tell_index};
use crate::tenant_paths;

/// The faces of the components that this node serves, without their prefixes.
#[derive(Debug)]
pub(crate) struct Faces {
    pub(crate) publisher: Option<portcullis_publisher::Faces>,
    pub(crate) store: Option<StoreFaces>,
    pub(crate) admin: Option<AdminFaces>,
    /// The Traffic Manager's part of Portcullis' own API.
    pub(crate) throttling: Option<Router>,
    /// Signs its callers in itself.
    pub(crate) key_manager: Option<Router>,
    /// The Key Manager's part of Portcullis' own API.
    pub(crate) signing_keys: Option<Router>,
    /// The Key Manager's part of the interfaces of the original's server.
    pub(crate) clients: Option<Router>,
    /// The gateway's part of Portcullis' own API.
    pub(crate) tail: Router,
    /// The original's API of a gateway.
    pub(crate) gateway: Option<Router>,
    /// The node's own part of Portcullis' own API: its configuration, reports about it.
    pub(crate) of_node: Router,
    /// The statistics' part of Portcullis' own API.
    pub(crate) statistics: Router,
    /// The web pages; they sign their visitors in themselves.
    pub(crate) portal: Router,
}

/// The faces of Admin.
#[derive(Debug)]
pub(crate) struct AdminFaces {
    pub(crate) admin_v4: Router,
    pub(crate) portcullis_v1: Router,
    pub(crate) devops_v0: Router,
    pub(crate) internal_v1: Router,
    pub(crate) scim: Router,
    pub(crate) server_v1: Router,
    pub(crate) identity: Router,
}

/// Where the components' contracts are.
const PUBLISHER: &str = "/api/am/publisher/v4";
/// The service catalogue, which the Publisher keeps.
const SERVICE_CATALOG: &str = "/api/am/service-catalog/v1";
/// Governance of APIs, which the Publisher does.
const GOVERNANCE: &str = "/api/am/governance/v1";
const STORE: &str = "/api/am/devportal/v3";
const ADMIN: &str = "/api/am/admin/v4";
const GATEWAY: &str = "/api/am/gateway/v2";
const DEVOPS: &str = "/api/am/devops/v0";
/// What the original's control plane tells its gateways.
const INTERNAL: &str = "/internal/data/v1";
const OWN: &str = "/api/portcullis/v1";
/// Users and roles by SCIM 2.0.
const SCIM: &str = "/scim2";
/// The original's interfaces of its server.
const SERVER: &str = "/api/server/v1";
/// Admin's part of it, where that is on another node.
const TENANTS: [&str; 2] = ["/tenants", "/tenants/{*path}"];
/// The Key Manager's part of it, where that is on another node.
const CLIENTS: [&str; 6] = [
    "/applications",
    "/applications/{*path}",
    "/claim-dialects",
    "/claim-dialects/{*path}",
    "/oidc/scopes",
    "/oidc/scopes/{*path}",
];
/// What people do who cannot sign in.
const IDENTITY: &str = "/api/identity";
/// The Traffic Manager's part of it, where that is on another node.
const THROTTLING: &str = "/throttling/{*path}";
/// The Key Manager's part of it, where that is on another node.
const SIGNING_KEYS: [&str; 3] = ["/signing-keys", "/signing-keys/{id}", "/trusted-issuers"];
/// The Store's part of it, where that is on another node.
const API_KEYS: &str = "/applications/{*path}";
/// Below this the errors are problem details (RFC 9457) and not the original's.
const OWN_API: &str = "/api/portcullis/";
/// What the Key Manager serves at the root.
const KEY_MANAGER: [&str; 3] = ["/oauth2", "/client-registration", "/.well-known"];
/// The pages, each with its component.
const PAGES: [(&str, Component); 7] = [
    ("/publisher", Component::Publisher),
    ("/publisher/{*path}", Component::Publisher),
    ("/devportal", Component::Store),
    ("/devportal/{*path}", Component::Store),
    ("/admin", Component::Admin),
    ("/admin/{*path}", Component::Admin),
    ("/sign-up", Component::Admin),
];

/// Puts the router together.
pub(crate) fn router(
    faces: Faces,
    authentication: Arc<dyn Authentication>,
    cell: Arc<StateCell>,
    proposer: Arc<dyn Proposer>,
    places: &Places,
) -> Router {
    let (mut routes, mut signed) = (elsewhere(&faces, places), vec![OWN, SERVER]);
    if let Some(publisher) = faces.publisher {
        routes = routes.nest(PUBLISHER, publisher.publisher_v4).nest(SERVICE_CATALOG, publisher.service_catalog_v1);
        routes = routes.nest(GOVERNANCE, publisher.governance_v1);
        signed.extend([PUBLISHER, SERVICE_CATALOG, GOVERNANCE]);
    }
    if let Some(gateway) = faces.gateway {
        routes = routes.nest(GATEWAY, gateway);
        signed.push(GATEWAY);
    }
    // A route and no fallback: a fallback within a nested router is forgotten where that is nested once more.
    let own = faces
        .throttling
        .unwrap_or_else(|| Router::new().route(THROTTLING, any(refuser(places, Component::TrafficManager))));
    let own = own.merge(faces.signing_keys.unwrap_or_else(|| paths_at(places, Component::KeyManager, &SIGNING_KEYS)));
    let own = own.merge(faces.tail).merge(faces.of_node).merge(faces.statistics);
    let clients = faces.clients.unwrap_or_else(|| paths_at(places, Component::KeyManager, &CLIENTS));
    let own = match faces.store {
        Some(store) => {
            routes = routes.nest(STORE, store.devportal_v3);
            signed.push(STORE);
            own.merge(store.portcullis_v1)
        }
        None => own.route(API_KEYS, any(refuser(places, Component::Store))),
    };
    let own = match faces.admin {
        Some(admin) => {
            routes = routes.nest(ADMIN, admin.admin_v4).nest(SCIM, admin.scim).nest(DEVOPS, admin.devops_v0);
            routes = routes.nest(INTERNAL, admin.internal_v1);
            routes = routes.nest(SERVER, admin.server_v1.merge(clients)).nest(IDENTITY, admin.identity);
            signed.extend([ADMIN, SCIM, IDENTITY, DEVOPS, INTERNAL]);
            own.merge(admin.portcullis_v1)
        }
        None => {
            routes = routes.nest(SERVER, paths_at(places, Component::Admin, &TENANTS).merge(clients));
            own.merge(at(places, Component::Admin))
        }
    };
    routes = routes.nest(OWN, own);
    if let Some(key_manager) = faces.key_manager {
        routes = routes.merge(key_manager);
    }
    let routes = layers::with_fallbacks(routes.merge(faces.portal)).fallback(no_such_path);
    let entrance = Arc::new(Entrance::new(signed, authentication, Arc::clone(&cell), proposer));
    layers::surround(routes, move |request, rest| {
        let (cell, entrance) = (Arc::clone(&cell), Arc::clone(&entrance));
        async move {
            let admitted = |request| entrance.answer(request, |request| rest.run(request));
            let guarded = |request| layers::guard(request, admitted);
            let answered = |request| problem::below(OWN_API, request, guarded);
            tell_index(&cell, request, |request| tenant_paths::below(&cell, request, answered)).await
        }
    })
}

/// Paths below which programs ask: some of them say that they take pages too.
const OF_PROGRAMS: [&str; 5] = ["/api/", "/oauth2/", "/internal/", "/scim2/", "/.well-known/"];

async fn no_such_path(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    refused(reads_pages(&method, uri.path(), &headers), ApiError::no_such_path())
}

/// Says whether who asks looks at pages: a browser that opens one, at a path that is not one of programs.
pub(crate) fn reads_pages(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let is_of_programs = OF_PROGRAMS.iter().any(|begin| path.starts_with(begin));
    matches!(*method, Method::GET | Method::HEAD) && accepted.contains("text/html") && !is_of_programs
}

/// Says why there is no answer at a path: by a page, or as the contract of REST has it.
pub(crate) fn refused(by_page: bool, error: ApiError) -> Response {
    if by_page { portcullis_portal::refuse(&error) } else { error.into_response() }
}

/// Returns the answer of a component that is on other nodes, to whatever path.
fn at(places: &Places, component: Component) -> Router {
    Router::new().fallback(refuser(places, component))
}

/// The same at some paths alone.
fn paths_at(places: &Places, component: Component, paths: &[&str]) -> Router {
    paths.iter().fold(Router::new(), |router, path| router.route(path, any(refuser(places, component))))
}

/// Returns the handler that names the nodes of a component.
fn refuser(places: &Places, component: Component) -> impl FnOnce() -> Ready<ApiError> + Clone + Send + Sync + 'static {
    let places = places.clone();
    move || ready(places.elsewhere(component))
}

/// Returns the answers at the paths of what this node does not serve.
fn elsewhere(faces: &Faces, places: &Places) -> Router {
    let missing = [
        (faces.publisher.is_none(), PUBLISHER, Component::Publisher),
        (faces.publisher.is_none(), SERVICE_CATALOG, Component::Publisher),
        (faces.publisher.is_none(), GOVERNANCE, Component::Publisher),
        (faces.store.is_none(), STORE, Component::Store),
        (faces.admin.is_none(), ADMIN, Component::Admin),
        (faces.gateway.is_none(), GATEWAY, Component::Gateway),
        (faces.admin.is_none(), SCIM, Component::Admin),
        (faces.admin.is_none(), DEVOPS, Component::Admin),
        (faces.admin.is_none(), IDENTITY, Component::Admin),
    ];
    let of_key_manager = KEY_MANAGER.map(|path| (faces.key_manager.is_none(), path, Component::KeyManager));
    let mut router = Router::new();
    for (is_missing, path, component) in missing.into_iter().chain(of_key_manager) {
        if is_missing {
            router = router.nest(path, at(places, component));
        }
    }
    for (path, component) in PAGES {
        let is_missing = match component {
            Component::Publisher => faces.publisher.is_none(),
            Component::Store => faces.store.is_none(),
            _ => faces.admin.is_none(),
        };
        if is_missing {
            let places = places.clone();
            let page = move |_request: Request| {
                let page: Response = portcullis_portal::refuse(&places.elsewhere(component)).into_response();
                async move { page }
            };
            router = router.route(path, any(page));
        }
    }
    router
}
