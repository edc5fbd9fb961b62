//! The web pages of a node: those of the components that it serves, and what all of them share.

use std::sync::Arc;

use axum::Router;
use portcullis_model::port::Authentication;
use portcullis_portal::session;

use crate::components;
use crate::documents;
use crate::places::Places;

/// Puts the pages of the components together.
pub(crate) fn router(
    of_components: impl IntoIterator<Item = Router>,
    authentication: &Arc<dyn Authentication>,
    places: &Places,
) -> Router {
    let places = places.clone();
    let addresses: portcullis_portal::Places = Arc::new(move || components::page_addresses(&places));
    let pages = of_components.into_iter().fold(portcullis_portal::front(Arc::clone(&addresses)), Router::merge);
    session::around(pages, Arc::clone(authentication), addresses)
        .merge(portcullis_portal::assets())
        .merge(documents::router())
}
