//! `/apis/change-lifecycle`, `/apis/{apiId}/lifecycle-state`, `/apis/{apiId}/lifecycle-history`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::LifecycleAction;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, insisted_on, read as read_answer, wrote};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::dto::lifecycle;
use crate::messages::{CancelStateChange, ChangeLifecycle, GetApi, GetLifecycleHistory};

pub(crate) const CHANGE: &[&str] = &["apim:api_publish", "apim:api_manage", "apim:api_import_export"];
pub(crate) const STATE: &[&str] = &["apim:api_view", "apim:api_publish", "apim:api_create", "apim:api_manage"];
pub(crate) const CANCEL: &[&str] = &["apim:api_publish", "apim:api_manage"];
pub(crate) const HISTORY: &[&str] = &["apim:api_view", "apim:api_publish", "apim:api_manage"];

#[derive(Deserialize)]
pub struct ChangeQuery {
    action: Option<String>,
    #[serde(rename = "lifecycleChecklist")]
    checklist: Option<String>,
    #[serde(rename = "apiId", alias = "apiProductId")]
    api_id: Option<String>,
}

pub async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ChangeQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let id = required("apiId", query.api_id)?;
    let action = required("action", query.action)?;
    let action: LifecycleAction = action.parse().map_err(|_| {
        let all = LifecycleAction::ALL.map(LifecycleAction::as_contract).join(", ");
        ApiError::bad_request(format!("action: is `{action}`; one of {all} is accepted"))
    })?;
    let checklist = lifecycle::read_checklist(query.checklist.as_deref().unwrap_or_default())?;
    insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let written = flat(publisher.ask(ChangeLifecycle { asker, id, action, checklist }).await)?;
    Ok(wrote(StatusCode::OK, &written, lifecycle::write_change(written.value.0, written.value.1)))
}

pub async fn state(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(STATE)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    Ok(read_answer(&request.headers, &lifecycle::write(seen.value.api.lifecycle), seen.index))
}

/// Takes back a change that waits for a decision.
pub async fn cancel(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let done = flat(publisher.ask(CancelStateChange { asker: request.asker(CANCEL)?, id }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: done.index, unreached: done.unreached }.into_response())
}

pub async fn history(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(HISTORY)?;
    let seen = flat(publisher.ask(GetLifecycleHistory { asker, id }).await)?;
    let list: Vec<Value> = seen.value.iter().map(|event| lifecycle::write_event(event)).collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}
