//! `/subscriptions`: those of the user's own applications.

use axum::extract::{OriginalUri, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Body, List, Stamped};
use serde::Deserialize;
use serde_json::json;

use super::Face;
use super::answer::{condition, created, found, ok};
use super::apis::linked;
use super::query::{Query, id};
use super::visitor::MayManageSubscriptions;
use crate::dto::subscription::{SubscriptionBody, UpdateSubscriptionBody};
use crate::messages::{
    CreateSubscription, CreateSubscriptions, DeleteSubscription, GetApi, GetSubscription, GetSubscriptionUsage,
    ListSubscriptions, ListWebhooks, UpdateSubscription,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    api_id: Option<String>,
    application_id: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub(super) async fn list(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (name, text) = match (&query.application_id, &query.api_id) {
        (Some(application), _) => ("applicationId", application.clone()),
        (None, api) => ("apiId", api.clone().unwrap_or_default()),
    };
    let list = ListSubscriptions {
        subscriber,
        api: query.api_id.as_deref().map(|text| id("API", text)).transpose()?,
        application: query.application_id.as_deref().map(|text| id("application", text)).transpose()?,
        page: query.page.page()?,
    };
    let Stamped { body, index, unreached } = face.ask(list).await?;
    found(&headers, Stamped { body: linked(body, "/subscriptions", &[(name, &text)]), index, unreached })
}

/// Lists callbacks that are subscribed to topics. The contract has no part of them: an application has few.
pub(super) async fn webhooks(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let list = ListWebhooks {
        subscriber,
        api: query.api_id.as_deref().map(|text| id("API", text)).transpose()?,
        application: query.application_id.as_deref().map(|text| id("application", text)).transpose()?,
    };
    found(&headers, face.ask(list).await?)
}

pub(super) async fn create(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    OriginalUri(uri): OriginalUri,
    Body(body): Body<SubscriptionBody>,
) -> Result<Response, ApiError> {
    let reply = face.ask(CreateSubscription { subscriber, body }).await?;
    let id = reply.body.id.to_string();
    created(&uri, &id, reply)
}

pub(super) async fn create_several(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Body(bodies): Body<Vec<SubscriptionBody>>,
) -> Result<Response, ApiError> {
    ok(face.ask(CreateSubscriptions { subscriber, bodies }).await?)
}

pub(super) async fn show(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path(subscription): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subscription = id("subscription", &subscription)?;
    found(&headers, face.ask(GetSubscription { subscriber, subscription }).await?)
}

pub(super) async fn usage(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path(subscription): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subscription = id("subscription", &subscription)?;
    found(&headers, face.ask(GetSubscriptionUsage { subscriber, subscription }).await?)
}

/// Says which of the caller's applications subscribe to an API. Brokers of Solace, of which the contract would have it tell
/// more, are not served. The id in the path is an API's.
pub(super) async fn additional_info(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path(api): Path<String>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (text, api) = (api.clone(), id("API", &api)?);
    let visitor = subscriber.as_visitor();
    let list = ListSubscriptions { subscriber, api: Some(api), application: None, page: page.page()? };
    let Stamped { body, index, unreached } = face.ask(list).await?;
    if body.pagination.total == 0 {
        face.ask(GetApi { visitor, api }).await?;
    }
    let shown = body.list.into_iter().map(|one| {
        json!({
            "subscriptionId": one.subscription_id,
            "applicationId": one.application_id,
            "applicationName": one.application_info.map(|application| application.name),
            "apiId": one.api_id,
            "isSolaceAPI": false,
        })
    });
    let list = List::part(shown.collect(), body.pagination.total, page.page()?);
    let body = list.with_links(&format!("/subscriptions/{text}/additionalInfo"), "");
    found(&headers, Stamped { body, index, unreached })
}

pub(super) async fn update(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path(subscription): Path<String>,
    Body(body): Body<UpdateSubscriptionBody>,
) -> Result<Response, ApiError> {
    let subscription = id("subscription", &subscription)?;
    ok(face.ask(UpdateSubscription { subscriber, subscription, body }).await?)
}

pub(super) async fn delete(
    State(face): State<Face>,
    MayManageSubscriptions(subscriber): MayManageSubscriptions,
    Path(subscription): Path<String>,
    headers: HeaderMap,
) -> Result<Stamped<()>, ApiError> {
    let subscription = id("subscription", &subscription)?;
    face.ask(DeleteSubscription { subscriber, subscription, condition: condition(&headers) }).await
}
