//! `/devportal/apis/{api}/comments`: what people say about an API.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_http::ApiError;
use portcullis_http::contract::comment::NewComment;
use portcullis_portal::comments::{CommentsQuery, Talks};
use portcullis_portal::{Fields, Frame, Part, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::json;

use super::{Guest, MaybeSubscriber, find, frame};
use crate::dto::api::ApiDto;
use crate::messages::{AddComment, DeleteComment, ListComments, Subscriber, Visitor};
use crate::rest::Face;
use crate::rest::query::{Query, id};
use crate::rest::visitor::{MayDeleteComments, MaySubscribe};

#[derive(Template)]
#[template(path = "store_comments.html")]
struct CommentsPage {
    frame: Frame,
    api: ApiDto,
    talks: Talks,
    part: Part,
    may_write: bool,
    /// What was written and not accepted.
    text: String,
    wrong: Wrong,
}

async fn page(
    face: &Face,
    visitor: Visitor,
    subscriber: Option<&Subscriber>,
    viewer: Viewer,
    api: &str,
    query: &CommentsQuery,
) -> Result<CommentsPage, ApiError> {
    let found = find(face, &visitor, api).await?;
    let message = ListComments { visitor, api: id("API", api)?, with_names: false };
    let all = face.ask(message).await?.body;
    // An administrator's word goes in the own tenant.
    let is_admin = viewer.may(&["apim:admin"]) && subscriber.is_some_and(|one| one.principal.tenant == all.tenant);
    let path = format!("/devportal/apis/{api}/comments");
    let talks = Talks::of(&all, path, query, |comment| {
        is_admin || subscriber.is_some_and(|one| one.principal == comment.written_by)
    })?;
    Ok(CommentsPage {
        may_write: subscriber.is_some(),
        frame: frame(viewer, &found, "/comments"),
        api: found,
        part: talks.part.clone(),
        talks,
        text: String::new(),
        wrong: Wrong::default(),
    })
}

pub(crate) async fn show(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MaybeSubscriber(subscriber): MaybeSubscriber,
    viewer: Viewer,
    Path(api): Path<String>,
    Query(query): Query<CommentsQuery>,
) -> Result<Response, ApiError> {
    Ok(render(&page(&face, visitor, subscriber.as_ref(), viewer, &api, &query).await?))
}

pub(crate) async fn add(
    State(face): State<Face>,
    Guest(visitor): Guest,
    MaySubscribe(subscriber): MaySubscribe,
    viewer: Viewer,
    Path(api): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let parent = fields.filled("parent").map(|text| id("comment", text)).transpose()?;
    let comment: NewComment = serde_json::from_value(json!({"content": fields.text("text")}))
        .map_err(|error| ApiError::bad_request(format!("text: {error}")))?;
    let message = AddComment { subscriber: subscriber.clone(), api: id("API", &api)?, parent, comment };
    match face.ask(message).await {
        Ok(_) => Ok(say_and_go("Said.", &format!("/devportal/apis/{api}/comments"))),
        Err(error) => {
            let query = CommentsQuery::of_thread(parent);
            let mut page = page(&face, visitor, Some(&subscriber), viewer, &api, &query).await?;
            page.text = fields.raw("text").to_owned();
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
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
