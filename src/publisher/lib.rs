//! The Publisher: designs, documents, versions, publishes and deploys APIs.
//!
//! Its interface is [`messages`]; the paths of the REST contract in [`rest`] are a thin face over them. It carries no
//! API calls and knows no gateway: what it deploys is a projection in the state that gateways read.

pub mod actor;
mod archive;
mod catalogue;
mod design;
pub mod dto;
mod external_stores;
pub mod fault;
mod governance;
pub mod messages;
mod mock;
pub mod openapi;
mod outside;
mod own_policy;
mod pages;
pub mod registry;
pub mod rest;

use std::sync::Arc;

use axum::Router;
use portcullis_database::{ClusterKey, Handle, access};
use portcullis_http::outside::OutsideService;

pub use crate::outside::SecurityAudit;

use crate::actor::Publisher;
use crate::registry::Registry;

/// Messages that wait or are in work at a time.
const MAILBOX_CAPACITY: usize = 256;

/// The faces of the Publisher.
#[derive(Debug)]
pub struct Faces {
    /// The REST paths, to be mounted at `/api/am/publisher/v4`. The node adds sign-in, idempotency and bounds around them.
    pub publisher_v4: Router,
    /// The service catalogue, to be mounted at `/api/am/service-catalog/v1`.
    pub service_catalog_v1: Router,
    /// Governance, to be mounted at `/api/am/governance/v1`.
    pub governance_v1: Router,
    /// The web pages, to be mounted at the root, within what all pages share.
    pub pages: Router,
}

/// Starts the Publisher's actor and returns its faces.
///
/// `assistant` and `audit` are the services outside of this system that publishers are answered by, where there are such.
pub fn start(
    handle: Handle<access::Publisher>,
    key: ClusterKey,
    assistant: Option<OutsideService>,
    audit: Option<SecurityAudit>,
) -> Faces {
    let has_assistant = outside::HasAssistant(assistant.is_some());
    let registry = Arc::new(Registry::new(handle, key));
    let address = portcullis_actor::spawn("publisher", MAILBOX_CAPACITY, move || Publisher::new(Arc::clone(&registry)));
    Faces {
        publisher_v4: rest::routes(address.clone()).layer(axum::Extension(has_assistant)).merge(outside::routes(
            address.clone(),
            assistant,
            audit,
        )),
        service_catalog_v1: catalogue::routes(address.clone()),
        governance_v1: governance::routes(address.clone()),
        pages: pages::routes(address),
    }
}
