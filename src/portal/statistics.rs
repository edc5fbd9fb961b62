//! The statistics pages: `/admin/statistics` and `/publisher/apis/{id}/statistics`, each with its values as CSV below it.
//! What they show comes through [`StatisticsSource`]; [`fragment`] makes HTML of it, without a frame. Other components
//! have such pages too, by [`look`] and [`download`].

mod fragment;
mod view;

use std::fmt;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use portcullis_http::time::from_rfc3339;
use portcullis_http::{ApiError, Signed};
use portcullis_model::port::Identity;
use portcullis_model::{Component, Components};
use serde::Deserialize;

use crate::frame::{Frame, Shell, Tab};
use crate::page;
use crate::viewer::Viewer;

pub use fragment::{fragment, ranges};
pub use view::{About, Number, Range, Source, StatisticsSource, StatisticsView, Times, Top, Values};

/// Scopes of which a visitor of an API's page needs one.
const OF_API: &[&str] = &["apim:api_view", "apim:admin"];
/// The scope of who sees the statistics of all APIs.
const ADMIN: &[&str] = &["apim:admin"];
/// Where the statistics of all APIs are.
const OF_ALL: &str = "/admin/statistics";
/// Where calls are shown as they are answered.
const LIVE: &str = "/admin/statistics/live";
/// Where that page gets them from: server-sent events `call` and `missed`, by who has the gateway.
pub const LIVE_CALLS: &str = "/admin/statistics/live/calls";
/// The pages of statistics in Admin.
const TABS: [(&str, &str); 3] = [(OF_ALL, "Calls"), ("/admin/statistics/growth", "Growth"), (LIVE, "Live")];

#[derive(Template)]
#[template(path = "statistics.html")]
struct StatisticsPage {
    frame: Frame,
    fragment: String,
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    source: Source,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// The query of a page.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageQuery {
    range: Option<String>,
}

impl PageQuery {
    fn range(&self) -> Range {
        self.range.as_deref().and_then(Range::named).unwrap_or_default()
    }
}

/// The query of values as CSV.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ValuesQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// Returns the statistics pages of the components that this node serves, to be mounted at the root, with
/// [`crate::session::around`] around them.
pub fn routes(source: Source, served: &Components) -> Router {
    let mut pages = Router::new();
    if served.has(Component::Admin) {
        pages = pages.route(OF_ALL, get(of_all)).route("/admin/statistics/csv/{report}", get(values_of_all));
        pages = pages.route(LIVE, get(live));
    }
    if served.has(Component::Publisher) {
        pages = pages.route("/publisher/apis/{id}/statistics", get(of_api));
        pages = pages.route("/publisher/apis/{id}/statistics/csv/{report}", get(values_of_api));
    }
    pages.with_state(Shared { source })
}

/// Makes the frame of a page of statistics in Admin: the one at `path`.
#[must_use]
pub fn admin_frame(viewer: Viewer, path: &str) -> Frame {
    let tabs = TABS.iter().map(|(at, name)| Tab { path: (*at).to_owned(), name, is_current: *at == path });
    Frame::new(viewer, Shell::Admin, OF_ALL, "Statistics").beside(tabs.collect())
}

/// Looks at the statistics, beside the threads that serve requests.
///
/// # Errors
/// 404 where the visitor may not see them, 503 where that was not finished.
pub async fn look(
    source: Source,
    visitor: Identity,
    about: About,
    query: &PageQuery,
) -> Result<StatisticsView, ApiError> {
    let (range, told) = (query.range(), about.clone());
    let looking = tokio::task::spawn_blocking(move || source.view(&visitor, &about, range));
    let view = looking.await.map_err(|_| ApiError::unavailable("The statistics were not put together."))?;
    view.ok_or_else(|| unknown(&told))
}

/// Returns values as a file, with the same errors as [`look`].
///
/// # Errors
/// 400 besides where the query is not understood.
pub async fn download(
    source: Source,
    visitor: Identity,
    about: About,
    report: String,
    query: &ValuesQuery,
) -> Result<Response, ApiError> {
    let time = |field: &str, text: &str| {
        let wrong = || ApiError::bad_request(format!("{field}: must be a time such as 2026-01-02T03:04:05Z"));
        from_rfc3339(text).ok_or_else(wrong)
    };
    let told = about.clone();
    let values = Values { from: time("from", &query.from)?, to: time("to", &query.to)?, report };
    let making = tokio::task::spawn_blocking(move || {
        let text = source.csv(&visitor, &about, &values);
        text.map(|text| text.map(|text| (text, values.report)))
    });
    let made = making.await.map_err(|_| ApiError::unavailable("The statistics were not put together."))??;
    let (text, report) = made.ok_or_else(|| unknown(&told))?;
    let shown_as = format!("attachment; filename=\"{report}.csv\"");
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, shown_as)];
    Ok((headers, text).into_response())
}

fn unknown(about: &About) -> ApiError {
    match about {
        About::Everything => ApiError::no_such_path(),
        About::Api(api) => ApiError::not_found("API", api.to_string()),
        About::Application { id, .. } => ApiError::not_found("application", id.to_string()),
    }
}

fn api_of(id: &str) -> Result<About, ApiError> {
    let unknown = || ApiError::not_found("API", id.chars().take(100).collect::<String>());
    id.parse().map(About::Api).map_err(|_| unknown())
}

async fn of_all(
    State(shared): State<Shared>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    signed.require(ADMIN)?;
    let view = look(shared.source, signed.0, About::Everything, &query).await?;
    let frame = admin_frame(viewer, OF_ALL);
    Ok(page::render(&StatisticsPage { frame, fragment: fragment(OF_ALL, &view) }))
}

/// The filter of the page of calls as they are answered; its fields are those of what tells of them.
#[derive(Clone, Debug, Default, Deserialize)]
struct LiveQuery {
    #[serde(default)]
    status: String,
    #[serde(default)]
    verb: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    application: String,
}

#[derive(Template)]
#[template(path = "statistics_live.html")]
struct LivePage {
    frame: Frame,
    query: LiveQuery,
    calls: &'static str,
}

async fn live(signed: Signed, viewer: Viewer, Query(query): Query<LiveQuery>) -> Result<Response, ApiError> {
    signed.require(ADMIN)?;
    if !signed.0.principal.tenant.is_super() {
        let reason = "This is for administrators of the first tenant, which runs the cluster.";
        return Err(ApiError::forbidden(reason));
    }
    Ok(page::render(&LivePage { frame: admin_frame(viewer, LIVE), query, calls: LIVE_CALLS }))
}

async fn values_of_all(
    State(shared): State<Shared>,
    Path(report): Path<String>,
    signed: Signed,
    Query(query): Query<ValuesQuery>,
) -> Result<Response, ApiError> {
    signed.require(ADMIN)?;
    download(shared.source, signed.0, About::Everything, report, &query).await
}

async fn of_api(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    signed.require(OF_API)?;
    let view = look(shared.source, signed.0, api_of(&id)?, &query).await?;
    let name = view.api.clone().unwrap_or_else(|| id.clone());
    let path = format!("/publisher/apis/{id}/statistics");
    let frame = Frame::of_api(viewer, &id, name, "/statistics");
    Ok(page::render(&StatisticsPage { frame, fragment: fragment(&path, &view) }))
}

async fn values_of_api(
    State(shared): State<Shared>,
    Path((id, report)): Path<(String, String)>,
    signed: Signed,
    Query(query): Query<ValuesQuery>,
) -> Result<Response, ApiError> {
    signed.require(OF_API)?;
    download(shared.source, signed.0, api_of(&id)?, report, &query).await
}
