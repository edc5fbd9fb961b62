//! How answers are written: bodies with entity tags, stamps of reads and writes, and the actor's errors.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portcullis_actor::{Address, AskError};
use portcullis_http::{ApiError, Stamped, etag, reply};
use portcullis_model::{ApiKind, websub};
use serde_json::{Value, json};

use crate::actor::Publisher;
use crate::design::wsdl;
use crate::dto::{api_body, lifecycle};
use crate::fault::PublisherError;
use crate::messages::{ApiView, Asker, GetApi, Seen, Written};

/// Where the Publisher's paths are mounted, for `Location`.
const BASE: &str = "/api/am/publisher/v4";

/// Turns the outcome of asking the actor into an answer or the contract's error.
///
/// # Errors
/// Whatever the actor or its mailbox reports.
pub fn flat<T>(asked: Result<Result<T, PublisherError>, AskError>) -> Result<T, ApiError> {
    asked.map_err(PublisherError::from).and_then(|outcome| outcome).map_err(ApiError::from)
}

/// Writes what a read saw: with entity tag and index, or 304 where the caller has it already.
#[must_use]
pub fn read(headers: &HeaderMap, body: &Value, index: u64) -> Response {
    let bytes = body.to_string().into_bytes();
    read_bytes(headers, bytes, "application/json", index)
}

/// Writes bytes that a read saw.
#[must_use]
pub fn read_bytes(headers: &HeaderMap, bytes: Vec<u8>, media_type: &'static str, index: u64) -> Response {
    let tag = etag::of(&bytes);
    let mut response = if etag::is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(HttpBody::from(bytes));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(reply::RAFT_INDEX, HeaderValue::from(index));
    response
}

/// Writes an archive that a read made; `disposition` says under which name it is saved.
#[must_use]
pub fn archive(archive: Vec<u8>, disposition: &str, index: u64) -> Response {
    let mut response = ([(CONTENT_TYPE, HeaderValue::from_static("application/zip"))], archive).into_response();
    response.headers_mut().extend(HeaderValue::from_str(disposition).ok().map(|named| (CONTENT_DISPOSITION, named)));
    response.headers_mut().insert(reply::RAFT_INDEX, HeaderValue::from(index));
    response
}

/// Writes what a write left behind.
#[must_use]
pub fn wrote<T>(status: StatusCode, written: &Written<T>, body: Value) -> Response {
    let body = (status, Json(body));
    Stamped { body, index: written.index, unreached: written.unreached.clone() }.into_response()
}

/// Writes an API that a read saw, with when it was last changed.
#[must_use]
pub fn read_api(headers: &HeaderMap, view: &ApiView, index: u64) -> Response {
    let mut response = read(headers, &body_of(view), index);
    response.headers_mut().extend(last_modified(view));
    response
}

/// Returns when an API was last changed, as HTTP has it (RFC 9110, 8.8.2).
fn last_modified(view: &ApiView) -> Option<(HeaderName, HeaderValue)> {
    let millis = i64::try_from(view.api.updated_at.0).ok()?;
    let time = jiff::Timestamp::from_millisecond(millis).ok()?;
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Some((LAST_MODIFIED, HeaderValue::from_str(&text).ok()?))
}

/// Writes an API that was created or changed, with where it is and its entity tag.
#[must_use]
pub fn wrote_api(status: StatusCode, written: &Written<ApiView>) -> Response {
    let body = body_of(&written.value);
    let tag = tag_of(&body);
    let location = format!("{BASE}/apis/{}", written.value.api.id);
    let mut response = wrote(status, written, body);
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().extend(last_modified(&written.value));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Returns the body of an API or a revision of one.
#[must_use]
pub fn body_of(view: &ApiView) -> Value {
    let mut body = api_body::write(&view.api, view.revision.as_deref());
    body["hasThumbnail"] = view.has_thumbnail.into();
    if let Some(secret) = &view.websub_secret {
        body[websub::FIELD]["secret"] = secret.0.as_str().into();
    }
    if view.api.kind == ApiKind::Soap && wsdl::is_wsdl(&view.definition) {
        let kind = if wsdl::is_archive(&view.definition) { "ZIP" } else { "WSDL" };
        body["wsdlInfo"] = json!({"type": kind});
        body["wsdlUrl"] = format!("{BASE}/apis/{}/wsdl", view.api.id).into();
    }
    body["workflowStatus"] = lifecycle::workflow_status(view.waits).into();
    if let Some(info) = body.get_mut("serviceInfo").and_then(Value::as_object_mut) {
        info.insert("outdated".to_owned(), view.is_service_outdated.into());
    }
    body
}

fn tag_of(body: &Value) -> HeaderValue {
    etag::of(body.to_string().as_bytes())
}

/// Returns the API if the caller insists on a version of it (`If-Match`) and it is that one; `None` where the caller
/// does not insist.
///
/// # Errors
/// 412 where it is another version by now.
pub async fn insisted_on(
    publisher: &Address<Publisher>,
    asker: &Asker,
    headers: &HeaderMap,
    id: &str,
) -> Result<Option<ApiView>, ApiError> {
    if !headers.contains_key(http::header::IF_MATCH) {
        return Ok(None);
    }
    let Seen { value: view, .. } = flat(publisher.ask(GetApi { asker: asker.clone(), id: id.to_owned() }).await)?;
    etag::check_if_match(headers, &tag_of(&body_of(&view)))?;
    Ok(Some(view))
}
