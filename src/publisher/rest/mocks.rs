//! `/apis/{apiId}/generate-mock-scripts` and `/apis/{apiId}/generated-mock-scripts`.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::definitions::CREATE;
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{GenerateMocks, GetMocks};
use crate::openapi::aside;
use crate::openapi::document::parse_text;

/// Writes the scripts into the definition, and answers with it.
pub async fn generate(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let written = flat(publisher.ask(GenerateMocks { asker: request.asker(CREATE)?, api }).await)?;
    let text = std::sync::Arc::clone(&written.value.definition);
    let document = aside(move || parse_text(&text)).await.flatten()?;
    Ok(wrote(StatusCode::OK, &written, document))
}

/// Returns the scripts that would be written.
pub async fn generated(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(GetMocks { asker: request.asker(CREATE)?, api }).await)?;
    let list: Vec<Value> = seen
        .value
        .iter()
        .map(|(path, verb, content)| json!({"path": path, "verb": verb, "content": content}))
        .collect();
    Ok(read_answer(&request.headers, &json!({"list": list}), seen.index))
}
