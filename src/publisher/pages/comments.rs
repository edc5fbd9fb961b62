//! `/publisher/apis/{id}/comments`: what people say about an API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::contract::comment::NewComment;
use portcullis_model::Api;
use portcullis_portal::comments::{CommentsQuery, Talks};
use portcullis_portal::{Fields, Frame, Part, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::json;

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{AddComment, DeleteComment, ListComments};
use crate::rest::answer::flat;
use crate::rest::comments::{DELETE, DELETE_ANY, VIEW, WRITE};
use crate::rest::request::{Params, Request};

#[derive(Template)]
#[template(path = "publisher_comments.html")]
struct CommentsPage {
    frame: Frame,
    api: Arc<Api>,
    talks: Talks,
    part: Part,
    may_write: bool,
    /// What was written and not accepted.
    text: String,
    wrong: Wrong,
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    id: String,
    query: &CommentsQuery,
) -> Result<CommentsPage, ApiError> {
    let view = find(publisher, request, &id).await?;
    let asker = request.asker(VIEW)?;
    let path = format!("/publisher/apis/{id}/comments");
    let who = asker.identity.principal.clone();
    let all = flat(publisher.ask(ListComments { asker, id, with_names: false }).await)?.value;
    let (may_delete, may_delete_any) = (viewer.may(DELETE), viewer.may(DELETE_ANY));
    let talks = Talks::of(&all, path, query, |comment| may_delete_any || (may_delete && comment.written_by == who))?;
    Ok(CommentsPage {
        may_write: viewer.may(WRITE),
        frame: frame(viewer, &view, "/comments"),
        api: view.api,
        part: talks.part.clone(),
        talks,
        text: String::new(),
        wrong: Wrong::default(),
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    Params(query): Params<CommentsQuery>,
) -> Result<Response, ApiError> {
    Ok(render(&page(&publisher, &request, viewer, id, &query).await?))
}

pub(super) async fn add(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(WRITE)?;
    let parent = fields.filled("parent").map(|text| text.parse().map_err(|_| ApiError::not_found("comment", text)));
    let parent = parent.transpose()?;
    let comment: NewComment = serde_json::from_value(json!({"content": fields.text("text")}))
        .map_err(|error| ApiError::bad_request(format!("text: {error}")))?;
    match flat(publisher.ask(AddComment { asker, id: id.clone(), parent, comment }).await) {
        Ok(_) => Ok(say_and_go("Said.", &format!("/publisher/apis/{id}/comments"))),
        Err(error) => {
            let mut page = page(&publisher, &request, viewer, id, &CommentsQuery::of_thread(parent)).await?;
            page.text = fields.raw("text").to_owned();
            page.wrong = error.clone().into();
            Ok(render_again(&page, &error))
        }
    }
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
