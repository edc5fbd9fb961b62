//! The management port's router: mounts the components' faces at their paths and puts around them what all share.

use std::sync::Arc;

use axum::Router;
use portcullis_database::{Proposer, StateCell};
use portcullis_http::{auth, idempotency, layers, problem};
use portcullis_model::port::Authentication;

use crate::reads::with_freshness;

/// The faces of the components, without their prefixes.
#[derive(Debug)]
pub(crate) struct Faces {
    pub(crate) publisher: Router,
    pub(crate) store: Router,
    pub(crate) admin_v4: Router,
    pub(crate) portcullis_v1: Router,
    /// Signs its callers in itself.
    pub(crate) key_manager: Router,
    /// The web pages; they sign their visitors in themselves.
    pub(crate) portal: Router,
}

/// Below this the errors are problem details (RFC 9457) and not the original's.
const OWN_API: &str = "/api/portcullis/";

/// Puts the router together.
pub(crate) fn router(
    faces: Faces,
    authentication: Arc<dyn Authentication>,
    cell: Arc<StateCell>,
    proposer: Arc<dyn Proposer>,
) -> Router {
    let signed = Router::new()
        .nest("/api/am/publisher/v4", faces.publisher)
        .nest("/api/am/devportal/v3", faces.store)
        .nest("/api/am/admin/v4", faces.admin_v4)
        .nest("/api/portcullis/v1", faces.portcullis_v1);
    // What is added last is outermost: who somebody is comes before the body is read.
    let signed = with_freshness(idempotency::layer(signed), cell, proposer);
    let signed = auth::with_authentication(signed, authentication);
    problem::below(OWN_API, layers::finish(signed.merge(faces.key_manager).merge(faces.portal)))
}
