//! `/apis/{apiId}/documents`: what is written about an API.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::contract::content;
use portcullis_http::contract::document::{DocumentBody, page, write_whole};
use portcullis_http::{ApiError, Body, MultipartForm, PageQuery, Stamped, etag};
use portcullis_model::{Content, Document, DocumentId, DocumentSource};
use serde::Deserialize;
use serde_json::json;

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request, required};
use crate::actor::Publisher;
use crate::messages::{
    Asker, DeleteDocument, GetDocumentContent, ListDocuments, PutDocument, PutDocumentContent, Seen, Written, api_id,
};

pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:api_manage", "apim:document_manage"];
pub(crate) const CREATE: &[&str] =
    &["apim:api_create", "apim:api_manage", "apim:document_create", "apim:document_manage"];
pub(crate) const UPDATE: &[&str] = &["apim:api_create", "apim:api_manage", "apim:document_manage"];

/// The part of a path that names a document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Of products it is their id.
    #[serde(alias = "apiProductId")]
    api_id: String,
    document_id: String,
}

async fn find(
    publisher: &Address<Publisher>,
    asker: Asker,
    named: &Named,
) -> Result<Seen<(Arc<Document>, Option<Arc<Content>>)>, ApiError> {
    let (id, document) = (named.api_id.clone(), named.document_id.clone());
    flat(publisher.ask(GetDocumentContent { asker, id, document }).await)
}

/// Returns when the document was changed that the caller insists on (`If-Match`).
async fn insisted_on(
    publisher: &Address<Publisher>,
    asker: &Asker,
    headers: &HeaderMap,
    named: &Named,
) -> Result<(Arc<Document>, bool), ApiError> {
    let (document, _) = find(publisher, asker.clone(), named).await?.value;
    etag::check_if_match(headers, &tag_of(&document))?;
    Ok((document, headers.contains_key(IF_MATCH)))
}

fn tag_of(document: &Document) -> HeaderValue {
    etag::of(write_whole(document).to_string().as_bytes())
}

fn answer(status: StatusCode, written: &Written<Arc<Document>>) -> Response {
    let document = &written.value;
    let mut response = wrote(status, written, write_whole(document));
    response.headers_mut().insert(ETAG, tag_of(document));
    let location = format!("/api/am/publisher/v4/apis/{}/documents/{}", document.api, document.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let bounds = query.page()?;
    let seen = flat(publisher.ask(ListDocuments { asker, id: id.clone() }).await)?;
    let list = page(seen.value, api_id(&id)?, bounds, write_whole);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<DocumentBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let document = body.into_document(api_id(&id)?, DocumentId::from_random(random_bytes()))?;
    let written = flat(publisher.ask(PutDocument { asker, document, is_new: true, expected: None }).await)?;
    Ok(answer(StatusCode::CREATED, &written))
}

#[derive(Deserialize)]
pub struct NameQuery {
    name: Option<String>,
}

/// Says whether a document of that name exists: 200 where it does, 404 where it does not.
pub async fn is_taken(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<NameQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let name = required("name", query.name)?;
    let seen = flat(publisher.ask(ListDocuments { asker, id }).await)?;
    if seen.value.iter().any(|document| document.name == name) {
        return Ok(StatusCode::OK.into_response());
    }
    Err(ApiError::not_found("document", name.chars().take(255).collect::<String>()))
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let Seen { value: (document, _), index } = find(&publisher, request.asker(VIEW)?, &named).await?;
    Ok(read_answer(&request.headers, &write_whole(&document), index))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    Body(body): Body<DocumentBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(UPDATE)?;
    let (before, insists) = insisted_on(&publisher, &asker, &request.headers, &named).await?;
    let document = body.into_document(before.api, before.id)?;
    let expected = insists.then_some(before.updated_at);
    let written = flat(publisher.ask(PutDocument { asker, document, is_new: false, expected }).await)?;
    Ok(answer(StatusCode::OK, &written))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let asker = request.asker(UPDATE)?;
    let (before, _) = insisted_on(&publisher, &asker, &request.headers, &named).await?;
    let done = flat(publisher.ask(DeleteDocument { asker, id: named.api_id, document: before.id }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: done.index, unreached: done.unreached }.into_response())
}

pub async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let Seen { value: (document, stored), index } = find(&publisher, request.asker(VIEW)?, &named).await?;
    content::of_document(&request.headers, &document, stored.as_deref(), index)
}

pub async fn put_content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let (document, insists) = insisted_on(&publisher, &asker, &request.headers, &named).await?;
    let (content, file_name) = sent(&document, &form)?;
    let written = flat(publisher.ask(PutDocumentContent { asker, document, content, file_name, insists }).await)?;
    Ok(answer(StatusCode::OK, &written))
}

/// Returns what was sent for a document, and the file's name.
fn sent(document: &Document, form: &MultipartForm) -> Result<(Content, String), ApiError> {
    if document.source == DocumentSource::File {
        let part = form.part("file")?;
        let media_type = part.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        let file_name = part.file_name.clone().filter(|name| !name.is_empty());
        let file_name = file_name.ok_or_else(|| ApiError::bad_request("file: the part must name the file"))?;
        return Ok((Content { media_type, bytes: part.bytes.to_vec() }, file_name));
    }
    let text = form.part("inlineContent")?.text("inlineContent")?;
    let is_markdown = document.source == DocumentSource::Markdown;
    let media_type = if is_markdown { "text/markdown; charset=utf-8" } else { "text/plain; charset=utf-8" };
    Ok((Content { media_type: media_type.to_owned(), bytes: text.as_bytes().to_vec() }, String::new()))
}
