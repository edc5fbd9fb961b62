//! `/workflows` of the Admin v4 contract: a thin face over the messages.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, MaybeKey, PageQuery, Signed, Stamped};
use portcullis_model::task::{Task, TaskKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::handlers::{DecideTask, ListTasks};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

pub(crate) const VIEW: &[&str] = &["apim:admin", "apim:api_workflow_view"];
pub(crate) const DECIDE: &[&str] = &["apim:admin", "apim:api_workflow_approve"];

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/workflows", get(list))
        .route("/workflows/update-workflow-status", post(decide))
        .route("/workflows/{externalWorkflowRef}", get(show))
        .with_state(admin.clone())
}

fn write(task: &Task) -> Value {
    let properties: Map<String, Value> =
        task.properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "workflowType": task.subject.kind().as_contract(),
        "workflowStatus": "CREATED",
        "createdTime": rfc3339(task.created_at),
        "updatedTime": rfc3339(task.created_at),
        "referenceId": task.id.to_string(),
        "properties": properties,
        "description": task.description,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    workflow_type: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let page = query.page.page()?;
    let mut found = admin.ask(ListTasks { tenant: signed.0.principal.tenant }).await.map_err(AdminError::from)?;
    if let Some(text) = query.workflow_type.filter(|text| !text.is_empty()) {
        // Of a kind that never waits there are none.
        let kind = TaskKind::named(&text);
        found.retain(|task| Some(task.subject.kind()) == kind);
    }
    let list: Vec<Value> = found.iter().skip(page.offset).take(page.limit).map(|task| write(task)).collect();
    let link = |offset: usize| format!("/workflows?limit={}&offset={offset}", page.limit);
    let after = page.offset.saturating_add(page.limit);
    let next = if after < found.len() { link(after) } else { String::new() };
    let previous = if page.offset > 0 { link(page.offset.saturating_sub(page.limit)) } else { String::new() };
    Ok(Json(json!({"count": list.len(), "list": list, "next": next, "previous": previous})))
}

async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let all = admin.ask(ListTasks { tenant: signed.0.principal.tenant }).await.map_err(AdminError::from)?;
    let found = all.iter().find(|task| task.id.to_string() == id);
    found.map(|task| Json(write(task))).ok_or_else(|| ApiError::not_found("workflow", id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DecideQuery {
    workflow_reference_id: Option<String>,
}

/// The contract's `Workflow`.
#[derive(Deserialize)]
struct Decision {
    status: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    description: Option<String>,
}

async fn decide(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Query(query): Query<DecideQuery>,
    Body(body): Body<Decision>,
) -> Result<Response, ApiError> {
    signed.require(DECIDE)?;
    let id = query.workflow_reference_id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| ApiError::bad_request("the query parameter workflowReferenceId must be there"))?;
    let id = id.parse().map_err(|_| ApiError::not_found("workflow", &id))?;
    let is_approved = match body.status.to_ascii_uppercase().as_str() {
        "APPROVED" => true,
        "REJECTED" => false,
        other => return Err(ApiError::bad_request(format!("status: must be APPROVED or REJECTED, not `{other}`"))),
    };
    let message = DecideTask { caller: caller(signed, key), id, is_approved };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let body = json!({
        "status": if is_approved { "APPROVED" } else { "REJECTED" },
        "attributes": body.attributes,
        "description": body.description,
    });
    Ok(Stamped { body: Json(body).into_response(), index, unreached }.into_response())
}
