//! `/throttling-policies` and the business plans of an API, for reading.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, List, PageQuery};
use portcullis_model::{PolicyLevel, Quota};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::dto::policy;
use crate::messages::{GetApi, ListPolicies};

pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:tier_view", "apim:tier_manage"];
pub(crate) const OF_API: &[&str] = &["apim:api_view", "apim:api_manage"];

fn level_of(text: &str) -> Result<PolicyLevel, ApiError> {
    policy::level_from_contract(text)
        .ok_or_else(|| ApiError::bad_request(format!("policyLevel: is `{text}`; subscription and api are accepted")))
}

/// What of a level is listed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    is_ai_api: Option<bool>,
    #[serde(flatten)]
    page: PageQuery,
}

/// The plans that count events.
pub async fn streaming(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(page): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(VIEW)?;
    let page = page.page()?;
    let seen = flat(publisher.ask(ListPolicies { asker, level: PolicyLevel::Subscription }).await)?;
    let plans = seen.value.iter().filter(|one| matches!(one.quota, Quota::Events(_)));
    let all: Vec<Value> = plans.map(|one| policy::write_whole(one)).collect();
    let list = List::of(all, page).with_links("/throttling-policies/streaming/subscription", "");
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(level): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(VIEW)?;
    let page = query.page.page()?;
    let path = format!("/throttling-policies/{level}");
    let level = level_of(&level)?;
    let seen = flat(publisher.ask(ListPolicies { asker, level }).await)?;
    let is_for_ai = |quota: Quota| matches!(quota, Quota::AiTokens { .. });
    let wanted = seen.value.iter().filter(|one| query.is_ai_api.is_none_or(|is| is == is_for_ai(one.quota)));
    let all: Vec<Value> = wanted.map(|one| policy::write(one)).collect();
    let tail = query.is_ai_api.map(|is| format!("isAiApi={is}")).unwrap_or_default();
    let list = List::of(all, page).with_links(&path, &tail);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((level, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let level = level_of(&level)?;
    let seen = flat(publisher.ask(ListPolicies { asker, level }).await)?;
    let found = seen.value.iter().find(|one| one.name == name);
    let found = found.ok_or_else(|| ApiError::not_found("policy", name))?;
    Ok(read_answer(&request.headers, &policy::write(found), seen.index))
}

/// The business plans that the API offers.
pub async fn of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(OF_API)?;
    let api = flat(publisher.ask(GetApi { asker: asker.clone(), id }).await)?.value.api;
    let seen = flat(publisher.ask(ListPolicies { asker, level: PolicyLevel::Subscription }).await)?;
    let plans = seen.value.iter().filter(|one| api.plans.contains(&one.name));
    let list: Vec<Value> = plans.map(|one| policy::write(one)).collect();
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}
