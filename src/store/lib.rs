//! The Store: where developers find APIs, register applications, get keys and subscribe (WSO2's DevPortal REST API v3).
//!
//! An actor answers the messages of [`messages`]; the REST handlers are thin faces over them. It issues no token
//! itself (that is the Key Manager's, through [`TokenIssuer`]) and carries no API call (the gateway does).

mod actor;
mod apis;
mod applications;
mod catalog;
mod definition;
mod dto;
mod error;
#[cfg(test)]
mod journeys;
mod key_request;
mod keys;
mod messages;
mod passwords;
mod policies;
mod rest;
mod search;
mod settings;
mod subscriptions;

use std::sync::Arc;

use portcullis_database::{Handle, access};
use portcullis_model::port::TokenIssuer;

pub use passwords::Passwords;
pub use settings::{GatewayUrls, Settings};

/// Requests that the Store takes at a time: most of them wait for a commit, which takes milliseconds.
const CAPACITY: usize = 1024;

/// Starts the Store and returns its REST face: the paths of the DevPortal contract, without prefix. `node` mounts it
/// at `/api/am/devportal/v3` behind sign-in. `settings` says where things are, and is asked each time.
pub fn start(
    handle: Handle<access::Store>,
    issuer: Arc<dyn TokenIssuer>,
    passwords: Passwords,
    settings: impl Fn() -> Settings + Send + Sync + 'static,
) -> axum::Router {
    let desk = actor::Desk::new(handle, issuer, passwords, Arc::new(settings));
    let address = portcullis_actor::spawn("store", CAPACITY, move || actor::Store::new(desk.clone()));
    rest::routes(address)
}
