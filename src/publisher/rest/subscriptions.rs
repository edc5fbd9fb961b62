//! `/subscriptions` as a publisher sees them.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, List, PageQuery};
use portcullis_model::{Refused, SubscriptionId, SubscriptionState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::dto::subscription;
use crate::fault::PublisherError;
use crate::messages::{GetSubscriptionUsage, ListSubscriptions, SetSubscriptionState, SubscriptionView};

pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:subscription_view", "apim:subscription_manage"];
pub(crate) const BLOCK: &[&str] = &["apim:subscription_block", "apim:subscription_manage"];

fn body_of(view: &SubscriptionView) -> Value {
    subscription::write(&view.subscription, view.application.as_deref(), view.subscription_count)
}

#[derive(Deserialize)]
pub struct ListQuery {
    #[serde(rename = "apiId")]
    api_id: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
    query: Option<String>,
}

/// The subscriptions, oldest first; `query` chooses by application, subscriber, plan or status.
pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(VIEW)?;
    let page = PageQuery { limit: query.limit, offset: query.offset }.page()?;
    let api = query.api_id.filter(|api| !api.is_empty());
    let tail = api.as_ref().map(|api| format!("apiId={api}")).unwrap_or_default();
    let wanted = query.query.map(|query| query.to_lowercase()).filter(|query| !query.is_empty());
    let seen = flat(publisher.ask(ListSubscriptions { asker, api, query: wanted, page }).await)?;
    let (views, total) = seen.value;
    let shown = views.iter().map(body_of).collect();
    let list = List::part(shown, total, page).with_links("/subscriptions", &tail);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

/// How many calls were made by a subscription, and what they cost: what an invoice is made from.
pub async fn usage(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(VIEW)?;
    let id = id.parse().map_err(|_| ApiError::not_found("subscription", &id))?;
    let seen = flat(publisher.ask(GetSubscriptionUsage { asker, id }).await)?;
    Ok(read_answer(&request.headers, &json!({"properties": seen.value}), seen.index))
}

#[derive(Deserialize)]
pub struct StateQuery {
    #[serde(rename = "subscriptionId")]
    subscription_id: Option<String>,
    #[serde(rename = "blockState")]
    block_state: Option<String>,
}

pub async fn block(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<StateQuery>,
) -> Result<Response, ApiError> {
    let state = match required("blockState", query.block_state)?.as_str() {
        "BLOCKED" => SubscriptionState::Blocked,
        "PROD_ONLY_BLOCKED" => SubscriptionState::ProdOnlyBlocked,
        other => {
            let reason = format!("blockState: is `{other}`; BLOCKED and PROD_ONLY_BLOCKED are accepted");
            return Err(ApiError::bad_request(reason));
        }
    };
    set_state(&publisher, &request, query.subscription_id, state).await
}

pub async fn unblock(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<StateQuery>,
) -> Result<Response, ApiError> {
    set_state(&publisher, &request, query.subscription_id, SubscriptionState::Unblocked).await
}

async fn set_state(
    publisher: &Address<Publisher>,
    request: &Request,
    id: Option<String>,
    state: SubscriptionState,
) -> Result<Response, ApiError> {
    let asker = request.asker(BLOCK)?;
    let text = required("subscriptionId", id)?;
    let id: SubscriptionId =
        text.parse().map_err(|_| PublisherError::from(Refused::not_found("subscription", &text)))?;
    let written = flat(publisher.ask(SetSubscriptionState { asker, id, state }).await)?;
    Ok(wrote(StatusCode::OK, &written, body_of(&written.value)))
}
