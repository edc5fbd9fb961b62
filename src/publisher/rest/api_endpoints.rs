//! `/apis/{apiId}/endpoints`: endpoints that have names, among which an API chooses.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, List, PageQuery, Stamped};
use serde_json::{Map, Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::dto::api_endpoint::write;
use crate::messages::{DeleteApiEndpoint, ListApiEndpoints, PutApiEndpoint};

const VIEW: &[&str] =
    &["apim:api_view", "apim:api_create", "apim:api_manage", "apim:api_publish", "apim:api_import_export"];
const MANAGE: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish", "apim:api_import_export"];

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, page.page()?);
    let path = format!("/apis/{api}/endpoints");
    let seen = flat(publisher.ask(ListApiEndpoints { asker, api }).await)?;
    let bodies: Vec<Value> = seen.value.iter().map(write).collect();
    Ok(read_answer(&request.headers, &json!(List::of(bodies, page).with_links(&path, "")), seen.index))
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let message = PutApiEndpoint { asker: request.asker(MANAGE)?, api, id: None, is_new: true, fields };
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::CREATED, &written, write(&written.value)))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(ListApiEndpoints { asker: request.asker(VIEW)?, api }).await)?;
    let found = seen.value.iter().find(|one| one.id == id);
    let found = found.ok_or_else(|| ApiError::not_found("API endpoint", &id))?;
    Ok(read_answer(&request.headers, &write(found), seen.index))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let message = PutApiEndpoint { asker: request.asker(MANAGE)?, api, id: Some(id), is_new: false, fields };
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::OK, &written, write(&written.value)))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let message = DeleteApiEndpoint { asker: request.asker(MANAGE)?, api, id };
    let written = flat(publisher.ask(message).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}
