//! The key manager's HTTP faces: thin over its messages. What is answered is decided behind them.

mod applications;
mod browser;
mod claim_dialects;
mod device;
mod discovery;
mod federation;
mod form;
mod gateway;
mod identity_providers;
mod metadata;
mod oauth;
mod registration;
mod reply;
mod signing_keys;
mod trusted_issuers;

pub(crate) use discovery::GRANT_TYPES;
pub(crate) use gateway::{GatewayFace, whole};

use std::sync::Arc;

use axum::Router;
use portcullis_actor::Address;
use portcullis_model::port::Authentication;

use crate::actor::KeyManager;
use crate::authority::Authority;

/// Returns the key manager's part of Portcullis' own API.
pub(crate) fn own_routes(address: Address<KeyManager>) -> Router {
    signing_keys::routes(address.clone()).merge(trusted_issuers::routes(address))
}

/// Returns the key manager's part of the original's interfaces of its server.
pub(crate) fn server_routes(address: &Address<KeyManager>) -> Router {
    applications::routes(address).merge(claim_dialects::routes(address)).merge(identity_providers::routes(address))
}

/// Returns the routes at the root of the management port: `/oauth2/…`, `/.well-known/…`, `/client-registration/…`.
///
/// They sign callers in themselves, because the credentials on most of them are a client's and not a user's: no
/// authentication layer must lie around them.
pub(crate) fn routes(
    address: &Address<KeyManager>,
    authentication: Arc<dyn Authentication>,
    authority: &Arc<Authority>,
) -> Router {
    oauth::routes(address.clone())
        .merge(browser::routes(browser::Desk { address: address.clone(), authority: Arc::clone(authority) }))
        .merge(federation::routes(browser::Desk { address: address.clone(), authority: Arc::clone(authority) }))
        .merge(device::routes(browser::Desk { address: address.clone(), authority: Arc::clone(authority) }))
        .merge(metadata::routes(address.clone(), Arc::clone(&authentication)))
        .merge(discovery::routes(&authority.settings))
        .merge(registration::routes(address.clone(), authentication))
}
