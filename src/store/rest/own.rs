//! The Store's part of Portcullis' own API: what the DevPortal's contract has no paths for.

use axum::Router;
use axum::routing::{delete, get};
use portcullis_actor::Address;

use super::{Face, api_keys};
use crate::actor::Store;

/// Returns the routes, without prefix.
pub(crate) fn routes(address: Address<Store>) -> Router {
    Router::new()
        .route("/applications/{applicationId}/api-keys", get(api_keys::list))
        .route("/applications/{applicationId}/api-keys/{keyId}", delete(api_keys::delete))
        .with_state(Face(address))
}
