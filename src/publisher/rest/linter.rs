//! `/linter-custom-rules`: the rules by which the original's pages judge a definition while it is written.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_actor::Address;
use portcullis_http::ApiError;

use super::answer::flat;
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::GetLinterRules;

pub async fn rules(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let asker = request.asker(&["apim:api_view"])?;
    let rules = flat(publisher.ask(GetLinterRules { asker }).await)?.value;
    let rules = rules.ok_or_else(|| ApiError::not_found("LinterCustomRules in the tenant's configuration", "rules"))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], rules).into_response())
}
