//! `/apis/{apiId}/documents` and `/apis/{apiId}/thumbnail`: open to anybody, show what the visitor may see.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::contract::{content, document};
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Stamped};

use super::Face;
use super::answer::found;
use super::query::{Query, id};
use crate::messages::{GetDocument, GetThumbnail, ListDocuments, Visitor};

pub(super) async fn list(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(ListDocuments { visitor, api, page: page.page()? }).await?)
}

fn named(visitor: Visitor, api: &str, document: &str) -> Result<GetDocument, ApiError> {
    Ok(GetDocument { visitor, api: id("API", api)?, document: id("document", document)? })
}

pub(super) async fn show(
    State(face): State<Face>,
    visitor: Visitor,
    Path((api, document)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body: (found_one, _), index, unreached } = face.ask(named(visitor, &api, &document)?).await?;
    found(&headers, Stamped { body: document::write(&found_one), index, unreached })
}

pub(super) async fn content(
    State(face): State<Face>,
    visitor: Visitor,
    Path((api, document)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body: (found_one, stored), index, .. } = face.ask(named(visitor, &api, &document)?).await?;
    content::of_document(&headers, &found_one, stored.as_deref(), index)
}

pub(super) async fn thumbnail(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    let Stamped { body: picture, index, .. } = face.ask(GetThumbnail { visitor, api }).await?;
    Ok(content::write(&headers, &picture, None, index))
}
