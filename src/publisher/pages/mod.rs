//! The Publisher's web pages: faces over the same messages as the REST paths, with the same scopes.

mod calling;
mod changes;
mod comments;
mod create;
mod definition;
mod design;
mod documents;
mod endpoints;
mod life;
mod list;
mod overview;
mod policies;
mod revisions;
mod subscriptions;
mod thumbnail;

use axum::Router;
use axum::routing::{get, post};
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_portal::{Frame, Viewer};

use crate::actor::Publisher;
use crate::messages::{ApiView, GetApi};
use crate::rest::answer::flat;
use crate::rest::apis::VIEW;
use crate::rest::request::Request;

/// Returns the pages, to be mounted at the root.
pub fn routes(publisher: Address<Publisher>) -> Router {
    Router::new()
        .route("/publisher", get(list::show))
        .route("/publisher/create", get(create::show).post(create::from_scratch))
        .route("/publisher/import", post(create::import))
        .route("/publisher/subscriptions", get(subscriptions::all))
        .merge(of_api())
        .with_state(publisher)
}

/// Returns the pages of one API.
fn of_api() -> Router<Address<Publisher>> {
    Router::new()
        .route("/publisher/apis/{id}", get(overview::show).post(overview::change))
        .route("/publisher/apis/{id}/new-version", post(overview::copy))
        .route("/publisher/apis/{id}/delete", post(overview::delete))
        .route("/publisher/apis/{id}/design", get(design::show))
        .route("/publisher/apis/{id}/resources", design::form(design::operations))
        .route("/publisher/apis/{id}/endpoints", design::form(endpoints::write))
        .route("/publisher/apis/{id}/plans", design::form(design::plans))
        .route("/publisher/apis/{id}/security", design::form(design::security))
        .route("/publisher/apis/{id}/scopes", design::form(design::scopes))
        .route("/publisher/apis/{id}/definition", get(definition::show).post(definition::change))
        .route("/publisher/apis/{id}/policies", get(policies::show).post(policies::change))
        .route("/publisher/apis/{id}/documents", get(documents::list).post(documents::create))
        .route("/publisher/apis/{id}/documents/{document}", get(documents::show).post(documents::write))
        .route("/publisher/apis/{id}/documents/{document}/content", get(documents::content))
        .route("/publisher/apis/{id}/documents/{document}/delete", post(documents::delete))
        .route("/publisher/apis/{id}/thumbnail", get(thumbnail::show).post(thumbnail::put))
        .route("/publisher/apis/{id}/revisions", get(revisions::show).post(revisions::create))
        .route("/publisher/apis/{id}/revisions/{revision}/{act}", post(revisions::act))
        .route("/publisher/apis/{id}/try", get(calling::show).post(calling::get_key))
        .route("/publisher/apis/{id}/lifecycle", get(life::show).post(life::change))
        .route("/publisher/apis/{id}/lifecycle/cancel", post(life::cancel))
        .route("/publisher/apis/{id}/subscriptions", get(subscriptions::of_api).post(subscriptions::set))
        .route("/publisher/apis/{id}/comments", get(comments::show).post(comments::add))
        .route("/publisher/apis/{id}/comments/{comment}/delete", post(comments::delete))
}

/// Returns an API to somebody who may see it.
async fn find(publisher: &Address<Publisher>, request: &Request, id: &str) -> Result<ApiView, ApiError> {
    let asker = request.asker(VIEW)?;
    let view = flat(publisher.ask(GetApi { asker, id: id.to_owned() }).await)?.value;
    match view.revision {
        // The pages are of the API; a revision is shown among them.
        Some(_) => Err(ApiError::not_found("API", id)),
        None => Ok(view),
    }
}

/// Returns the frame of the page of an API that is at the end `tab` of its path.
fn frame(viewer: Viewer, view: &ApiView, tab: &str) -> Frame {
    let api = &view.api;
    Frame::of_api(viewer, &api.id.to_string(), format!("{} {}", api.name, api.version), tab)
}
