//! `/throttling` of Portcullis' own API: who holds what of each counter, usage, resets, the message store, the feed.

mod counters;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_database::Handle;
use portcullis_database::access::TrafficManager as Rights;
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::port::Identity;
use portcullis_model::{NodeId, Principal};
use serde::Serialize;

use crate::feed::Feed;
use crate::intake::Intake;
use crate::reporter::{Reporter, StoreStanding};

/// What the face needs.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) handle: Handle<Rights>,
    /// What reports on this node, where it has a gateway.
    pub(crate) reporter: Option<Arc<Reporter>>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) feed: Arc<Feed>,
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(face: Face) -> Router {
    Router::new()
        .route("/throttling/counters", get(counters::list))
        .route("/throttling/counters/reset", post(counters::reset))
        .route("/throttling/usage", get(counters::usage))
        .route("/throttling/message-store", get(message_store))
        .route("/throttling/stream", get(stream::stream))
        .with_state(face)
}

/// Returns who asks, where that is an administrator.
fn administrator(signed: Result<Signed, ApiError>) -> Result<Identity, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    Ok(signed.0)
}

/// The same for what concerns all tenants.
fn operator(signed: Result<Signed, ApiError>) -> Result<Principal, Problem> {
    let principal = administrator(signed)?.principal;
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    Ok(principal)
}

async fn message_store(State(face): State<Face>, signed: Result<Signed, ApiError>) -> Result<Json<StoreBody>, Problem> {
    operator(signed)?;
    let own = face.reporter.as_ref().map(|reporter| reporter.store_standing()).unwrap_or_default();
    let of_other = |(node, incarnation, sequence)| OfOther { node, incarnation, sequence };
    let of_others = face.intake.waiting().into_iter().map(of_other).collect();
    Ok(Json(StoreBody { own, of_others }))
}

/// What is in this node's message store.
#[derive(Serialize)]
struct StoreBody {
    #[serde(flatten)]
    own: StoreStanding,
    of_others: Vec<OfOther>,
}

/// A report of a node without a Traffic Manager.
#[derive(Serialize)]
struct OfOther {
    node: NodeId,
    incarnation: u64,
    sequence: u64,
}
