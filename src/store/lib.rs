//! The Store: where developers find APIs, register applications, get keys and subscribe (WSO2's DevPortal REST API v3).
//!
//! An actor answers the messages of [`messages`]; the REST handlers are thin faces over them. It issues no token
//! itself (that is the Key Manager's, through [`TokenIssuer`]) and carries no API call (the gateway does).

mod actor;
mod api_keys;
mod apis;
mod application_archives;
mod applications;
mod aside;
mod catalog;
mod comments;
mod definition;
mod designs;
mod documents;
mod dto;
mod error;
mod find_all;
mod foreign_keys;
#[cfg(test)]
mod journeys;
mod key_request;
mod keys;
mod looks;
mod mapped_keys;
mod messages;
mod pages;
mod passwords;
mod policies;
mod ratings;
mod recommendations;
mod rest;
mod sdk;
mod search;
mod secrets;
mod settings;
mod subscriptions;
mod webhooks;

use std::sync::Arc;

use portcullis_database::{Handle, access};
use portcullis_http::outside::OutsideService;
use portcullis_model::port::{ForeignClients, TokenIssuer};
use portcullis_portal::statistics::Source;

pub use passwords::Passwords;
pub use settings::{GatewayUrls, Settings};
pub use webhooks::{Hub, hub};

/// Requests that the Store takes at a time: most of them wait for a commit, which takes milliseconds.
const CAPACITY: usize = 1024;

/// The REST faces of the Store, without prefixes. `node` mounts them behind sign-in.
#[derive(Debug)]
pub struct StoreFaces {
    /// The paths of the DevPortal contract, for `/api/am/devportal/v3`.
    pub devportal_v3: axum::Router,
    /// What is Portcullis' alone, for `/api/portcullis/v1`.
    pub portcullis_v1: axum::Router,
    /// The web pages, to be mounted at the root, within what all pages share.
    pub pages: axum::Router,
}

/// Starts the Store and returns its REST faces. `settings` says where things are, and is asked each time; `statistics`
/// are what its pages show of calls; `assistant` is the service that visitors are assisted by, and how many APIs it takes in,
/// where there is one.
pub fn start(
    handle: Handle<access::Store>,
    issuer: Arc<dyn TokenIssuer>,
    foreign: Arc<dyn ForeignClients>,
    passwords: Passwords,
    settings: impl Fn() -> Settings + Send + Sync + 'static,
    statistics: Source,
    assistant: Option<(OutsideService, u64)>,
) -> StoreFaces {
    let desk = actor::Desk::new(handle, issuer, foreign, passwords, Arc::new(settings));
    let address = portcullis_actor::spawn("store", CAPACITY, move || actor::Store::new(desk.clone()));
    StoreFaces {
        devportal_v3: rest::routes(address.clone()).merge(rest::assistant::routes(address.clone(), assistant)),
        portcullis_v1: rest::own::routes(address.clone()),
        pages: pages::routes(address, statistics),
    }
}
