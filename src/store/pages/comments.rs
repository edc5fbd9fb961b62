//! `/devportal/apis/{api}/comments`: what people say about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_http::ApiError;
use portcullis_http::contract::comment::NewComment;
use portcullis_model::Comment;
use portcullis_portal::{Fields, Frame, Viewer, render, say_and_go, when};
use serde_json::json;

use super::{MaybeSubscriber, find, frame};
use crate::dto::api::ApiDto;
use crate::messages::{AddComment, DeleteComment, ListComments, Visitor};
use crate::rest::Face;
use crate::rest::query::id;
use crate::rest::visitor::{MayDeleteComments, MaySubscribe};

/// Comments that are shown.
const SHOWN_MAX: usize = 100;

/// A comment as the page shows it.
struct Row {
    comment: Arc<Comment>,
    at: String,
    may_delete: bool,
}

#[derive(Template)]
#[template(path = "store_comments.html")]
struct CommentsPage {
    frame: Frame,
    api: ApiDto,
    comments: Vec<Row>,
    may_write: bool,
}

pub(crate) async fn show(
    State(face): State<Face>,
    visitor: Visitor,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    let found = find(&face, &visitor, &api).await?;
    let message = ListComments { visitor, api: id("API", &api)?, with_names: false };
    let mut all = face.ask(message).await?.body.all;
    all.sort_by_key(|comment| std::cmp::Reverse(comment.written_at));
    let is_admin = viewer.may(&["apim:admin"]);
    let row = |comment: Arc<Comment>| Row {
        at: when(comment.written_at),
        may_delete: is_admin || subscriber.as_ref().is_some_and(|one| one.principal == comment.written_by),
        comment,
    };
    let page = CommentsPage {
        comments: all.into_iter().take(SHOWN_MAX).map(row).collect(),
        may_write: subscriber.is_some(),
        frame: frame(viewer, &found, "/comments"),
        api: found,
    };
    Ok(render(&page))
}

pub(crate) async fn add(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let comment: NewComment = serde_json::from_value(json!({"content": fields.text("text")}))
        .map_err(|error| ApiError::bad_request(format!("text: {error}")))?;
    face.ask(AddComment { subscriber, api: id("API", &api)?, parent: None, comment }).await?;
    Ok(say_and_go("Said.", &format!("/devportal/apis/{api}/comments")))
}

pub(crate) async fn delete(
    State(face): State<Face>,
    MayDeleteComments(subscriber): MayDeleteComments,
    viewer: Viewer,
    Path((api, comment)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let is_of_any = viewer.may(&["apim:admin"]);
    let message = DeleteComment { subscriber, api: id("API", &api)?, comment: id("comment", &comment)?, is_of_any };
    face.ask(message).await?;
    Ok(say_and_go("The comment is deleted.", &format!("/devportal/apis/{api}/comments")))
}
