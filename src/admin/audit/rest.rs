//! `/audit` of Portcullis' own API: records as JSON or CSV, and how long they are kept. Administrators see what users of
//! their own tenant did; those of the first tenant see everything.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::time::{from_rfc3339, rfc3339};
use portcullis_http::{ApiError, Body, MaybeKey, Problem, Signed, Stamped};
use portcullis_model::{AuditRetention, TenantDomain};
use serde::{Deserialize, Serialize};

use super::ask::{FindRecords, Found, Noted, Place, PutRetention, ReadRetention, name_of};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

/// Records of one answer.
const LIMIT_MAX: usize = 10_000;
/// Records of one answer when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Returns the routes, to be mounted at `/api/portcullis/v1`.
pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/audit", get(list))
        .route("/audit/retention", get(retention).put(set_retention))
        .with_state(admin.clone())
}

fn administrator(signed: Result<Signed, ApiError>) -> Result<Signed, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    Ok(signed)
}

fn operator(signed: Result<Signed, ApiError>) -> Result<Signed, Problem> {
    let signed = administrator(signed)?;
    if !signed.0.principal.tenant.is_super() {
        return Err(Problem::forbidden(
            "how long the audit keeps records is set by administrators of the first tenant",
        ));
    }
    Ok(signed)
}

#[derive(Deserialize)]
struct Wanted {
    tenant: Option<String>,
    user: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    origin: Option<String>,
    request: Option<String>,
    outcome: Option<String>,
    since: Option<String>,
    until: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
    format: Option<String>,
}

impl Wanted {
    fn search(self, own: TenantDomain) -> Result<FindRecords, Problem> {
        let wrong = |name: &str, wanted: &str| Problem::bad_request(format!("{name}: must be {wanted}"));
        let tenant = match self.tenant {
            None if own.is_super() => None,
            None => Some(own),
            Some(named) if own.is_super() || named == own.0 => Some(TenantDomain(named)),
            Some(_) => return Err(Problem::forbidden("only administrators of the first tenant see other tenants")),
        };
        let time = |name: &str, text: Option<String>| {
            text.map(|text| from_rfc3339(&text).ok_or_else(|| wrong(name, "a time such as 2026-01-02T03:04:05Z")))
                .transpose()
        };
        let origin = self.origin.map(|text| text.parse().map_err(|_| wrong("origin", "an IP address"))).transpose()?;
        let is_refused = match self.outcome.as_deref() {
            None | Some("") => None,
            Some("done") => Some(false),
            Some("refused") => Some(true),
            Some(_) => return Err(wrong("outcome", "done or refused")),
        };
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(wrong("limit", &format!("1 to {LIMIT_MAX}")));
        }
        let before =
            self.cursor.map(|text| place_of(&text).ok_or_else(|| wrong("cursor", "next_cursor of the answer before")));
        Ok(FindRecords {
            tenant,
            user: self.user,
            action: self.action,
            subject: self.subject,
            origin,
            request: self.request,
            is_refused,
            since: time("since", self.since)?,
            until: time("until", self.until)?,
            before: before.transpose()?,
            limit,
        })
    }
}

fn place_of(text: &str) -> Option<Place> {
    let (index, number) = text.split_once('-')?;
    Some((index.parse().ok()?, number.parse().ok()?))
}

fn cursor((index, number): Place) -> String {
    format!("{index}-{number}")
}

#[derive(Serialize)]
struct RecordBody {
    at: String,
    tenant: String,
    user: String,
    origin: Option<String>,
    action: &'static str,
    subject: String,
    outcome: &'static str,
    refused: Option<String>,
    count: u32,
    index: u64,
    request: Option<String>,
}

impl RecordBody {
    fn of(noted: &Noted) -> Self {
        let ((index, _), record) = (noted.place, &noted.record);
        Self {
            at: rfc3339(record.at),
            tenant: record.tenant.0.clone(),
            user: record.user.0.clone(),
            origin: record.origin.map(|origin| origin.to_string()),
            action: name_of(record.action),
            subject: record.subject.clone(),
            outcome: if record.refused.is_some() { "refused" } else { "done" },
            refused: record.refused.clone(),
            count: record.count,
            index,
            request: noted.request.as_ref().map(ToString::to_string),
        }
    }

    fn csv(&self) -> String {
        let count = self.count.to_string();
        let index = self.index.to_string();
        let cells = [
            self.at.as_str(),
            &self.tenant,
            &self.user,
            self.origin.as_deref().unwrap_or_default(),
            self.action,
            &self.subject,
            self.outcome,
            self.refused.as_deref().unwrap_or_default(),
            &count,
            &index,
            self.request.as_deref().unwrap_or_default(),
        ];
        cells.map(cell).join(",") + "\r\n"
    }
}

/// The heads of the columns.
const HEADS: &str = "at,tenant,user,origin,action,subject,outcome,refused,count,index,request\r\n";

/// Writes a cell (RFC 4180). One that a spreadsheet would take for a formula begins with an apostrophe.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[derive(Serialize)]
struct RecordList {
    count: usize,
    list: Vec<RecordBody>,
    next_cursor: Option<String>,
}

async fn list(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let own = administrator(signed)?.0.principal.tenant;
    let is_csv = match wanted.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::bad_request("format: must be json or csv")),
    };
    let search = wanted.search(own)?;
    let Found { records, next } = admin.ask(search).await.map_err(AdminError::from)??;
    let list: Vec<RecordBody> = records.iter().map(RecordBody::of).collect();
    let next_cursor = next.map(cursor);
    if is_csv {
        let text = list.iter().fold(HEADS.to_owned(), |text, record| text + &record.csv());
        let mut response = ([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response();
        if let Some(next) = next_cursor.and_then(|next| http::HeaderValue::from_str(&next).ok()) {
            response.headers_mut().insert("x-next-cursor", next);
        }
        return Ok(response);
    }
    Ok(Json(RecordList { count: list.len(), list, next_cursor }).into_response())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionBody {
    records: u64,
    days: u32,
}

async fn retention(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<RetentionBody>, Problem> {
    administrator(signed)?;
    let AuditRetention { records_max, days_max } = admin.ask(ReadRetention).await.map_err(AdminError::from)?;
    Ok(Json(RetentionBody { records: records_max, days: days_max }))
}

async fn set_retention(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    key: MaybeKey,
    body: Result<Body<RetentionBody>, ApiError>,
) -> Result<Response, Problem> {
    let caller = caller(operator(signed)?, key);
    let Body(body) = body?;
    let retention = AuditRetention { records_max: body.records, days_max: body.days };
    let Committed { reply: (), index, unreached } =
        admin.ask(PutRetention { caller, retention }).await.map_err(AdminError::from)??;
    Ok(Stamped { body: Json(body), index, unreached }.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_are_no_formulas() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
    }
}
