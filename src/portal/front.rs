//! `/`: the way to the three portals.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::frame::{Frame, Shell};
use crate::viewer::Viewer;
use crate::{Addresses, Desk, page};

#[derive(Template)]
#[template(path = "front.html")]
struct FrontPage {
    frame: Frame,
    addresses: Addresses,
}

pub(crate) async fn show(State(desk): State<Desk>, viewer: Viewer) -> Response {
    let frame = Frame::new(viewer, Shell::Front, "/", "APIs, from design to call");
    page::render(&FrontPage { frame, addresses: (desk.places)() })
}
