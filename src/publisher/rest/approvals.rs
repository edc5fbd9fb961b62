//! `/workflows`: subscriptions that wait for a publisher's decision; `/subscriptions/…` about plans and subscribers;
//! `/key-managers`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, PageQuery, Stamped};
use portcullis_model::KeyManager;
use portcullis_model::SubscriptionId;
use portcullis_model::task::{Task, TaskKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, read as read_answer};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::messages::{
    ChangePlan, DecideSubscription, GetSubscriber, ListKeyManagers, ListSubscriptionTasks, Subscriber,
};

const VIEW: &[&str] = &["apim:subscription_approval_view"];
const DECIDE: &[&str] = &["apim:subscription_approval_manage"];
const PLANS: &[&str] = &["apim:subscription_manage"];
const SUBSCRIBERS: &[&str] = &["apim:api_view", "apim:subscription_view", "apim:subscription_manage"];
const KEY_MANAGERS: &[&str] = &["apim:api_view", "apim:api_create", "apim:api_manage"];
/// The name of the key manager that is part of every cluster.
const RESIDENT: &str = "Resident Key Manager";

fn write(task: &Task) -> Value {
    let properties: Map<String, Value> =
        task.properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "workflowType": format!("AM_{}", task.subject.kind().as_contract()),
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
pub struct ListQuery {
    workflow_type: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, query.page.page()?);
    let mut found = flat(publisher.ask(ListSubscriptionTasks { asker }).await)?;
    if let Some(text) = query.workflow_type.filter(|text| !text.is_empty()) {
        // Changes of subscriptions do not wait: of those there are none.
        let kind = TaskKind::named(&text);
        found.value.retain(|task| Some(task.subject.kind()) == kind);
    }
    let list: Vec<Value> = found.value.iter().skip(page.offset).take(page.limit).map(|task| write(task)).collect();
    let link = |offset: usize| format!("/workflows?limit={}&offset={offset}", page.limit);
    let after = page.offset.saturating_add(page.limit);
    let next = if after < found.value.len() { link(after) } else { String::new() };
    let previous = if page.offset > 0 { link(page.offset.saturating_sub(page.limit)) } else { String::new() };
    let body = json!({"count": list.len(), "list": list, "next": next, "previous": previous});
    Ok(read_answer(&request.headers, &body, found.index))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = flat(publisher.ask(ListSubscriptionTasks { asker: request.asker(VIEW)? }).await)?;
    let task = found.value.iter().find(|task| task.id.to_string() == id);
    let task = task.ok_or_else(|| ApiError::not_found("workflow", id))?;
    Ok(read_answer(&request.headers, &write(task), found.index))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecideQuery {
    workflow_reference_id: Option<String>,
}

/// The contract's `Workflow`.
#[derive(Deserialize)]
pub struct Decision {
    status: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    description: Option<String>,
}

pub async fn decide(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<DecideQuery>,
    Body(body): Body<Decision>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DECIDE)?;
    let id = required("workflowReferenceId", query.workflow_reference_id)?;
    let id = id.parse().map_err(|_| ApiError::not_found("workflow", &id))?;
    let status = body.status.to_ascii_uppercase();
    let is_approved = match status.as_str() {
        "APPROVED" => true,
        "REJECTED" => false,
        other => return Err(ApiError::bad_request(format!("status: must be APPROVED or REJECTED, not `{other}`"))),
    };
    let done = flat(publisher.ask(DecideSubscription { asker, id, is_approved }).await)?;
    let body = json!({"status": status, "attributes": body.attributes, "description": body.description});
    Ok(Stamped { body: Json(body).into_response(), index: done.index, unreached: done.unreached }.into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanQuery {
    subscription_id: Option<String>,
    business_plan: Option<String>,
}

fn subscription_id(text: &str) -> Result<SubscriptionId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("subscription", text))
}

pub async fn change_plan(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<PlanQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(PLANS)?;
    let id = subscription_id(&required("subscriptionId", query.subscription_id)?)?;
    let plan = required("businessPlan", query.business_plan)?;
    let done = flat(publisher.ask(ChangePlan { asker, id, plan }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: done.index, unreached: done.unreached }.into_response())
}

pub async fn subscriber(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(SUBSCRIBERS)?;
    let found = flat(publisher.ask(GetSubscriber { asker, id: subscription_id(&id)? }).await)?;
    let Subscriber { name, attributes } = found.value;
    let texts = attributes.iter().filter_map(|(uri, value)| Some((uri, value.as_str()?)));
    let claims: Vec<Value> = texts.map(|(uri, value)| json!({"name": uri, "uri": uri, "value": value})).collect();
    Ok(read_answer(&request.headers, &json!({"name": name, "claims": claims}), found.index))
}

fn write_key_manager(one: &KeyManager) -> Value {
    let said: Map<String, Value> = serde_json::from_str(&one.other_fields).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    json!({
        "id": one.id.to_string(),
        "name": one.name,
        "displayName": if text("displayName").is_empty() { one.name.as_str() } else { text("displayName") },
        "type": text("type"),
        "description": text("description"),
        "enabled": one.is_enabled,
        "additionalProperties": [],
    })
}

pub async fn key_managers(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let found = flat(publisher.ask(ListKeyManagers { asker: request.list_asker(KEY_MANAGERS)? }).await)?;
    let resident = json!({
        "id": RESIDENT,
        "name": RESIDENT,
        "displayName": RESIDENT,
        "type": "default",
        "description": "The key manager that is part of every cluster",
        "enabled": true,
        "additionalProperties": [],
    });
    let list: Vec<Value> =
        std::iter::once(resident).chain(found.value.iter().map(|one| write_key_manager(one))).collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), found.index))
}
