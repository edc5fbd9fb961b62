//! Services outside of this system that publishers are answered by: one that assists in designing APIs, and one that
//! audits the security of their definitions.

mod audit;
mod design;

use axum::Router;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_http::outside::OutsideService;

use crate::actor::Publisher;

pub use self::audit::SecurityAudit;

/// Whether there is a service that assists: what the settings tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HasAssistant(pub(crate) bool);

/// Returns the routes; where there is no service, they say so.
pub(crate) fn routes(
    publisher: Address<Publisher>,
    assistant: Option<OutsideService>,
    audit: Option<SecurityAudit>,
) -> Router {
    let designing = Router::new()
        .route("/design-assistant/chat", post(design::chat))
        .route("/design-assistant/generate-api-payload", post(design::generate))
        .with_state(assistant);
    let auditing = Router::new()
        .route("/apis/{apiId}/auditapi", get(audit::report))
        .with_state(audit::Audited { publisher, audit });
    designing.merge(auditing)
}
