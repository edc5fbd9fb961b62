//! `/apis/{apiId}/sequence-backend`: sequences that answer in the place of an API's backends.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, MultipartForm, Stamped};
use portcullis_model::KeyType;
use portcullis_model::mediation::own_answer::SequenceBackend;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, read_bytes, wrote_api};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{DeleteSequence, ListSequences, PutSequence};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage", "apim:api_import_export", "apim:api_product_import_export"];
const CHANGE: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];
const DELETE: &[&str] = &["apim:api_delete", "apim:api_manage", "apim:api_import_export"];

fn stage_of(text: &str) -> Result<KeyType, ApiError> {
    let found = [KeyType::Production, KeyType::Sandbox].into_iter().find(|stage| stage.as_contract() == text);
    found.ok_or_else(|| ApiError::bad_request(format!("type: is {text}; PRODUCTION and SANDBOX are accepted")))
}

fn name_of(api: &str, one: &SequenceBackend) -> String {
    format!("{api}-{}", one.stage.as_contract())
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListSequences { asker: request.asker(VIEW)?, api: api.clone() }).await)?;
    let write = |one: &SequenceBackend| {
        json!({
            "sequenceId": one.id,
            "sequenceName": name_of(&api, one),
            "sequenceType": one.stage.as_contract(),
            "sequence": one.content,
        })
    };
    let list: Vec<Value> = seen.value.iter().map(write).collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}

pub async fn put(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let stage = stage_of(form.part("type")?.text("type")?.trim())?;
    let content = form.part("sequence")?.text("sequence")?.to_owned();
    let written = flat(publisher.ask(PutSequence { asker, api, stage, content }).await)?;
    Ok(wrote_api(StatusCode::OK, &written))
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, stage)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let stage = stage_of(&stage)?;
    let seen = flat(publisher.ask(ListSequences { asker: request.asker(VIEW)?, api: api.clone() }).await)?;
    let found = seen.value.iter().find(|one| one.stage == stage);
    let found = found.ok_or_else(|| ApiError::not_found("Sequence backend", stage.as_contract()))?;
    let bytes = found.content.clone().into_bytes();
    let mut response = read_bytes(&request.headers, bytes, "application/xml", seen.index);
    let named = format!("attachment; filename=\"{}.xml\"", name_of(&api, found));
    response.headers_mut().extend(HeaderValue::from_str(&named).ok().map(|named| (CONTENT_DISPOSITION, named)));
    Ok(response)
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, stage)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let message = DeleteSequence { asker: request.asker(DELETE)?, api, stage: stage_of(&stage)? };
    let written = flat(publisher.ask(message).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}
