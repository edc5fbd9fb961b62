//! The service catalogue (Service Catalog v1): services that integration runtimes announce, from which APIs are made. It
//! calls no service and fetches no definition.

mod rest;
mod service;
mod transfer;
mod usage;

use axum::Router;
use axum::routing::{get, post};
use portcullis_actor::Address;

use crate::actor::Publisher;

pub(crate) use rest::find_by_key;
pub(crate) use service::{Service, digest_of};

/// Returns the routes, without prefix.
pub(crate) fn routes(publisher: Address<Publisher>) -> Router {
    Router::new()
        .route("/services", get(rest::list).post(rest::create))
        .route("/services/export", get(transfer::export))
        .route("/services/import", post(transfer::import))
        .route("/services/{serviceId}", get(rest::show).put(rest::update).delete(rest::delete))
        .route("/services/{serviceId}/definition", get(rest::definition))
        .route("/services/{serviceId}/usage", get(usage::list))
        .route("/settings", get(rest::settings))
        .with_state(publisher)
}
