//! `/publisher/apis/{id}/documents`: what is written about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::contract::content;
use portcullis_http::contract::document::DocumentBody;
use portcullis_http::{ApiError, FormPart};
use portcullis_model::{Api, Content, Document, DocumentId, DocumentSource};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, markdown, render, render_again, say_and_go, when};
use serde_json::json;

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{
    ApiView, Asker, DeleteDocument, GetDocumentContent, ListDocuments, PutDocument, PutDocumentContent, Seen,
};
use crate::rest::answer::flat;
use crate::rest::documents::{CREATE, UPDATE, VIEW};
use crate::rest::request::Request;

#[derive(Template)]
#[template(path = "publisher_documents.html")]
struct DocumentsPage {
    frame: Frame,
    api: Arc<Api>,
    documents: Vec<(Arc<Document>, String)>,
    fields: Fields,
    wrong: Wrong,
    may_create: bool,
}

async fn list_page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    fields: Fields,
    wrong: Wrong,
) -> Result<DocumentsPage, ApiError> {
    let message = ListDocuments { asker: request.asker(VIEW)?, id: view.api.id.to_string() };
    let mut all = flat(publisher.ask(message).await)?.value;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(DocumentsPage {
        documents: all.into_iter().map(|one| (Arc::clone(&one), when(one.updated_at))).collect(),
        may_create: viewer.may(CREATE),
        frame: frame(viewer, view, "/documents"),
        api: Arc::clone(&view.api),
        fields,
        wrong,
    })
}

pub(super) async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&list_page(&publisher, &request, viewer, &view, Fields::default(), Wrong::default()).await?))
}

fn document_of(fields: &Fields, view: &ApiView) -> Result<Document, ApiError> {
    let url = fields.filled("url");
    let source = match (fields.file("file"), url) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("sourceUrl: give an address or a file, not both")),
        (Some(_), None) => "FILE",
        (None, Some(_)) => "URL",
        (None, None) => "MARKDOWN",
    };
    let body = json!({
        "name": fields.text("name"),
        "type": fields.filled("kind").unwrap_or("HOWTO"),
        "summary": fields.text("summary"),
        "sourceType": source,
        "sourceUrl": url,
        "visibility": fields.filled("visibility").unwrap_or("API_LEVEL"),
    });
    let body: DocumentBody =
        serde_json::from_value(body).map_err(|error| ApiError::bad_request(format!("document: {error}")))?;
    body.into_document(view.api.id, DocumentId::from_random(random_bytes()))
}

/// Makes a document, with its file where one was chosen. One whose file is not accepted is taken back.
async fn made(
    publisher: &Address<Publisher>,
    asker: Asker,
    fields: &Fields,
    view: &ApiView,
) -> Result<Arc<Document>, ApiError> {
    let document = document_of(fields, view)?;
    let message = PutDocument { asker: asker.clone(), document, is_new: true, expected: None };
    let document = flat(publisher.ask(message).await)?.value;
    let Some(file) = fields.file("file") else { return Ok(document) };
    match put_file(publisher, asker.clone(), Arc::clone(&document), file).await {
        Ok(()) => Ok(document),
        Err(error) => {
            let message = DeleteDocument { asker, id: view.api.id.to_string(), document: document.id };
            // What is told is why the file was not accepted; a document that stays is seen in the list.
            flat(publisher.ask(message).await).ok();
            Err(error)
        }
    }
}

async fn put_file(
    publisher: &Address<Publisher>,
    asker: Asker,
    document: Arc<Document>,
    file: &FormPart,
) -> Result<(), ApiError> {
    let media_type = file.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    let content = Content { media_type, bytes: file.bytes.to_vec() };
    let file_name = file.file_name.clone().unwrap_or_default();
    flat(publisher.ask(PutDocumentContent { asker, document, content, file_name, insists: false }).await).map(drop)
}

pub(super) async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let view = find(&publisher, &request, &id).await?;
    match made(&publisher, asker, &fields, &view).await {
        Ok(document) => {
            let path = format!("/publisher/apis/{id}/documents/{}", document.id);
            let is_text = document.source == DocumentSource::Markdown;
            let said = if is_text { "The document is there. Write what it says." } else { "The document is there." };
            Ok(say_and_go(said, &path))
        }
        Err(error) => {
            let page = list_page(&publisher, &request, viewer, &view, fields, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

#[derive(Template)]
#[template(path = "publisher_document.html")]
struct DocumentPage {
    frame: Frame,
    api: Arc<Api>,
    document: Arc<Document>,
    text: String,
    preview: String,
    is_text: bool,
    wrong: Wrong,
    may_change: bool,
}

async fn document_page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    document: String,
) -> Result<DocumentPage, ApiError> {
    let id = view.api.id.to_string();
    let message = GetDocumentContent { asker: request.asker(VIEW)?, id, document };
    let (document, content) = flat(publisher.ask(message).await)?.value;
    let text = content.map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default();
    let is_text = matches!(document.source, DocumentSource::Markdown | DocumentSource::Inline);
    let text = if is_text { text } else { String::new() };
    Ok(DocumentPage {
        preview: markdown::render(&text),
        is_text,
        may_change: viewer.may(UPDATE),
        frame: frame(viewer, view, "/documents")
            .below(format!("/publisher/apis/{}/documents", view.api.id), "Documents"),
        api: Arc::clone(&view.api),
        document,
        text,
        wrong: Wrong::default(),
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path((id, document)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&document_page(&publisher, &request, viewer, &view, document).await?))
}

/// Keeps what a document says, or only shows how it would look.
pub(super) async fn write(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path((id, document)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let view = find(&publisher, &request, &id).await?;
    let mut page = document_page(&publisher, &request, viewer, &view, document).await?;
    fields.raw("text").clone_into(&mut page.text);
    page.preview = markdown::render(&page.text);
    if fields.text("act") == "preview" {
        return Ok(render(&page));
    }
    if page.document.source == DocumentSource::File {
        return replace_file(&publisher, asker, page, &fields).await;
    }
    let is_markdown = page.document.source == DocumentSource::Markdown;
    let media_type = if is_markdown { "text/markdown; charset=utf-8" } else { "text/plain; charset=utf-8" };
    let content = Content { media_type: media_type.to_owned(), bytes: page.text.clone().into_bytes() };
    let path = format!("/publisher/apis/{id}/documents/{}", page.document.id);
    let document = Arc::clone(&page.document);
    let message = PutDocumentContent { asker, document, content, file_name: String::new(), insists: false };
    match flat(publisher.ask(message).await) {
        Ok(_) => Ok(say_and_go("Saved.", &path)),
        Err(error) => {
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
}

/// Puts another file in the place of the one that is there.
async fn replace_file(
    publisher: &Address<Publisher>,
    asker: Asker,
    mut page: DocumentPage,
    fields: &Fields,
) -> Result<Response, ApiError> {
    let path = format!("/publisher/apis/{}/documents/{}", page.api.id, page.document.id);
    let outcome = match fields.file("file") {
        Some(file) => put_file(publisher, asker, Arc::clone(&page.document), file).await,
        None => Err(ApiError::bad_request("file: choose one")),
    };
    match outcome {
        Ok(()) => Ok(say_and_go("The file is there.", &path)),
        Err(error) => {
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
}

/// Gives the file to whoever may see the API.
pub(super) async fn content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, document)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let message = GetDocumentContent { asker: request.asker(VIEW)?, id, document };
    let Seen { value: (document, stored), index } = flat(publisher.ask(message).await)?;
    content::of_document(&request.headers, &document, stored.as_deref(), index)
}

pub(super) async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, document)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(UPDATE)?;
    let document = document.parse().map_err(|_| ApiError::not_found("document", &document))?;
    flat(publisher.ask(DeleteDocument { asker, id: id.clone(), document }).await)?;
    Ok(say_and_go("The document is deleted.", &format!("/publisher/apis/{id}/documents")))
}
