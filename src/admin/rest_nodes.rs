//! `/cluster/nodes`, `/cluster/plan` and `/cluster/leader` of Portcullis' own API: a thin face over the messages. Errors
//! are problem details (RFC 9457).

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::{Caller, Committed};
use portcullis_http::{ApiError, Body, Problem, Signed, Stamped};
use portcullis_model::cluster::{ClusterRefusal, ClusterStatus, NodeStatus};
use portcullis_model::{MembershipChange, MembershipPlan, NodeId, NodeRole};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::membership_body::PlanBody;
use crate::messages::{
    ApplyPlan, ChangeMembership, DescribeCluster, DrainNode, RevertPlan, ShowPlan, StageChange, TransferLeadership,
};
use crate::rest_cluster::operator;

type Face = State<Address<Admin>>;

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new()
        .route("/cluster/nodes", get(list))
        .route("/cluster/nodes/{id}", get(show).delete(remove))
        .route("/cluster/nodes/{id}/role", put(set_role))
        .route("/cluster/nodes/{id}/replacement", put(replace))
        .route("/cluster/nodes/{id}/drain", put(drain).delete(undrain))
        .route("/cluster/leader", post(transfer))
        .route("/cluster/plan", get(show_plan).delete(revert_plan))
        .route("/cluster/plan/apply", post(apply_plan))
        .with_state(admin)
}

/// What may be said of every change.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    force: Option<String>,
    plan: Option<String>,
}

impl Wish {
    /// Says whether a rule that only keeps the cluster strong may be passed over.
    fn has_force(&self) -> Result<bool, Problem> {
        flag("force", self.force.as_deref())
    }

    /// Says whether the change is only to be planned.
    fn is_planned(&self) -> Result<bool, Problem> {
        flag("plan", self.plan.as_deref())
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, Problem> {
    match value {
        None | Some("false") => Ok(false),
        Some("true" | "") => Ok(true),
        Some(other) => Err(Problem::bad_request(format!("{name}: must be true or false, not `{other}`"))),
    }
}

fn node_of(id: &str) -> Result<NodeId, Problem> {
    id.parse().map(NodeId).map_err(|_| Problem::not_found("node", id))
}

#[derive(Serialize)]
struct NodeList {
    count: usize,
    list: Vec<NodeStatus>,
}

async fn nodes(admin: &Address<Admin>) -> Result<Vec<NodeStatus>, Problem> {
    let ClusterStatus { nodes, .. } = admin.ask(DescribeCluster).await.map_err(AdminError::from)?;
    Ok(nodes)
}

async fn list(State(admin): Face, signed: Result<Signed, ApiError>) -> Result<Json<NodeList>, Problem> {
    operator(signed)?;
    let list = nodes(&admin).await?;
    Ok(Json(NodeList { count: list.len(), list }))
}

async fn show(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
) -> Result<Json<NodeStatus>, Problem> {
    operator(signed)?;
    let node = node_of(&id)?;
    let found = nodes(&admin).await?.into_iter().find(|one| one.id == node);
    found.map(Json).ok_or_else(|| AdminError::Cluster(ClusterRefusal::NoSuchNode(node)).into())
}

/// Makes a change, or plans it where that is asked for: 204, or 202 with the plan.
async fn change(
    admin: &Address<Admin>,
    caller: Caller,
    wish: &Wish,
    change: MembershipChange,
) -> Result<Response, Problem> {
    if wish.is_planned()? {
        let staged = admin.ask(StageChange { caller, change }).await.map_err(AdminError::from)??;
        return Ok(planned(StatusCode::ACCEPTED, staged));
    }
    let force = wish.has_force()?;
    admin.ask(ChangeMembership { change, force }).await.map_err(AdminError::from)??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn planned(status: StatusCode, plan: Committed<MembershipPlan>) -> Response {
    let body = (status, Json(PlanBody::from(plan.reply)));
    Stamped { body, index: plan.index, unreached: plan.unreached }.into_response()
}

async fn remove(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    change(&admin, caller, &wish, MembershipChange::Remove { node: node_of(&id)? }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    role: String,
}

async fn set_role(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
    body: Result<Body<RoleBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let node = node_of(&id)?;
    let Body(RoleBody { role }) = body?;
    let role = NodeRole::of_name(&role)
        .ok_or_else(|| Problem::bad_request(format!("role: must be voter or learner, not `{role}`")))?;
    change(&admin, caller, &wish, MembershipChange::SetRole { node, role }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacementBody {
    node: NodeId,
}

async fn replace(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
    body: Result<Body<ReplacementBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    let old = node_of(&id)?;
    let Body(ReplacementBody { node: new }) = body?;
    change(&admin, caller, &wish, MembershipChange::Replace { old, new }).await
}

#[derive(Serialize)]
struct DrainReply {
    node: NodeId,
    is_drained: bool,
    /// Whether the node was heard to know it.
    has_heard: bool,
}

async fn drain(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
    Query(wish): Query<Wish>,
) -> Result<Json<DrainReply>, Problem> {
    let caller = operator(signed)?;
    let (node, force) = (node_of(&id)?, wish.has_force()?);
    if wish.is_planned()? {
        return Err(Problem::bad_request("plan: draining changes no membership and is not planned"));
    }
    let message = DrainNode { node, drained_by: Some(caller.principal.to_string()), force };
    let has_heard = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Json(DrainReply { node, is_drained: true, has_heard }))
}

async fn undrain(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    Path(id): Path<String>,
) -> Result<Json<DrainReply>, Problem> {
    operator(signed)?;
    let node = node_of(&id)?;
    let message = DrainNode { node, drained_by: None, force: false };
    let has_heard = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Json(DrainReply { node, is_drained: false, has_heard }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaderBody {
    node: Option<NodeId>,
}

#[derive(Serialize)]
struct LeaderReply {
    leader: NodeId,
}

async fn transfer(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    body: Result<Body<LeaderBody>, ApiError>,
) -> Result<Json<LeaderReply>, Problem> {
    operator(signed)?;
    let Body(LeaderBody { node: to }) = body?;
    let leader = admin.ask(TransferLeadership { to }).await.map_err(AdminError::from)??;
    Ok(Json(LeaderReply { leader }))
}

async fn show_plan(State(admin): Face, signed: Result<Signed, ApiError>) -> Result<Json<PlanBody>, Problem> {
    operator(signed)?;
    Ok(Json(admin.ask(ShowPlan).await.map_err(AdminError::from)??.into()))
}

async fn revert_plan(State(admin): Face, signed: Result<Signed, ApiError>) -> Result<Response, Problem> {
    let caller = operator(signed)?;
    Ok(planned(StatusCode::OK, admin.ask(RevertPlan { caller }).await.map_err(AdminError::from)??))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyBody {
    version: u64,
    #[serde(default)]
    force: bool,
}

async fn apply_plan(
    State(admin): Face,
    signed: Result<Signed, ApiError>,
    body: Result<Body<ApplyBody>, ApiError>,
) -> Result<StatusCode, Problem> {
    operator(signed)?;
    let Body(ApplyBody { version, force }) = body?;
    admin.ask(ApplyPlan { version, force }).await.map_err(AdminError::from)??;
    Ok(StatusCode::NO_CONTENT)
}
