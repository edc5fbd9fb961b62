//! `/admin/audit`: who did what, when, from where.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed, percent};
use portcullis_model::AuditRecord;
use portcullis_portal::{Frame, Viewer, render, when};
use serde::Deserialize;

use super::{ADMIN, asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::audit::{FindRecords, Noted, Place, name_of};

/// Records of one page.
const SHOWN: usize = 100;

#[derive(Deserialize)]
pub(super) struct AuditQuery {
    #[serde(default)]
    user: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    request: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    before: String,
}

/// A record as the page shows it.
struct Row {
    record: Arc<AuditRecord>,
    at: String,
    action: &'static str,
    origin: String,
    request: String,
}

#[derive(Template)]
#[template(path = "admin_audit.html")]
struct AuditPage {
    frame: Frame,
    query: AuditQuery,
    rows: Vec<Row>,
    older: Option<String>,
}

fn place_of(text: &str) -> Option<Place> {
    let (index, number) = text.split_once('-')?;
    Some((index.parse().ok()?, number.parse().ok()?))
}

fn row(noted: Noted) -> Row {
    let Noted { record, request, .. } = noted;
    Row {
        request: request.map(|request| request.to_string()).unwrap_or_default(),
        at: when(record.at),
        action: name_of(record.action),
        origin: record.origin.map(|origin| origin.to_string()).unwrap_or_default(),
        record,
    }
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, ADMIN)?.principal.tenant;
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let message = FindRecords {
        tenant: (!tenant.is_super()).then_some(tenant),
        user: filled(&query.user),
        action: filled(&query.action),
        subject: filled(&query.subject),
        request: filled(&query.request),
        is_refused: match query.outcome.as_str() {
            "done" => Some(false),
            "refused" => Some(true),
            _ => None,
        },
        before: place_of(&query.before),
        limit: SHOWN,
        ..FindRecords::default()
    };
    let found = admin.ask(message).await.map_err(AdminError::from)??;
    let older = found.next.map(|(index, number)| {
        let part = |name: &str, text: &str| format!("&{name}={}", percent::encoded(text));
        format!(
            "/admin/audit?before={index}-{number}{}{}{}{}{}",
            part("user", &query.user),
            part("action", &query.action),
            part("subject", &query.subject),
            part("request", &query.request),
            part("outcome", &query.outcome)
        )
    });
    let rows = found.records.into_iter().map(row).collect();
    Ok(render(&AuditPage { frame: frame(viewer, "/admin/audit", "Audit"), query, rows, older }))
}
