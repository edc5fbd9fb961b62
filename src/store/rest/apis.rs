//! `/apis`: open to anybody, shows what the visitor may see.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, List, Stamped, percent};
use serde::Deserialize;

use super::Face;
use super::answer::found;
use super::query::{Query, direction, id, word};
use crate::messages::{ApiSort, GetApi, GetDefinition, ListApis, ListPlans, Visitor};

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
    visitor: Visitor,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let words = [("name", ApiSort::Name), ("apiName", ApiSort::Name), ("createdTime", ApiSort::CreatedTime)];
    let text = query.query.unwrap_or_default();
    let (sort_by, sort_order) =
        (query.sort_by.clone().unwrap_or_default(), query.sort_order.clone().unwrap_or_default());
    let list = ListApis {
        visitor,
        query: text.clone(),
        sort: word("sortBy", query.sort_by.as_deref(), &words)?,
        direction: direction(query.sort_order.as_deref())?,
        page: query.page.page()?,
    };
    let Stamped { body, index, unreached } = face.ask(list).await?;
    let body = linked(body, "/apis", &[("query", &text), ("sortBy", &sort_by), ("sortOrder", &sort_order)]);
    found(&headers, Stamped { body, index, unreached })
}

/// Makes the links of a list lead to the same search.
pub(super) fn linked<T: serde::Serialize>(list: List<T>, path: &str, asked: &[(&str, &str)]) -> List<T> {
    let asked = asked.iter().filter(|(_, text)| !text.is_empty());
    let tail: Vec<String> = asked.map(|(name, text)| format!("{name}={}", percent::encoded(text))).collect();
    list.with_links(path, &tail.join("&"))
}

pub(super) async fn show(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(GetApi { visitor, api }).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DefinitionQuery {
    environment_name: Option<String>,
}

pub(super) async fn definition(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(query): Query<DefinitionQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let environment = query.environment_name.filter(|name| !name.is_empty());
    found(&headers, face.ask(GetDefinition { visitor, api, environment }).await?)
}

pub(super) async fn plans(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(ListPlans { visitor, api }).await?)
}
