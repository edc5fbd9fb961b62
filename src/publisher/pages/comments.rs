//! `/publisher/apis/{id}/comments`: what people say about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::contract::comment::NewComment;
use portcullis_model::{Api, Comment};
use portcullis_portal::{Fields, Frame, Viewer, render, say_and_go, when};
use serde_json::json;

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{AddComment, DeleteComment, ListComments};
use crate::rest::answer::flat;
use crate::rest::comments::{DELETE, DELETE_ANY, VIEW, WRITE};
use crate::rest::request::Request;

/// Comments that are shown.
const SHOWN_MAX: usize = 100;

#[derive(Template)]
#[template(path = "publisher_comments.html")]
struct CommentsPage {
    frame: Frame,
    api: Arc<Api>,
    comments: Vec<(Arc<Comment>, String)>,
    may_write: bool,
    may_delete: bool,
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    let message = ListComments { asker: request.asker(VIEW)?, id, with_names: false };
    let mut all = flat(publisher.ask(message).await)?.value.all;
    all.sort_by_key(|comment| std::cmp::Reverse(comment.written_at));
    let page = CommentsPage {
        comments: all.into_iter().take(SHOWN_MAX).map(|one| (Arc::clone(&one), when(one.written_at))).collect(),
        may_write: viewer.may(WRITE),
        may_delete: viewer.may(DELETE),
        frame: frame(viewer, &view, "/comments"),
        api: view.api,
    };
    Ok(render(&page))
}

pub(super) async fn add(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(WRITE)?;
    let comment: NewComment = serde_json::from_value(json!({"content": fields.text("text")}))
        .map_err(|error| ApiError::bad_request(format!("text: {error}")))?;
    flat(publisher.ask(AddComment { asker, id: id.clone(), parent: None, comment }).await)?;
    Ok(say_and_go("Said.", &format!("/publisher/apis/{id}/comments")))
}

pub(super) async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path((id, comment)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(DELETE)?;
    let comment = comment.parse().map_err(|_| ApiError::not_found("comment", &comment))?;
    let is_of_any = viewer.may(DELETE_ANY);
    flat(publisher.ask(DeleteComment { asker, id: id.clone(), comment, is_of_any }).await)?;
    Ok(say_and_go("The comment is deleted.", &format!("/publisher/apis/{id}/comments")))
}
