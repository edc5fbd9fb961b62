//! `/publisher`: the APIs of a tenant, as cards or as a table, chosen by state and words.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, PageQuery};
use portcullis_model::api::versioned_context;
use portcullis_model::{Api, Lifecycle};
use portcullis_portal::{Frame, Part, Shell, Viewer, page, when};
use serde::Deserialize;

use crate::actor::Publisher;
use crate::messages::{ApiSearch, ListApis};
use crate::rest::answer::flat;
use crate::rest::apis::LIST;
use crate::rest::request::{Params, Request};

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    view: String,
    #[serde(flatten)]
    page: PageQuery,
}

#[derive(Template)]
#[template(path = "publisher_list.html")]
struct ListPage {
    frame: Frame,
    query: ListQuery,
    apis: Vec<Row>,
    part: Part,
    /// Link, name, and whether it is the one that is shown.
    states: Vec<(String, &'static str, bool)>,
    /// Link to the other view.
    other_view: String,
    is_table: bool,
    is_chosen: bool,
}

struct Row {
    api: Arc<Api>,
    path: String,
    changed: String,
}

const STATES: [Lifecycle; 6] = [
    Lifecycle::Created,
    Lifecycle::Prototyped,
    Lifecycle::Published,
    Lifecycle::Blocked,
    Lifecycle::Deprecated,
    Lifecycle::Retired,
];

fn tail(q: &str, state: &str, view: &str) -> String {
    let mut tail = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("q", q), ("state", state), ("view", view)] {
        if !value.is_empty() {
            tail.append_pair(name, value);
        }
    }
    tail.finish()
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(LIST)?;
    let wanted = page::wanted(&query.page)?;
    let state: Option<Lifecycle> = query.state.parse().ok();
    let chosen = state.map(|state| format!(" status:\"{}\"", state.as_contract())).unwrap_or_default();
    let search = ApiSearch { query: format!("{}{chosen}", query.q), ..ApiSearch::default() };
    let found = flat(publisher.ask(ListApis { asker, search, page: wanted }).await)?.value;
    let apis: Vec<Row> = found
        .page
        .iter()
        .map(|one| Row {
            path: versioned_context(&one.api.context, &one.api.version),
            changed: when(one.api.updated_at),
            api: Arc::clone(&one.api),
        })
        .collect();
    let here = tail(&query.q, &query.state, &query.view);
    let part = Part::of("/publisher", &here, wanted, apis.len(), found.total);
    let link = |state: &str| format!("/publisher?{}", tail(&query.q, state, &query.view));
    let all = (link(""), "All", state.is_none());
    let states = STATES.map(|one| (link(one.as_contract()), one.as_title(), state == Some(one)));
    let is_table = query.view == "table";
    let other = if is_table { "" } else { "table" };
    let page = ListPage {
        frame: Frame::new(viewer, Shell::Publisher, "/publisher", "APIs"),
        is_chosen: state.is_some() || !query.q.is_empty(),
        other_view: format!("/publisher?{}", tail(&query.q, &query.state, other)),
        states: std::iter::once(all).chain(states).collect(),
        is_table,
        query,
        apis,
        part,
    };
    Ok(portcullis_portal::render(&page))
}
