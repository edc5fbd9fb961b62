//! `/publisher/apis/{id}/documents`: what is written about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_http::ApiError;
use portcullis_http::contract::document::DocumentBody;
use portcullis_model::{Api, Content, Document, DocumentId, DocumentSource};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, markdown, render, render_again, say_and_go, when};
use serde_json::json;

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{ApiView, DeleteDocument, GetDocumentContent, ListDocuments, PutDocument, PutDocumentContent};
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
    let body = json!({
        "name": fields.text("name"),
        "type": fields.filled("kind").unwrap_or("HOWTO"),
        "summary": fields.text("summary"),
        "sourceType": if url.is_some() { "URL" } else { "MARKDOWN" },
        "sourceUrl": url,
        "visibility": fields.filled("visibility").unwrap_or("API_LEVEL"),
    });
    let body: DocumentBody =
        serde_json::from_value(body).map_err(|error| ApiError::bad_request(format!("document: {error}")))?;
    body.into_document(view.api.id, DocumentId::from_random(random_bytes()))
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
    let outcome = match document_of(&fields, &view) {
        Ok(document) => flat(publisher.ask(PutDocument { asker, document, is_new: true, expected: None }).await),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => {
            let path = format!("/publisher/apis/{id}/documents/{}", made.value.id);
            Ok(say_and_go("The document is there. Write what it says.", &path))
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
