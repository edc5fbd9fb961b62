//! `/devportal/apis/{api}/documents`: what is written about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::contract::content;
use portcullis_http::page::Page;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::{Document, DocumentSource};
use portcullis_portal::{Frame, Viewer, markdown, render};
use serde_json::Value;

use super::{Guest, find, frame};
use crate::dto::api::ApiDto;
use crate::messages::{GetDocument, ListDocuments};
use crate::rest::Face;
use crate::rest::query::id;

/// Documents that are listed: an API has no more.
const SHOWN_MAX: usize = 200;

/// A document in the list.
struct Row {
    id: String,
    name: String,
    summary: String,
    kind: String,
}

#[derive(Template)]
#[template(path = "store_documents.html")]
struct DocumentsPage {
    frame: Frame,
    api: ApiDto,
    documents: Vec<Row>,
}

pub(crate) async fn list(
    State(face): State<Face>,
    Guest(visitor): Guest,
    viewer: Viewer,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let found = find(&face, &visitor, &api).await?;
    let page = Page { limit: SHOWN_MAX, offset: 0 };
    let list = face.ask(ListDocuments { visitor, api: id("API", &api)?, page }).await?.body.list;
    let row = |one: &Value| {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        Row { id: text("documentId"), name: text("name"), summary: text("summary"), kind: text("type") }
    };
    let documents = list.iter().map(row).collect();
    Ok(render(&DocumentsPage { frame: frame(viewer, &found, "/documents"), api: found, documents }))
}

#[derive(Template)]
#[template(path = "store_document.html")]
struct DocumentPage {
    frame: Frame,
    api: ApiDto,
    document: Arc<Document>,
    /// HTML made of Markdown.
    markdown: Option<String>,
    plain: Option<String>,
}

pub(crate) async fn show(
    State(face): State<Face>,
    Guest(visitor): Guest,
    viewer: Viewer,
    Path((api, document)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let found = find(&face, &visitor, &api).await?;
    let message = GetDocument { visitor, api: id("API", &api)?, document: id("document", &document)? };
    let (document, content) = face.ask(message).await?.body;
    let text = content.map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default();
    let (markdown, plain) = match document.source {
        DocumentSource::Markdown => (Some(markdown::render(&text)), None),
        DocumentSource::Inline => (None, Some(text)),
        DocumentSource::Url | DocumentSource::File => (None, None),
    };
    let frame = frame(viewer, &found, "/documents").below(format!("/devportal/apis/{api}/documents"), "Documents");
    Ok(render(&DocumentPage { frame, api: found, document, markdown, plain }))
}

/// Gives the file to whoever may see the document.
pub(crate) async fn content(
    State(face): State<Face>,
    Guest(visitor): Guest,
    headers: HeaderMap,
    Path((api, document)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let message = GetDocument { visitor, api: id("API", &api)?, document: id("document", &document)? };
    let Stamped { body: (document, stored), index, .. } = face.ask(message).await?;
    content::of_document(&headers, &document, stored.as_deref(), index)
}
