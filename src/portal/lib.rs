//! The web pages: what Portcullis looks like in a browser.
//!
//! Pages are rendered on the server and work without JavaScript. They show; what changes anything is the REST APIs,
//! which they name. What they show comes through [`Data`], which `node` implements: no component and no database is
//! known here.

mod admin;
pub mod chart;
mod data;
mod devportal;
mod front;
pub mod oauth;
mod page;
mod publisher;
mod sign_in;
pub mod statistics;
#[cfg(test)]
mod tests;
mod theme;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use portcullis_http::ApiError;
use portcullis_model::port::Authentication;
use portcullis_model::{Component, Components};

pub use data::{Addresses, ApiRow, Data, OperationRow, PolicyRow, PublishedApi, Rows};

/// What the handlers of all pages share.
#[derive(Clone)]
struct Portal {
    data: Arc<dyn Data>,
    authentication: Arc<dyn Authentication>,
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Portal")
    }
}

/// Returns the pages that this node serves, to be mounted at the root: `/`, `/publisher`, `/devportal`, `/admin` with
/// their components, and the theme below `/assets/`. They sign their visitors in themselves, with basic credentials.
pub fn routes(data: Arc<dyn Data>, authentication: Arc<dyn Authentication>, served: &Components) -> Router {
    let mut pages = Router::new().route("/", get(front::show));
    if served.has(Component::Publisher) {
        pages = pages.route("/publisher", get(publisher::show));
    }
    if served.has(Component::Store) {
        pages = pages.route("/devportal", get(devportal::show));
    }
    if served.has(Component::Admin) {
        pages = pages.route("/admin", get(admin::show));
    }
    pages
        .route(theme::path(), get(theme::show))
        .layer(middleware::map_response(page::protect))
        .with_state(Portal { data, authentication })
}

/// Returns the page that says why a portal is not on this node: what `error` says, with its status.
pub fn refuse(error: &ApiError) -> Response {
    page::refuse("/", error)
}
