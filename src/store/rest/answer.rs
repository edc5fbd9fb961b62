//! Replies: JSON with an entity tag, 304 for what the caller has, `Location` for what was made.

use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use portcullis_http::{ApiError, Stamped, etag};
use serde::Serialize;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers 200 with a body and its tag, or 304 where the caller has it.
pub(crate) fn found<T: Serialize>(headers: &HeaderMap, reply: Stamped<T>) -> Result<Response, ApiError> {
    let (bytes, tag) = write(&reply.body)?;
    let body = if etag::is_known(headers, &tag) {
        (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response()
    } else {
        (StatusCode::OK, [(CONTENT_TYPE, JSON), (ETAG, tag)], bytes).into_response()
    };
    Ok(Stamped { body, index: reply.index, unreached: reply.unreached }.into_response())
}

/// Answers 200 with a body and its tag.
pub(crate) fn ok<T: Serialize>(reply: Stamped<T>) -> Result<Response, ApiError> {
    found(&HeaderMap::new(), reply)
}

/// Answers 201 with a body and where it is: `id` below the path of the request.
pub(crate) fn created<T: Serialize>(collection: &Uri, id: &str, reply: Stamped<T>) -> Result<Response, ApiError> {
    let (bytes, tag) = write(&reply.body)?;
    let location = format!("{}/{id}", collection.path().trim_end_matches('/'));
    let location = HeaderValue::from_str(&location).map_err(|_| ApiError::internal("A reply could not be written."))?;
    let headers = [(CONTENT_TYPE, JSON), (ETAG, tag), (LOCATION, location)];
    let body = (StatusCode::CREATED, headers, bytes).into_response();
    Ok(Stamped { body, index: reply.index, unreached: reply.unreached }.into_response())
}

/// Returns `If-Match` alone, for a message to carry.
pub(crate) fn condition(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(IF_MATCH).iter().map(|value| (IF_MATCH, value.clone())).collect()
}

fn write<T: Serialize>(body: &T) -> Result<(Vec<u8>, HeaderValue), ApiError> {
    let bytes = serde_json::to_vec(body).map_err(|_| ApiError::internal("A reply could not be written."))?;
    let tag = etag::of(&bytes);
    Ok((bytes, tag))
}
