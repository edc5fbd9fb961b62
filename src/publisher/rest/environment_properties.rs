//! `/apis/{apiId}/environments/{envId}/keys`: what is other of an API in one environment.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body};
use serde_json::json;

use super::answer::{flat, read as read_answer, wrote};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{GetEnvironmentProperties, PutEnvironmentProperties};

const SCOPES: &[&str] = &["apim:api_create", "apim:api_manage"];

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, environment)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let message = GetEnvironmentProperties { asker: request.asker(SCOPES)?, api, environment };
    let seen = flat(publisher.ask(message).await)?;
    Ok(read_answer(&request.headers, &json!(seen.value), seen.index))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((api, environment)): Path<(String, String)>,
    Body(properties): Body<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let message = PutEnvironmentProperties { asker: request.asker(SCOPES)?, api, environment, properties };
    let written = flat(publisher.ask(message).await)?;
    Ok(wrote(StatusCode::OK, &written, json!(written.value)))
}
