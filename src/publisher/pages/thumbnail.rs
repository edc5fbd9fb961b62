//! `/publisher/apis/{id}/thumbnail`: an API's picture.

use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_http::contract::content;
use portcullis_portal::{Fields, Viewer, say_and_go};

use super::find;
use super::overview::again;
use crate::actor::Publisher;
use crate::messages::{GetThumbnail, PutThumbnail};
use crate::rest::answer::flat;
use crate::rest::request::Request;
use crate::rest::thumbnails::{PUT, VIEW};

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = flat(publisher.ask(GetThumbnail { asker: request.asker(VIEW)?, id: id.clone() }).await)?;
    let picture = seen.value.ok_or_else(|| ApiError::not_found("picture of API", id))?;
    Ok(content::write(&request.headers, &picture, None, seen.index))
}

pub(super) async fn put(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(PUT)?;
    let outcome = match fields.file("file").map(|file| content::picture(file.bytes.to_vec())) {
        Some(Ok(thumbnail)) => flat(publisher.ask(PutThumbnail { asker, id: id.clone(), thumbnail }).await).map(drop),
        Some(Err(error)) => Err(error),
        None => Err(ApiError::bad_request("file: choose a picture")),
    };
    match outcome {
        Ok(()) => Ok(say_and_go("The picture is there.", &format!("/publisher/apis/{id}"))),
        Err(error) => again(&publisher, &request, viewer, &find(&publisher, &request, &id).await?, error).await,
    }
}
