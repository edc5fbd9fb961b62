//! `/apis/{apiId}/comments`: what people say about an API.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::contract::comment::{CommentChange, CommentQuery, Comments, NewComment};
use portcullis_http::page::Page;
use portcullis_http::{ApiError, Body, Stamped, etag};
use portcullis_model::CommentId;
use serde::Deserialize;
use serde_json::json;

use super::answer::{flat, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::messages::{AddComment, ChangeComment, DeleteComment, ListComments, Seen, Written};

pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:comment_view", "apim:comment_manage"];
pub(crate) const WRITE: &[&str] = &["apim:comment_write", "apim:comment_manage"];
pub(crate) const DELETE: &[&str] = &["apim:comment_write", "apim:comment_manage", "apim:admin"];
/// Scopes with which one deletes what others wrote.
pub(crate) const DELETE_ANY: &[&str] = &["apim:admin"];

/// The part of a path that names a comment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    api_id: String,
    comment_id: String,
}

impl Named {
    fn comment(&self) -> Result<CommentId, ApiError> {
        self.comment_id.parse().map_err(|_| ApiError::not_found("comment", &self.comment_id))
    }
}

async fn all(
    publisher: &Address<Publisher>,
    request: &Request,
    id: &str,
    query: &CommentQuery,
) -> Result<Seen<Comments>, ApiError> {
    let asker = request.asker(VIEW)?;
    flat(publisher.ask(ListComments { asker, id: id.to_owned(), with_names: query.wants_names() }).await)
}

fn answer(status: StatusCode, written: &Written<(Comments, CommentId)>) -> Result<Response, ApiError> {
    let (comments, id) = &written.value;
    let body = json!(comments.one(&id.to_string(), Page { limit: 25, offset: 0 })?);
    let tag = etag::of(body.to_string().as_bytes());
    let mut response = wrote(status, written, body);
    response.headers_mut().insert(ETAG, tag);
    let location = format!("/api/am/publisher/v4/apis/{}/comments/{id}", comments.api);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<CommentQuery>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, &request, &id, &query).await?;
    let list = seen.value.list(query.page()?, query.replies()?);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<CommentQuery>,
    Body(comment): Body<NewComment>,
) -> Result<Response, ApiError> {
    let (asker, parent) = (request.asker(WRITE)?, query.parent()?);
    let written = flat(publisher.ask(AddComment { asker, id, parent, comment }).await)?;
    answer(StatusCode::CREATED, &written)
}

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    Params(query): Params<CommentQuery>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, &request, &named.api_id, &query).await?;
    let body = seen.value.one(&named.comment_id, query.replies()?)?;
    Ok(read_answer(&request.headers, &json!(body), seen.index))
}

pub async fn replies(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    Params(query): Params<CommentQuery>,
) -> Result<Response, ApiError> {
    let seen = all(&publisher, &request, &named.api_id, &query).await?;
    let to = seen.value.find(&named.comment_id)?.id;
    Ok(read_answer(&request.headers, &json!(seen.value.replies(to, query.page()?)), seen.index))
}

pub async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
    Body(change): Body<CommentChange>,
) -> Result<Response, ApiError> {
    let (asker, comment) = (request.asker(WRITE)?, named.comment()?);
    let written = flat(publisher.ask(ChangeComment { asker, id: named.api_id, comment, change }).await)?;
    answer(StatusCode::OK, &written)
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(named): Path<Named>,
) -> Result<Response, ApiError> {
    let (asker, comment) = (request.asker(DELETE)?, named.comment()?);
    let is_of_any = asker.identity.has_any(DELETE_ANY);
    let done = flat(publisher.ask(DeleteComment { asker, id: named.api_id, comment, is_of_any }).await)?;
    Ok(Stamped { body: StatusCode::OK, index: done.index, unreached: done.unreached }.into_response())
}
