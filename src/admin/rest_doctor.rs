//! `/cluster/doctor` and `/debug/actors` of Portcullis' own API: thin faces over the messages.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_actor::Address;
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::NodeId;
use portcullis_model::facts::{ActorFacts, NodeFacts};
use serde::Serialize;

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::diagnosis::{Finding, Outcome};
use crate::examine_handlers::{Examine, ListActors};
use crate::rest_cluster::operator;

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new().route("/cluster/doctor", get(examine)).route("/debug/actors", get(actors)).with_state(admin)
}

#[derive(Serialize)]
struct DiagnosisBody {
    /// Whether every finding is `ok`.
    is_well: bool,
    findings: Vec<Finding>,
    nodes: Vec<NodeBody>,
}

#[derive(Serialize)]
struct NodeBody {
    node: NodeId,
    name: String,
    clock_ahead_ms: i64,
    clock_error_ms: u64,
    /// What the node said of itself; `null` where it did not answer.
    facts: Option<NodeFacts>,
}

async fn examine(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<DiagnosisBody>, Problem> {
    operator(signed)?;
    let found = admin.ask(Examine).await.map_err(AdminError::from)?;
    let nodes = found.nodes.into_iter().map(|node| NodeBody {
        node: node.node,
        name: node.name,
        clock_ahead_ms: node.clock_ahead_ms,
        clock_error_ms: node.clock_error_ms,
        facts: node.facts,
    });
    let is_well = found.findings.iter().all(|finding| finding.outcome == Outcome::Ok);
    Ok(Json(DiagnosisBody { is_well, findings: found.findings, nodes: nodes.collect() }))
}

#[derive(Serialize)]
struct ActorsBody {
    count: usize,
    list: Vec<ActorBody>,
}

#[derive(Serialize)]
struct ActorBody {
    node: NodeId,
    #[serde(flatten)]
    actor: ActorFacts,
}

async fn actors(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<ActorsBody>, Problem> {
    operator(signed)?;
    let nodes = admin.ask(ListActors).await.map_err(AdminError::from)?;
    let list: Vec<ActorBody> = nodes
        .into_iter()
        .flat_map(|(node, actors)| actors.into_iter().map(move |actor| ActorBody { node, actor }))
        .collect();
    Ok(Json(ActorsBody { count: list.len(), list }))
}
