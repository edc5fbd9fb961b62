//! What all web pages share: the frame, the look, who looks at a page, forms and what is said after them.
//!
//! Pages are rendered on the server and work without JavaScript; one small script adds comfort. The pages themselves are
//! with their components, as faces over the same messages as the REST handlers; `node` puts [`session::around`] around
//! them. No component and no database is known here.

pub mod calling;
pub mod chart;
pub mod comments;
mod fields;
mod frame;
mod front;
pub mod markdown;
pub mod oauth;
pub mod page;
mod sends_to;
pub mod session;
pub mod statistics;
#[cfg(test)]
mod tests;
mod theme;
mod viewer;
mod wrong;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use portcullis_http::ApiError;

pub use fields::Fields;
pub use frame::{Crumb, Frame, Shell, Tab};
pub use page::{Part, day, render, render_again, say_and_go, when};
pub use sends_to::may_send_to;
pub use viewer::Viewer;
pub use wrong::Wrong;

/// Base URLs as callers use them, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The management port: `https://localhost:9443`.
    pub management: String,
    /// The gateway's HTTPS port: `https://localhost:8243`.
    pub gateway_https: String,
    /// The gateway's HTTP port: `http://localhost:8280`.
    pub gateway_http: String,
    /// Where the Publisher's page is: a path where this node serves it, else a URL; `None` where nobody does.
    pub publisher: Option<String>,
    /// Where the developer portal is.
    pub devportal: Option<String>,
    /// Where Admin's page is.
    pub admin: Option<String>,
}

/// Says where things are; asked at each view, because nodes come and go.
pub type Places = Arc<dyn Fn() -> Addresses + Send + Sync>;

/// What the handlers of the pages of no component share.
#[derive(Clone)]
struct Desk {
    places: Places,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

/// Returns the page of no component: `/`.
pub fn front(places: Places) -> Router {
    Router::new().route("/", get(front::show)).with_state(Desk { places })
}

/// Returns what all pages need, below `/assets/`.
pub fn assets() -> Router {
    Router::new().route(theme::path(), get(theme::show)).route(theme::script_path(), get(theme::show_script))
}

/// Returns the page that says why a portal is not on this node: what `error` says, with its status.
pub fn refuse(error: &ApiError) -> Response {
    let mut response = page::refuse(Viewer::default(), Shell::Front, error);
    page::protect_in_place(&mut response, "");
    response
}
