//! `/search`: APIs, products and documents at once, open to anybody.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Stamped};
use serde::Deserialize;

use super::Face;
use super::answer::found;
use super::apis::linked;
use super::query::Query;
use crate::messages::{FindAll, Visitor};

#[derive(Deserialize)]
pub(super) struct SearchQuery {
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub(super) async fn find(
    State(face): State<Face>,
    visitor: Visitor,
    Query(query): Query<SearchQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = query.query.unwrap_or_default();
    let message = FindAll { visitor, query: text.clone(), page: query.page.page()? };
    let Stamped { body, index, unreached } = face.ask(message).await?;
    found(&headers, Stamped { body: linked(body, "/search", &[("query", &text)]), index, unreached })
}
