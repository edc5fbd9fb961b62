//! `/apis/{apiId}/api-chat` and `/marketplace-assistant`: what people ask in their own words goes to a service outside of
//! this system, in the form in which the original's takes it, and its answers come back in the contract's.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_http::outside::{OutsideService, not_configured};
use portcullis_http::{ApiError, Body, Stamped};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Face;
use super::query::{Query, id, word};
use super::visitor::MaySubscribe;
use crate::actor::Store;
use crate::messages::{CountApis, GetDefinition, Visitor};

/// Characters of what is asked at once.
const QUERY_CHARS_MAX: usize = 10_000;
/// Messages that were said before.
const HISTORY_MAX: usize = 100;
/// Characters of the id of a talk.
const REQUEST_ID_CHARS_MAX: usize = 128;
/// The version whose interface this is.
const VERSION: &str = "4.5.0";
const NAME: &str = "assistant";
const KEY: &str = "assistant.url";

#[derive(Clone)]
struct Assisted {
    face: Face,
    assistant: Option<(OutsideService, u64)>,
}

impl Assisted {
    fn service(&self) -> Result<&OutsideService, ApiError> {
        self.assistant.as_ref().map(|(service, _)| service).ok_or_else(|| not_configured(NAME, KEY))
    }
}

/// Returns the routes; where there is no service, they say so.
pub(crate) fn routes(address: Address<Store>, assistant: Option<(OutsideService, u64)>) -> Router {
    Router::new()
        .route("/apis/{apiId}/api-chat", post(talk))
        .route("/marketplace-assistant/chat", post(find))
        .route("/marketplace-assistant/api-count", get(count))
        .with_state(Assisted { face: Face(address), assistant })
}

/// Keeps of an answer what the contract has.
fn only(answer: &Value, fields: &[&str]) -> Value {
    let kept = fields.iter().filter_map(|name| Some(((*name).to_owned(), answer.get(*name)?.clone())));
    Value::Object(kept.collect())
}

#[derive(Clone, Copy)]
enum Action {
    Prepare,
    Execute,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TalkQuery {
    api_chat_action: Option<String>,
}

/// The contract's `ApiChatRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TalkBody {
    #[serde(default)]
    api_chat_request_id: String,
    command: Option<String>,
    api_spec: Option<Value>,
    response: Option<Value>,
}

async fn talk(
    State(assisted): State<Assisted>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
    Query(query): Query<TalkQuery>,
    Body(body): Body<TalkBody>,
) -> Result<Response, ApiError> {
    let service = assisted.service()?;
    let words = [("PREPARE", Action::Prepare), ("EXECUTE", Action::Execute)];
    let action = word("apiChatAction", Some(query.api_chat_action.as_deref().unwrap_or_default()), &words)?;
    let talk_id = HeaderValue::from_str(&body.api_chat_request_id).ok();
    let is_id = (1..=REQUEST_ID_CHARS_MAX).contains(&body.api_chat_request_id.len());
    let talk_id = talk_id.filter(|_| is_id).ok_or_else(|| {
        ApiError::bad_request(format!("apiChatRequestId: must have 1 to {REQUEST_ID_CHARS_MAX} characters"))
    })?;
    check_text("command", body.command.as_deref().unwrap_or_default())?;
    // Whoever may not see an API does not talk about it.
    let asked = GetDefinition { visitor: subscriber.as_visitor(), api: id("API", &api)?, environment: None };
    let definition = assisted.face.ask(asked).await?;
    let (path, sent) = match action {
        Action::Prepare => ("/ai/api-chat/prepare", json!({"openapi": definition.body, "apim_version": VERSION})),
        Action::Execute => {
            let given =
                [("command", body.command.map(Value::String)), ("apiSpec", body.api_spec), ("response", body.response)];
            let given: Map<String, Value> =
                given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            if given.is_empty() {
                return Err(ApiError::bad_request("body: must have a command and an apiSpec, or a response"));
            }
            ("/ai/api-chat/execute", Value::Object(given))
        }
    };
    let header = (HeaderName::from_static("apichatrequestid"), talk_id);
    let answer = service.post(path, &[header], &sent).await?;
    let body = only(&answer, &["apiSpec", "queries", "taskStatus", "resource", "result"]);
    Ok(Stamped { body: (StatusCode::CREATED, Json(body)), index: definition.index, unreached: Vec::new() }
        .into_response())
}

fn check_text(field: &str, text: &str) -> Result<(), ApiError> {
    if text.chars().count() <= QUERY_CHARS_MAX {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("{field}: may have at most {QUERY_CHARS_MAX} characters")))
}

/// The contract's `ChatMessage`.
#[derive(Deserialize, Serialize)]
struct Said {
    role: String,
    content: String,
}

/// The contract's `MarketplaceAssistantRequest`.
#[derive(Deserialize)]
struct FindBody {
    query: String,
    history: Vec<Said>,
}

/// Asks for APIs in one's own words. Only who is signed in may: each question costs whoever pays for the service.
async fn find(
    State(assisted): State<Assisted>,
    visitor: Visitor,
    Body(body): Body<FindBody>,
) -> Result<Response, ApiError> {
    let service = assisted.service()?;
    if visitor.user.is_none() {
        return Err(ApiError::unauthorized("Sign in to ask the assistant.").with_challenge());
    }
    if body.query.trim().is_empty() {
        return Err(ApiError::bad_request("query: must not be empty"));
    }
    if body.history.len() > HISTORY_MAX {
        return Err(ApiError::bad_request(format!("history: may have at most {HISTORY_MAX} messages")));
    }
    check_text("query", &body.query)?;
    body.history.iter().try_for_each(|said| check_text("history", &said.content))?;
    let roles: Vec<String> = visitor.roles.iter().map(|role| role.0.to_lowercase()).collect();
    let sent = json!({
        "query": body.query,
        "history": json!(body.history).to_string(),
        "tenant_domain": visitor.tenant.0,
        "userRoles": json!(roles).to_string(),
        "apim_version": VERSION,
    });
    let answer = service.post("/ai/marketplace-assistant/chat", &[], &sent).await?;
    let mut found = only(&answer, &["response"]);
    let apis = answer.get("apis").and_then(Value::as_array).into_iter().flatten();
    found["apis"] = apis.map(|api| only(api, &["apiId", "apiName", "version"])).collect();
    Ok((StatusCode::CREATED, Json(found)).into_response())
}

/// Counts the APIs that the assistant can find for a visitor.
async fn count(State(assisted): State<Assisted>, visitor: Visitor) -> Result<Response, ApiError> {
    let (_, limit) = assisted.assistant.as_ref().ok_or_else(|| not_configured(NAME, KEY))?;
    let counted = assisted.face.ask(CountApis { visitor }).await?;
    let body = Json(json!({"count": counted.body, "limit": limit}));
    Ok(Stamped { body, index: counted.index, unreached: counted.unreached }.into_response())
}
