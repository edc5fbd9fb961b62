//! `/apis/{apiId}/generate-key`: a key with which a publisher tries out an API.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::internal_key::INTERNAL_KEY_VALIDITY_S;
use serde_json::json;

use super::answer::flat;
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::GenerateInternalKey;

pub(crate) const GENERATE: &[&str] = &["apim:api_generate_key", "apim:api_manage"];

pub async fn generate(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(GenerateInternalKey { asker: request.asker(GENERATE)?, api }).await)?;
    let body = Json(json!({"apikey": seen.value, "validityTime": INTERNAL_KEY_VALIDITY_S}));
    let mut body = body.into_response();
    body.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Stamped { body, index: seen.index, unreached: Vec::new() }.into_response())
}
