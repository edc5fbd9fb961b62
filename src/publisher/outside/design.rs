//! `/design-assistant`: APIs designed in one's own words, in a talk that the service remembers by its id.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use portcullis_http::outside::{OutsideService, not_configured};
use portcullis_http::{ApiError, Body};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rest::request::Request;

const SCOPES: &[&str] = &["apim:api_create", "apim:api_manage"];
/// Characters of what is said at once.
const TEXT_CHARS_MAX: usize = 10_000;
/// Characters of the id of a talk.
const SESSION_CHARS_MAX: usize = 128;
const CHAT_FIELDS: [&str; 8] =
    ["backendResponse", "isSuggestions", "typeOfApi", "code", "paths", "apiTypeSuggestion", "missingValues", "state"];

#[derive(Deserialize)]
pub(super) struct DesignBody {
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    text: String,
}

impl DesignBody {
    fn check(&self) -> Result<(), ApiError> {
        if !(1..=SESSION_CHARS_MAX).contains(&self.session_id.chars().count()) {
            return Err(ApiError::bad_request(format!("session_id: must have 1 to {SESSION_CHARS_MAX} characters")));
        }
        if self.text.chars().count() > TEXT_CHARS_MAX {
            return Err(ApiError::bad_request(format!("text: may have at most {TEXT_CHARS_MAX} characters")));
        }
        Ok(())
    }
}

fn service(assistant: Option<OutsideService>) -> Result<OutsideService, ApiError> {
    assistant.ok_or_else(|| not_configured("assistant", "assistant.url"))
}

pub(super) async fn chat(
    State(assistant): State<Option<OutsideService>>,
    request: Request,
    Body(body): Body<DesignBody>,
) -> Result<Response, ApiError> {
    request.asker(SCOPES)?;
    let service = service(assistant)?;
    body.check()?;
    let sent = json!({"text": body.text, "session_id": body.session_id});
    let answer = service.post("/ai/design-assistant/chat", &[], &sent).await?;
    let kept = CHAT_FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), answer.get(*name)?.clone())));
    Ok(Json(Value::Object(kept.collect())).into_response())
}

pub(super) async fn generate(
    State(assistant): State<Option<OutsideService>>,
    request: Request,
    Body(body): Body<DesignBody>,
) -> Result<Response, ApiError> {
    request.asker(SCOPES)?;
    let service = service(assistant)?;
    body.check()?;
    let sent = json!({"session_id": body.session_id});
    let answer = service.post("/ai/design-assistant/generate-api-payload", &[], &sent).await?;
    // A text, or the payload itself.
    let payload = answer.get("generated_payload").unwrap_or(&answer);
    let payload = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
    Ok(Json(json!({"generated_payload": payload})).into_response())
}
