//! The web pages of a node: those of the components that it serves, and what all of them share.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use portcullis_http::ApiError;
use portcullis_model::Component;
use portcullis_model::port::Authentication;
use portcullis_portal::session;

use crate::components;
use crate::documents;
use crate::places::Places;

/// What is below a portal, each with its component: where no page is there, a page says so.
const BELOW: [(&str, Component); 3] = [
    ("/publisher/{*path}", Component::Publisher),
    ("/devportal/{*path}", Component::Store),
    ("/admin/{*path}", Component::Admin),
];

/// Puts the pages of the components that are served together.
pub(crate) fn router(
    of_components: impl IntoIterator<Item = Router>,
    is_served: impl Fn(Component) -> bool,
    authentication: &Arc<dyn Authentication>,
    places: &Places,
) -> Router {
    let places = places.clone();
    let addresses: portcullis_portal::Places = Arc::new(move || components::page_addresses(&places));
    let pages = of_components.into_iter().fold(portcullis_portal::front(Arc::clone(&addresses)), Router::merge);
    let below = BELOW.into_iter().filter(|(_, component)| is_served(*component));
    let pages = below.fold(pages, |pages, (path, _)| pages.route(path, any(async || ApiError::no_such_path())));
    let pages = pages.method_not_allowed_fallback(async || ApiError::method_not_allowed());
    session::around(pages, Arc::clone(authentication), addresses)
        .merge(portcullis_portal::assets())
        .merge(documents::router())
}
