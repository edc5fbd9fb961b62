//! `/apis/{apiId}/monetize`, `/apis/{apiId}/monetization` and `/apis/{apiId}/revenue`: whether the use of an API is billed, and
//! what it brings in.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, Stamped};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, read as read_answer};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{GetMonetization, GetRevenue, Monetize};

const CHANGE: &[&str] = &["apim:api_publish", "apim:api_manage"];
const VIEW: &[&str] = &["apim:api_view", "apim:api_publish", "apim:api_manage"];
/// Properties that are kept of an API.
const PROPERTIES_MAX: usize = 50;
/// Characters of the name or the text of one.
const PROPERTY_CHARS_MAX: usize = 1_000;

#[derive(Deserialize)]
pub struct MonetizationBody {
    enabled: bool,
    #[serde(default)]
    properties: Option<BTreeMap<String, String>>,
}

pub async fn monetize(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<MonetizationBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let properties = body.properties.unwrap_or_default();
    let is_long = |text: &String| text.chars().count() > PROPERTY_CHARS_MAX;
    if properties.len() > PROPERTIES_MAX || properties.iter().any(|(name, text)| is_long(name) || is_long(text)) {
        let reason = format!(
            "properties: must be at most {PROPERTIES_MAX} texts of at most {PROPERTY_CHARS_MAX} characters, by name"
        );
        return Err(ApiError::bad_request(reason));
    }
    let written = flat(publisher.ask(Monetize { asker, id, is_enabled: body.enabled, properties }).await)?;
    Ok(Stamped { body: StatusCode::CREATED, index: written.index, unreached: written.unreached }.into_response())
}

/// Says what each plan costs, and whether that is billed.
pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetMonetization { asker, id }).await)?;
    let view = seen.value;
    let plans: Map<String, Value> = view
        .plans
        .into_iter()
        .map(|(plan, terms)| {
            let told = match terms {
                Some(terms) => json!({"isMonetized": view.is_enabled, "properties": terms.properties()}),
                None => json!({"isMonetized": false, "properties": {}}),
            };
            (plan, told)
        })
        .collect();
    let body = json!({
        "enabled": view.is_enabled,
        "properties": view.properties.as_object().cloned().unwrap_or_default(),
        "monetizedPolicies": plans,
        "lastPublishedTime": view.taken_at.map(|at| at.0.to_string()),
    });
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn revenue(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetRevenue { asker, id }).await)?;
    Ok(read_answer(&request.headers, &json!({"properties": seen.value}), seen.index))
}
