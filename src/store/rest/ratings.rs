//! `/apis/{apiId}/ratings` and `/apis/{apiId}/user-rating`: anybody reads them, subscribers rate.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Body, Stamped};
use serde::Deserialize;

use super::Face;
use super::answer::{found, ok};
use super::query::{Query, id};
use super::visitor::MaySubscribe;
use crate::messages::{GetRating, ListRatings, RateApi, Visitor};

pub(super) async fn list(
    State(face): State<Face>,
    visitor: Visitor,
    Path(api): Path<String>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(ListRatings { visitor, api, page: page.page()? }).await?)
}

pub(super) async fn show(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    found(&headers, face.ask(GetRating { subscriber, api }).await?)
}

/// The contract's `Rating` as it is sent.
#[derive(Deserialize)]
pub(super) struct RatingBody {
    rating: u8,
}

pub(super) async fn rate(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
    Body(body): Body<RatingBody>,
) -> Result<Response, ApiError> {
    let api = id("API", &api)?;
    ok(face.ask(RateApi { subscriber, api, stars: Some(body.rating) }).await?)
}

pub(super) async fn remove(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    Path(api): Path<String>,
) -> Result<Stamped<()>, ApiError> {
    let api = id("API", &api)?;
    let Stamped { index, unreached, .. } = face.ask(RateApi { subscriber, api, stars: None }).await?;
    Ok(Stamped { body: (), index, unreached })
}
