//! `/api-products`: APIs put together from operations of others. Revisions, deployments, documents and pictures are those
//! of APIs.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, PageQuery, Stamped, etag};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{body_of, flat, read as read_answer, wrote};
use super::request::{Params, Request, flag, required};
use super::{apis, archives, definitions, documents, lifecycle, revisions, thumbnails};
use crate::actor::Publisher;
use crate::dto::product::{is_product, of_body, summary};
use crate::messages::{
    ApiSearch, ApiView, Asker, CopyApi, CreateProduct, DeleteApi, GetApi, IsOutdated, Seen, UpdateProduct, Written,
};

const LIST: &[&str] = &["apim:api_view", "apim:api_manage"];
const VIEW: &[&str] = &["apim:api_view", "apim:api_publish", "apim:api_manage", "apim:api_product_import_export"];
const CHANGE: &[&str] = &["apim:api_publish", "apim:api_manage"];
const DELETE: &[&str] = &["apim:api_publish", "apim:api_manage", "apim:api_product_import_export"];
const NOUN: &str = "API product";
const BASE: &str = "/api/am/publisher/v4/api-products";

/// Returns the routes.
pub fn routes() -> Router<Address<Publisher>> {
    Router::new()
        .route("/api-products", get(list).post(create))
        .route("/api-products/export", get(archives::export_product))
        .route("/api-products/import", post(archives::import_product))
        .route("/api-products/change-lifecycle", post(lifecycle::change))
        .route("/api-products/copy-api-products", post(copy))
        .route("/api-products/{apiProductId}", get(read).put(update).delete(delete))
        .route("/api-products/{apiProductId}/swagger", get(definitions::read))
        .route("/api-products/{apiProductId}/is-outdated", get(is_outdated))
        .route("/api-products/{apiProductId}/lifecycle-state", get(lifecycle::state))
        .route("/api-products/{apiProductId}/lifecycle-state/pending-tasks", axum::routing::delete(lifecycle::cancel))
        .route("/api-products/{apiProductId}/lifecycle-history", get(lifecycle::history))
        .route("/api-products/{apiProductId}/revisions", get(revisions::list).post(revisions::create))
        .route("/api-products/{apiProductId}/revisions/{revisionId}", get(revisions::read).delete(revisions::delete))
        .route("/api-products/{apiProductId}/deployments", get(revisions::deployments))
        .route("/api-products/{apiProductId}/deployments/{deploymentId}", put(revisions::change_deployment))
        .route("/api-products/{apiProductId}/deploy-revision", post(revisions::deploy))
        .route("/api-products/{apiProductId}/undeploy-revision", post(revisions::undeploy))
        .route("/api-products/{apiProductId}/restore-revision", post(revisions::restore))
        .route("/api-products/{apiProductId}/documents", get(documents::list).post(documents::create))
        .route(
            "/api-products/{apiProductId}/documents/{documentId}",
            get(documents::read).put(documents::update).delete(documents::delete),
        )
        .route(
            "/api-products/{apiProductId}/documents/{documentId}/content",
            get(documents::content).post(documents::put_content),
        )
        .route("/api-products/{apiProductId}/thumbnail", get(thumbnails::read).put(thumbnails::put))
}

/// Finds a product, or a revision of one.
async fn find(publisher: &Address<Publisher>, asker: &Asker, id: &str) -> Result<Seen<ApiView>, ApiError> {
    let seen = flat(publisher.ask(GetApi { asker: asker.clone(), id: id.to_owned() }).await)?;
    if is_product(&seen.value.api) { Ok(seen) } else { Err(ApiError::not_found(NOUN, id)) }
}

fn product_body(view: &ApiView) -> Value {
    of_body(&view.api, body_of(view))
}

fn wrote_product(status: StatusCode, written: &Written<ApiView>) -> Response {
    let body = product_body(&written.value);
    let tag = etag::of(body.to_string().as_bytes());
    let mut response = wrote(status, written, body);
    response.headers_mut().insert(ETAG, tag);
    let location = HeaderValue::from_str(&format!("{BASE}/{}", written.value.api.id)).ok();
    response.headers_mut().extend(location.map(|location| (LOCATION, location)));
    response
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<apis::ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(LIST)?;
    let page = PageQuery { limit: query.limit, offset: query.offset }.page()?;
    let search = ApiSearch { query: query.query.unwrap_or_default(), is_of_products: true, ..ApiSearch::default() };
    apis::listed(&publisher, &request, asker, (search, page), "/api-products", summary).await
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let written = flat(publisher.ask(CreateProduct { asker, fields }).await)?;
    Ok(wrote_product(StatusCode::CREATED, &written))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = find(&publisher, &request.asker(VIEW)?, &id).await?;
    Ok(read_answer(&request.headers, &product_body(&seen.value), seen.index))
}

/// Returns when the product that the caller saw was last changed, if the caller insists on that one (`If-Match`).
async fn insisted(
    publisher: &Address<Publisher>,
    asker: &Asker,
    request: &Request,
    id: &str,
) -> Result<Option<portcullis_model::Timestamp>, ApiError> {
    let view = find(publisher, asker, id).await?.value;
    if !request.headers.contains_key(http::header::IF_MATCH) {
        return Ok(None);
    }
    etag::check_if_match(&request.headers, &etag::of(product_body(&view).to_string().as_bytes()))?;
    Ok(Some(view.api.updated_at))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let expected = insisted(&publisher, &asker, &request, &id).await?;
    let written = flat(publisher.ask(UpdateProduct { asker, id, fields, expected }).await)?;
    Ok(wrote_product(StatusCode::OK, &written))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(DELETE)?;
    if asker.idempotency.is_none() {
        insisted(&publisher, &asker, &request, &id).await?;
    }
    let written = flat(publisher.ask(DeleteApi { asker, id }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: written.index, unreached: written.unreached }.into_response())
}

pub async fn is_outdated(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(IsOutdated { asker: request.asker(VIEW)?, id }).await)?;
    Ok(read_answer(&request.headers, &json!({"isOutdated": seen.value}), seen.index))
}

#[derive(Deserialize)]
pub struct CopyQuery {
    #[serde(rename = "newVersion")]
    new_version: Option<String>,
    #[serde(rename = "defaultVersion")]
    default_version: Option<String>,
    #[serde(rename = "apiProductId")]
    id: Option<String>,
}

pub async fn copy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<CopyQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let (id, version) = (required("apiProductId", query.id)?, required("newVersion", query.new_version)?);
    let is_default_version = flag("defaultVersion", query.default_version.as_deref())?;
    find(&publisher, &asker, &id).await?;
    let written = flat(publisher.ask(CopyApi { asker, id, version, is_default_version }).await)?;
    Ok(wrote_product(StatusCode::CREATED, &written))
}
