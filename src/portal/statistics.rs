//! The statistics pages: `/admin/statistics` and `/publisher/apis/{id}/statistics`. What they show comes through
//! [`StatisticsSource`]; [`fragment`] makes HTML of it, without a frame.

mod fragment;
mod view;

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use http::request::Parts;
use portcullis_http::ApiError;
use portcullis_model::port::{Authentication, Identity};
use portcullis_model::{ApiId, Component, Components};
use serde::Deserialize;

use crate::page::{self, Frame};
use crate::sign_in;

pub use fragment::fragment;
pub use view::{Number, Range, StatisticsSource, StatisticsView, Times, Top};

/// Scopes of which a visitor of an API's page needs one.
const OF_API: &[&str] = &["apim:api_view", "apim:admin"];

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
    authentication: Arc<dyn Authentication>,
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

/// Returns the statistics pages of the components that this node serves, to be mounted at the root.
pub fn routes(
    source: Arc<dyn StatisticsSource>,
    authentication: Arc<dyn Authentication>,
    served: &Components,
) -> Router {
    let mut pages = Router::new();
    if served.has(Component::Admin) {
        pages = pages.route("/admin/statistics", get(of_all));
    }
    if served.has(Component::Publisher) {
        pages = pages.route("/publisher/apis/{id}/statistics", get(of_api));
    }
    pages.layer(middleware::map_response(page::protect)).with_state(Shared { source, authentication })
}

async fn of_all(State(shared): State<Shared>, parts: Parts, Query(wanted): Query<Wanted>) -> Response {
    let section = "/admin";
    match shared.visitor(&parts, &["apim:admin"]).await {
        Ok(visitor) => shared.show(section, "/admin/statistics", &visitor, None, &wanted),
        Err(error) => page::refuse(section, &error),
    }
}

async fn of_api(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    Query(wanted): Query<Wanted>,
) -> Response {
    let section = "/publisher";
    let visitor = match shared.visitor(&parts, OF_API).await {
        Ok(visitor) => visitor,
        Err(error) => return page::refuse(section, &error),
    };
    match id.parse::<ApiId>() {
        Ok(api) => shared.show(section, &format!("/publisher/apis/{api}/statistics"), &visitor, Some(api), &wanted),
        Err(_) => page::refuse(section, &ApiError::not_found("API", &id)),
    }
}

impl Shared {
    async fn visitor(&self, parts: &Parts, scopes: &[&str]) -> Result<Identity, ApiError> {
        sign_in::visitor(self.authentication.as_ref(), parts, scopes).await
    }

    fn show(
        &self,
        section: &'static str,
        path: &str,
        visitor: &Identity,
        api: Option<ApiId>,
        wanted: &Wanted,
    ) -> Response {
        let range = wanted.range.as_deref().and_then(Range::named).unwrap_or_default();
        let Some(view) = self.source.view(&visitor.principal, api, range) else {
            let api = api.map(|api| api.to_string()).unwrap_or_default();
            return page::refuse(section, &ApiError::not_found("API", &api));
        };
        let frame = Frame { title: "Statistics", section, user: Some(visitor.principal.to_string()) };
        page::render(&StatisticsPage { frame, fragment: fragment(path, &view) })
    }
}
