//! The key manager's HTTP faces: thin over its messages. What is answered is decided behind them.

mod discovery;
mod form;
mod gateway;
mod oauth;
mod registration;
mod reply;

pub(crate) use gateway::{GatewayFace, whole};

use std::sync::Arc;

use axum::Router;
use portcullis_actor::Address;
use portcullis_model::port::Authentication;

use crate::actor::KeyManager;
use crate::settings::Settings;

/// Returns the routes at the root of the management port: `/oauth2/…`, `/.well-known/…`, `/client-registration/…`.
///
/// They sign callers in themselves, because the credentials on most of them are a client's and not a user's: no
/// authentication layer must lie around them.
pub(crate) fn routes(
    address: &Address<KeyManager>,
    authentication: Arc<dyn Authentication>,
    settings: &Settings,
) -> Router {
    oauth::routes(address.clone())
        .merge(discovery::routes(settings))
        .merge(registration::routes(address.clone(), authentication))
}
