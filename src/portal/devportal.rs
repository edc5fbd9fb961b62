//! `/devportal`: the APIs that everybody may call, and how. Needs no sign-in.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use portcullis_http::page::PageQuery;

use crate::page::{self, Frame, Part};
use crate::{Addresses, Portal, PublishedApi};

#[derive(Template)]
#[template(path = "devportal.html")]
struct DevportalPage {
    frame: Frame,
    addresses: Addresses,
    apis: Vec<PublishedApi>,
    part: Part,
}

pub(crate) async fn show(State(portal): State<Portal>, Query(query): Query<PageQuery>) -> Response {
    let wanted = match page::wanted(&query) {
        Ok(wanted) => wanted,
        Err(error) => return page::refuse("/devportal", &error),
    };
    let found = portal.data.published_apis(wanted);
    let part = Part::of("/devportal", wanted, found.rows.len(), found.total);
    let frame = Frame { title: "Developer portal", section: "/devportal", user: None };
    page::render(&DevportalPage { frame, addresses: portal.data.addresses(), apis: found.rows, part })
}
