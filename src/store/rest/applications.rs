//! `/applications`: each user's own.

use axum::extract::{OriginalUri, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Body, Stamped};
use portcullis_model::Username;
use serde::Deserialize;

use super::Face;
use super::answer::{condition, created, found, ok};
use super::apis::linked;
use super::query::{Query, direction, id, word};
use super::visitor::MayManageApplications;
use crate::dto::application::ApplicationBody;
use crate::messages::{
    ApplicationSort, CreateApplication, DeleteApplication, GetApplication, ListApplications, ResetApplicationQuota,
    UpdateApplication,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    query: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub(super) async fn list(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = [
        ("name", ApplicationSort::Name),
        ("throttlingPolicy", ApplicationSort::Policy),
        ("status", ApplicationSort::Status),
    ];
    let text = query.query.unwrap_or_default();
    let (sort_by, sort_order) =
        (query.sort_by.clone().unwrap_or_default(), query.sort_order.clone().unwrap_or_default());
    let list = ListApplications {
        subscriber,
        query: text.clone(),
        sort: word("sortBy", query.sort_by.as_deref(), &words)?,
        direction: direction(query.sort_order.as_deref())?,
        page: query.page.page()?,
    };
    let Stamped { body, index, unreached } = face.ask(list).await?;
    let asked = [("query", &*text), ("sortBy", &*sort_by), ("sortOrder", &*sort_order)];
    found(&headers, Stamped { body: linked(body, "/applications", &asked), index, unreached })
}

pub(super) async fn create(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    OriginalUri(uri): OriginalUri,
    Body(body): Body<ApplicationBody>,
) -> Result<Response, ApiError> {
    let reply = face.ask(CreateApplication { subscriber, body }).await?;
    let id = reply.body.id.to_string();
    created(&uri, &id, reply)
}

pub(super) async fn show(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    found(&headers, face.ask(GetApplication { subscriber, application }).await?)
}

pub(super) async fn update(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    headers: HeaderMap,
    Body(body): Body<ApplicationBody>,
) -> Result<Response, ApiError> {
    let application = id("application", &application)?;
    let update = UpdateApplication { subscriber, application, body, condition: condition(&headers) };
    ok(face.ask(update).await?)
}

pub(super) async fn delete(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    headers: HeaderMap,
) -> Result<Stamped<()>, ApiError> {
    let application = id("application", &application)?;
    face.ask(DeleteApplication { subscriber, application, condition: condition(&headers) }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResetBody {
    user_name: Option<String>,
}

pub(super) async fn reset_quota(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    Path(application): Path<String>,
    Body(body): Body<ResetBody>,
) -> Result<Stamped<()>, ApiError> {
    let application = id("application", &application)?;
    let user = body.user_name.map(|name| {
        let domain = format!("@{}", subscriber.principal.tenant);
        Username(name.strip_suffix(domain.as_str()).unwrap_or(&name).to_owned())
    });
    face.ask(ResetApplicationQuota { subscriber, application, user }).await
}
