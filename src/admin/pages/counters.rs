//! `/admin/policies/counters`: what the quotas stand at now, and what each node holds of them.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::codec;
use portcullis_database::counters::listing::NodeStanding;
use portcullis_http::{ApiError, Signed, percent};
use portcullis_model::{CounterKey, PolicyLevel, TenantDomain, Username};
use portcullis_portal::{Frame, Viewer, render, when};
use serde::Deserialize;

use super::policies::tabs;
use super::policy_form::LEVELS;
use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::counters::{ListCounters, ShownCounter};

/// Counters of one page.
const SHOWN: usize = 50;
/// Nodes whose grants are shown of one counter.
const NODES_SHOWN: usize = 20;

#[derive(Default, Deserialize)]
pub(super) struct CountersQuery {
    #[serde(default)]
    level: String,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    after: String,
}

/// A counter as the page shows it.
struct Row {
    shown: ShownCounter,
    level: &'static str,
    /// Used in this window, as far as nodes have reported.
    used: u64,
    ends: String,
    state: (&'static str, &'static str),
    /// What each node holds of it.
    grants: Vec<String>,
    more_nodes: usize,
}

#[derive(Template)]
#[template(path = "admin_counters.html")]
struct CountersPage {
    frame: Frame,
    query: CountersQuery,
    levels: Vec<(&'static str, &'static str)>,
    is_operator: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

/// Tells what a node was granted, its reserve among it, and what it did with that.
fn grant(one: &NodeStanding) -> String {
    let granted = one.reserve.saturating_add(one.granted);
    let mut told = format!("node {}: {} spent of {granted} granted", one.node, one.spent);
    for (count, what) in [(one.returned, "given back"), (one.lost, "lost"), (one.unspent, "left")] {
        if count > 0 {
            told.push_str(&format!(", {count} {what}"));
        }
    }
    told
}

fn row(shown: ShownCounter) -> Row {
    let standing = &shown.standing;
    let state = match (standing.is_over, standing.is_exhausted, standing.is_dry) {
        (true, ..) => ("over", "the window is over"),
        (_, true, _) => ("exhausted", "used up"),
        (_, _, true) => ("waits", "nearly used up: nodes give back"),
        _ => ("on", "open"),
    };
    let more_nodes = standing.holdings.len().saturating_sub(NODES_SHOWN);
    Row {
        level: standing.key.level().as_str(),
        used: standing.limit.saturating_sub(standing.remaining),
        ends: when(standing.ends_at),
        state,
        grants: standing.holdings.iter().take(NODES_SHOWN).map(grant).collect(),
        more_nodes,
        shown,
    }
}

fn place_of(text: &str) -> Result<Option<CounterKey>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let key = hex::decode(text).ok().and_then(|bytes| codec::decode(&bytes).ok());
    key.map(Some).ok_or_else(|| ApiError::bad_request("after: is no place in the list"))
}

fn level_of(word: &str) -> Result<Option<PolicyLevel>, ApiError> {
    if word.is_empty() {
        return Ok(None);
    }
    let known = LEVELS.iter().find(|(_, known, ..)| *known == word).map(|(level, ..)| *level);
    known.map(Some).ok_or_else(|| ApiError::bad_request(format!("level: there is no `{word}`")))
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<CountersQuery>,
) -> Result<Response, ApiError> {
    let own = asker(signed, ADMIN)?.principal.tenant;
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let is_operator = own.is_super();
    let tenant = if is_operator { filled(&query.tenant).map(TenantDomain) } else { Some(own) };
    let message = ListCounters {
        tenant,
        level: level_of(&query.level)?,
        policy: filled(&query.policy),
        application: filled(&query.application),
        user: filled(&query.user).map(Username),
        after: place_of(&query.after)?,
        limit: SHOWN,
    };
    let found = admin.ask(message).await.map_err(AdminError::from)?;
    let place = found.next.as_ref().and_then(|key| codec::encode(key).ok()).map(hex::encode);
    let next = place.map(|place| {
        let part = |name: &str, text: &str| format!("&{name}={}", percent::encoded(text));
        format!(
            "/admin/policies/counters?after={place}{}{}{}{}{}",
            part("level", &query.level),
            part("policy", &query.policy),
            part("application", &query.application),
            part("user", &query.user),
            part("tenant", &query.tenant)
        )
    });
    let frame = frame(viewer, "/admin/policies", "Counters").beside(tabs("/admin/policies/counters"));
    let levels = LEVELS.iter().map(|(_, word, title, _)| (*word, *title)).collect();
    let rows = found.shown.into_iter().map(row).collect();
    Ok(render(&CountersPage { frame, query, levels, is_operator, rows, next }))
}
