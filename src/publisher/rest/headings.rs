//! `/api-categories`, `/labels` and the labels of an API.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body};
use portcullis_model::HeadingId;
use portcullis_model::heading::{Heading, HeadingKind, LABELS_PER_API_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{LabelApi, ListHeadings, ListLabels};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
const VIEW_OF_API: &[&str] = &["apim:api_view", "apim:api_create", "apim:api_manage", "apim:api_publish"];
const LABEL: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];

/// Writes labels, of which the contract has pages; there are few enough for one.
fn write_labels(all: &[Arc<Heading>]) -> Value {
    let mut body = write(all);
    let count = all.len();
    body["pagination"] = json!({"offset": 0, "limit": count, "total": count, "next": "", "previous": ""});
    body
}

fn write(all: &[Arc<Heading>]) -> Value {
    let body = |one: &Arc<Heading>| json!({"id": one.id.to_string(), "name": one.name, "description": one.description});
    json!({"count": all.len(), "list": all.iter().map(body).collect::<Vec<_>>()})
}

async fn list(publisher: &Address<Publisher>, request: &Request, kind: HeadingKind) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListHeadings { asker: request.list_asker(VIEW)?, kind }).await)?;
    let body = if kind == HeadingKind::Label { write_labels(&seen.value) } else { write(&seen.value) };
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn categories(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    list(&publisher, &request, HeadingKind::Category).await
}

pub async fn labels(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    list(&publisher, &request, HeadingKind::Label).await
}

pub async fn of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListLabels { asker: request.asker(VIEW_OF_API)?, id }).await)?;
    Ok(read_answer(&request.headers, &write_labels(&seen.value), seen.index))
}

/// The contract's `RequestLabelList`.
#[derive(Deserialize)]
pub struct LabelsBody {
    labels: Vec<String>,
}

impl LabelsBody {
    fn ids(&self) -> Result<Vec<HeadingId>, ApiError> {
        if self.labels.len() > LABELS_PER_API_MAX {
            return Err(ApiError::bad_request(format!("labels: at most {LABELS_PER_API_MAX} are accepted")));
        }
        let id = |text: &String| {
            text.parse().map_err(|_| ApiError::bad_request(format!("labels: there is no label {text}")))
        };
        self.labels.iter().map(id).collect()
    }
}

async fn label(publisher: &Address<Publisher>, message: LabelApi) -> Result<Response, ApiError> {
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::OK, &written, write(&written.value)))
}

pub async fn attach(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<LabelsBody>,
) -> Result<Response, ApiError> {
    let message = LabelApi { asker: request.asker(LABEL)?, id, attach: body.ids()?, detach: Vec::new() };
    label(&publisher, message).await
}

pub async fn detach(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<LabelsBody>,
) -> Result<Response, ApiError> {
    let message = LabelApi { asker: request.asker(LABEL)?, id, attach: Vec::new(), detach: body.ids()? };
    label(&publisher, message).await
}
