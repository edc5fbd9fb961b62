//! `/`: the way to the three portals.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::page::{self, Frame};
use crate::{Addresses, Portal};

#[derive(Template)]
#[template(path = "front.html")]
struct FrontPage {
    frame: Frame,
    addresses: Addresses,
}

pub(crate) async fn show(State(portal): State<Portal>) -> Response {
    let frame = Frame { title: "Portcullis", section: "/", user: None };
    page::render(&FrontPage { frame, addresses: portal.data.addresses() })
}
