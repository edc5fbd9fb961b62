//! The statistics pages: `/admin/statistics` and `/publisher/apis/{id}/statistics`. What they show comes through
//! [`StatisticsSource`]; [`fragment`] makes HTML of it, without a frame.

mod fragment;
mod view;

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{ApiId, Component, Components};
use serde::Deserialize;

use crate::frame::{Frame, Shell};
use crate::page;
use crate::viewer::Viewer;

pub use fragment::fragment;
pub use view::{Number, Range, StatisticsSource, StatisticsView, Times, Top};

/// Scopes of which a visitor of an API's page needs one.
const OF_API: &[&str] = &["apim:api_view", "apim:admin"];
/// Where the statistics of all APIs are.
const OF_ALL: &str = "/admin/statistics";

#[derive(Template)]
#[template(path = "statistics.html")]
struct StatisticsPage {
    frame: Frame,
    fragment: String,
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    source: Arc<dyn StatisticsSource>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// The query of a page.
#[derive(Clone, Debug, Default, Deserialize)]
struct Wanted {
    range: Option<String>,
}

impl Wanted {
    fn range(&self) -> Range {
        self.range.as_deref().and_then(Range::named).unwrap_or_default()
    }
}

/// Returns the statistics pages of the components that this node serves, to be mounted at the root, with
/// [`crate::session::around`] around them.
pub fn routes(source: Arc<dyn StatisticsSource>, served: &Components) -> Router {
    let mut pages = Router::new();
    if served.has(Component::Admin) {
        pages = pages.route(OF_ALL, get(of_all));
    }
    if served.has(Component::Publisher) {
        pages = pages.route("/publisher/apis/{id}/statistics", get(of_api));
    }
    pages.with_state(Shared { source })
}

async fn of_all(
    State(shared): State<Shared>,
    signed: Signed,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    signed.require(&["apim:admin"])?;
    let view = shared.source.view(&signed.0, None, wanted.range()).unwrap_or_default();
    let frame = Frame::new(viewer, Shell::Admin, OF_ALL, "Statistics");
    Ok(page::render(&StatisticsPage { frame, fragment: fragment(OF_ALL, &view) }))
}

async fn of_api(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: Signed,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    signed.require(OF_API)?;
    let unknown = || ApiError::not_found("API", id.chars().take(100).collect::<String>());
    let api: ApiId = id.parse().map_err(|_| unknown())?;
    let view = shared.source.view(&signed.0, Some(api), wanted.range()).ok_or_else(unknown)?;
    let of_api = format!("/publisher/apis/{api}");
    let path = format!("{of_api}/statistics");
    let name = view.api.clone().unwrap_or_else(|| api.to_string());
    let frame = Frame::of_api(viewer, &api.to_string(), name, "/statistics");
    Ok(page::render(&StatisticsPage { frame, fragment: fragment(&path, &view) }))
}
