//! `/apis/{apiId}/comments`: anybody reads them, subscribers write them.

use axum::extract::{OriginalUri, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::contract::comment::{CommentChange, CommentQuery, Comments, NewComment};
use portcullis_http::page::Page;
use portcullis_http::{ApiError, Body, Signed, Stamped};

use super::Face;
use super::answer::{created, found, ok};
use super::query::{Query, id};
use super::visitor::{MayDeleteComments, MaySubscribe};
use crate::messages::{AddComment, ChangeComment, DeleteComment, ListComments, Visitor};

/// Scopes with which one deletes what others wrote.
const DELETE_ANY: &[&str] = &["apim:admin"];
/// The replies that come with a comment that was written.
const REPLIES: Page = Page { limit: 25, offset: 0 };

async fn all(face: &Face, visitor: Visitor, api: &str, query: &CommentQuery) -> Result<Stamped<Comments>, ApiError> {
    face.ask(ListComments { visitor, api: id("API", api)?, with_names: query.wants_names() }).await
}

pub(super) async fn list(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(query): Query<CommentQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body, index, unreached } = all(&face, visitor, &api, &query).await?;
    found(&headers, Stamped { body: body.list(query.page()?, query.replies()?), index, unreached })
}

pub(super) async fn show(
    State(face): State<Face>,
    visitor: Visitor,
    Path((api, comment)): Path<(String, String)>,
    Query(query): Query<CommentQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body, index, unreached } = all(&face, visitor, &api, &query).await?;
    found(&headers, Stamped { body: body.one(&comment, query.replies()?)?, index, unreached })
}

pub(super) async fn replies(
    State(face): State<Face>,
    visitor: Visitor,
    Path((api, comment)): Path<(String, String)>,
    Query(query): Query<CommentQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body, index, unreached } = all(&face, visitor, &api, &query).await?;
    let to = body.find(&comment)?.id;
    found(&headers, Stamped { body: body.replies(to, query.page()?), index, unreached })
}

pub(super) async fn create(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    OriginalUri(uri): OriginalUri,
    Path(api): Path<String>,
    Query(query): Query<CommentQuery>,
    Body(comment): Body<NewComment>,
) -> Result<Response, ApiError> {
    let add = AddComment { subscriber, api: id("API", &api)?, parent: query.parent()?, comment };
    let Stamped { body: (after, new), index, unreached } = face.ask(add).await?;
    let new = new.to_string();
    created(&uri, &new, Stamped { body: after.one(&new, REPLIES)?, index, unreached })
}

pub(super) async fn change(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path((api, comment)): Path<(String, String)>,
    Body(change): Body<CommentChange>,
) -> Result<Response, ApiError> {
    let change = ChangeComment { subscriber, api: id("API", &api)?, comment: id("comment", &comment)?, change };
    let Stamped { body: (after, changed), index, unreached } = face.ask(change).await?;
    ok(Stamped { body: after.one(&changed.to_string(), REPLIES)?, index, unreached })
}

pub(super) async fn delete(
    State(face): State<Face>,
    MayDeleteComments(subscriber): MayDeleteComments,
    Signed(identity): Signed,
    Path((api, comment)): Path<(String, String)>,
) -> Result<Stamped<()>, ApiError> {
    let is_of_any = identity.has_any(DELETE_ANY);
    face.ask(DeleteComment { subscriber, api: id("API", &api)?, comment: id("comment", &comment)?, is_of_any }).await
}
