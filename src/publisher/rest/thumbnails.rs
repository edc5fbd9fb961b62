//! `/apis/{apiId}/thumbnail`: an API's picture.

use axum::extract::{Path, State};
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::contract::content;
use portcullis_http::{ApiError, MultipartForm};
use serde_json::json;

use super::answer::{flat, wrote};
use super::request::Request;
use crate::actor::Publisher;
use crate::messages::{GetThumbnail, PutThumbnail};

pub(crate) const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
pub(crate) const PUT: &[&str] = &["apim:api_create", "apim:api_manage", "apim:api_publish"];

pub async fn read(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(GetThumbnail { asker: request.asker(VIEW)?, id: id.clone() }).await)?;
    let picture = seen.value.ok_or_else(|| ApiError::not_found("thumbnail of API", id))?;
    Ok(content::write(&request.headers, &picture, None, seen.index))
}

pub async fn put(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(PUT)?;
    let thumbnail = content::picture(form.part("file")?.bytes.to_vec())?;
    let place = format!("/apis/{id}/thumbnail");
    let body = json!({"relativePath": place, "mediaType": thumbnail.media_type});
    let written = flat(publisher.ask(PutThumbnail { asker, id, thumbnail }).await)?;
    let mut response = wrote(StatusCode::OK, &written, body);
    if let Ok(location) = HeaderValue::from_str(&format!("/api/am/publisher/v4{place}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}
