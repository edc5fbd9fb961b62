//! `/subscriptions`: those of the user's own applications.

use axum::extract::{OriginalUri, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Body, Stamped};
use serde::Deserialize;

use super::Face;
use super::answer::{condition, created, found, ok};
use super::apis::linked;
use super::query::{Query, id};
use super::visitor::MayManageSubscriptions;
use crate::dto::subscription::{SubscriptionBody, UpdateSubscriptionBody};
use crate::messages::{
    CreateSubscription, CreateSubscriptions, DeleteSubscription, GetSubscription, GetSubscriptionUsage,
    ListSubscriptions, UpdateSubscription,
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
