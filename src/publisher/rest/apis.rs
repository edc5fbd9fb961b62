//! `/apis`, `/apis/{apiId}`, `/apis/copy-api`, `/apis/validate`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use portcullis_actor::Address;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, Body, List, PageQuery, Stamped};
use portcullis_model::Api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, insisted_on, read as read_answer, read_api, wrote_api};
use super::request::{Params, Request, flag, required};
use crate::actor::Publisher;
use crate::dto::api_body;
use crate::dto::product::is_product;
use crate::messages::{
    ApiSearch, Asker, CopyApi, CreateApi, DeleteApi, GetApi, IsTaken, ListApis, ListedApis, UpdateApi,
};

pub(crate) const VIEW: &[&str] =
    &["apim:api_view", "apim:api_manage", "apim:api_import_export", "apim:api_product_import_export"];
pub(crate) const LIST: &[&str] = &["apim:api_view", "apim:api_manage", "apim:api_import_export", "apim:api_list_view"];
pub(crate) const CREATE: &[&str] = &["apim:api_create", "apim:api_manage"];
pub(crate) const UPDATE: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];
pub(crate) const DELETE: &[&str] = &["apim:api_delete", "apim:api_manage", "apim:api_import_export"];

#[derive(Deserialize)]
pub struct ListQuery {
    pub(super) query: Option<String>,
    pub(super) limit: Option<String>,
    pub(super) offset: Option<String>,
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<String>,
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(LIST)?;
    let page = PageQuery { limit: query.limit, offset: query.offset }.page()?;
    let is_descending = match query.sort_order.as_deref() {
        None | Some("" | "asc") => false,
        Some("desc") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!("sortOrder: is `{other}`; asc and desc are possible")));
        }
    };
    let search = ApiSearch {
        query: query.query.unwrap_or_default(),
        sort_by: query.sort_by,
        is_descending,
        is_of_products: false,
    };
    listed(&publisher, &request, asker, (search, page), "/apis", api_body::write_summary).await
}

/// Answers with the part of what a search finds that was asked for, at `path`, each written by `write`.
pub(super) async fn listed(
    publisher: &Address<Publisher>,
    request: &Request,
    asker: Asker,
    (search, page): (ApiSearch, Page),
    path: &str,
    write: fn(&Api, bool) -> Value,
) -> Result<Response, ApiError> {
    let tail = query_tail(&search);
    let found = flat(publisher.ask(ListApis { asker, search, page }).await)?;
    let ListedApis { total, page: shown } = found.value;
    let list = List::part(shown.iter().map(|one| write(&one.api, one.has_thumbnail)).collect(), total, page);
    Ok(read_answer(&request.headers, &json!(list.with_links(path, &tail)), found.index))
}

fn query_tail(search: &ApiSearch) -> String {
    let mut tail = url::form_urlencoded::Serializer::new(String::new());
    if !search.query.is_empty() {
        tail.append_pair("query", &search.query);
    }
    if let Some(sort_by) = &search.sort_by {
        tail.append_pair("sortBy", sort_by);
    }
    if search.is_descending {
        tail.append_pair("sortOrder", "desc");
    }
    tail.finish()
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let written = flat(publisher.ask(CreateApi { asker, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id: id.clone() }).await)?;
    if is_product(&seen.value.api) {
        return Err(ApiError::not_found("API", id));
    }
    Ok(read_api(&request.headers, &seen.value, seen.index))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(UPDATE)?;
    let insisted = insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let expected = insisted.map(|view| view.api.updated_at);
    let written = flat(publisher.ask(UpdateApi { asker, id, fields, expected }).await)?;
    Ok(wrote_api(StatusCode::OK, &written))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DELETE)?;
    insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let written = flat(publisher.ask(DeleteApi { asker, id }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}

#[derive(Deserialize)]
pub struct CopyQuery {
    #[serde(rename = "newVersion")]
    new_version: Option<String>,
    #[serde(rename = "defaultVersion")]
    default_version: Option<String>,
    #[serde(rename = "apiId")]
    api_id: Option<String>,
}

pub async fn copy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<CopyQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let id = required("apiId", query.api_id)?;
    let version = required("newVersion", query.new_version)?;
    let is_default_version = flag("defaultVersion", query.default_version.as_deref())?;
    let written = flat(publisher.ask(CopyApi { asker, id, version, is_default_version }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

#[derive(Deserialize)]
pub struct ValidateQuery {
    query: Option<String>,
}

/// 200 where the name, context or version is taken, 404 where it is free.
pub async fn is_taken(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ValidateQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let query = required("query", query.query)?;
    let seen = flat(publisher.ask(IsTaken { asker, query: query.clone() }).await)?;
    if seen.value {
        return Ok(read_answer(&HeaderMap::new(), &json!({}), seen.index));
    }
    Err(ApiError::not_found("API", query))
}
