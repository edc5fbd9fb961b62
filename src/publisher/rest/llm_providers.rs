//! `/llm-providers`: what APIs can be made for. They are changed in Admin alone.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::contract::llm_provider::LlmProvider;
use portcullis_model::asset::AssetKind;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, read_bytes};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{ListAssets, Seen};

const VIEW: &[&str] = &["apim:llm_provider_read"];

async fn all(publisher: &Address<Publisher>, request: &Request) -> Result<Seen<Vec<LlmProvider>>, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(ListAssets { asker, kind: AssetKind::LlmProvider, api: None }).await)?;
    Ok(Seen { value: LlmProvider::all(seen.value.iter()), index: seen.index })
}

async fn one(publisher: &Address<Publisher>, request: &Request, id: &str) -> Result<Seen<LlmProvider>, ApiError> {
    let seen = all(publisher, request).await?;
    let found = seen.value.into_iter().find(|provider| provider.id.to_string() == id);
    Ok(Seen { value: found.ok_or_else(|| ApiError::not_found("LLM provider", id))?, index: seen.index })
}

pub async fn list(State(publisher): State<Address<Publisher>>, request: Request) -> Result<Response, ApiError> {
    let seen = all(&publisher, &request).await?;
    let list: Vec<Value> = seen.value.iter().map(LlmProvider::write_summary).collect();
    Ok(read_answer(&request.headers, &json!({"count": list.len(), "list": list}), seen.index))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &id).await?;
    Ok(read_answer(&request.headers, &seen.value.write(), seen.index))
}

pub async fn definition(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &id).await?;
    let text = seen.value.definition;
    let media_type = if text.trim_start().starts_with('{') { "application/json" } else { "application/yaml" };
    Ok(read_bytes(&request.headers, text.into_bytes(), media_type, seen.index))
}

pub async fn endpoint_configuration(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &id).await?;
    Ok(read_answer(&request.headers, &seen.value.write_endpoint_configuration(), seen.index))
}

pub async fn models(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, &request, &id).await?;
    Ok(read_answer(&request.headers, &json!(seen.value.models), seen.index))
}
