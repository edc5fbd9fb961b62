//! `/statistics` of Portcullis' own API: what was called, by whom, how fast, with what outcome; as JSON or CSV.

mod report;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::ACCEPT;
use portcullis_database::access::Analytics as Rights;
use portcullis_database::statistics::Span;
use portcullis_database::statistics::reading::{Selection, Sight};
use portcullis_database::{Handle, Statdb};
use portcullis_http::time::from_rfc3339;
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::port::{ApiSight, Identity};
use portcullis_model::statistics::{CalledApi, MINUTE_MS};
use portcullis_model::{ApiId, TenantDomain, Timestamp};
use serde::Deserialize;

use crate::publishers::publishers_sight;
pub(crate) use report::Report;

/// Rows where the caller does not say how many.
const LIMIT_DEFAULT: usize = 100;
/// Rows at most.
const LIMIT_MAX: usize = 10_000;
/// What is looked at where the caller does not say: the last day.
const MINUTES_DEFAULT: u32 = 1_440;
/// Points in time of a series at most.
const POINTS_MAX: u32 = 2_000;

/// What is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    api: Option<String>,
    application: Option<String>,
    tenant: Option<String>,
    from: Option<String>,
    to: Option<String>,
    step: Option<String>,
    limit: Option<usize>,
    /// `json` or `csv`; what the client accepts where it is not given.
    form: Option<String>,
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(handle: Handle<Rights>, apis: Arc<dyn ApiSight>) -> Router {
    Router::new().route("/statistics/{report}", get(answer)).with_state((handle, apis))
}

async fn answer(
    State((handle, apis)): State<(Handle<Rights>, Arc<dyn ApiSight>)>,
    Path(name): Path<String>,
    signed: Result<Signed, ApiError>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let signed = signed?;
    let Query(wanted) = wanted.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let report = Report::named(&name).ok_or_else(|| Problem::not_found("report", &name))?;
    let view = handle.view();
    let sight =
        sight(&signed, wanted.tenant.clone(), |identity| publishers_sight(view.read::<Statdb>(), &*apis, identity))?;
    let mut selection = wanted.selection(sight, view.now())?;
    if let Some(text) = wanted.api.as_deref().filter(|_| selection.api.is_none()) {
        selection.api = Some(api_named(view.read::<Statdb>(), &selection.sight, text)?);
    }
    let limit = wanted.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(wrong("limit", &format!("must be 1 to {LIMIT_MAX}")));
    }
    // It may look at many rows: not on a thread that serves requests.
    let making = tokio::task::spawn_blocking(move || {
        let table = report.make(view.read::<Statdb>(), &selection, limit);
        table.map(|table| (table, selection))
    });
    let (table, selection) = making.await.map_err(|_| Problem::unavailable("the report was not finished"))??;
    let accepts_csv = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(prefers_csv);
    let wants_csv = match wanted.form.as_deref() {
        None => accepts_csv,
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(wrong("form", "must be json or csv")),
    };
    Ok(if wants_csv { table.csv(&name).into_response() } else { table.json(&selection).into_response() })
}

/// Says whether the first of the types that are accepted, as far as they are understood here, is CSV.
fn prefers_csv(accept: &str) -> bool {
    let mut types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    types.find(|one| ["text/csv", "application/json", "*/*"].contains(one)) == Some("text/csv")
}

/// Returns what the caller may see: an administrator everything of his tenant, or of all tenants in the first one; who
/// designs or publishes APIs the calls to those that he may see; a subscriber the calls of his applications.
fn sight(
    signed: &Signed,
    wanted: Option<String>,
    of_publisher: impl FnOnce(&Identity) -> Sight,
) -> Result<Sight, Problem> {
    let identity = &signed.0;
    let own = identity.principal.tenant.clone();
    let is_operator = own.is_super() && identity.has_any(&["apim:admin"]);
    let wanted = wanted.map(TenantDomain);
    if let Some(wanted) = &wanted
        && *wanted != own
        && !is_operator
    {
        let principal = &identity.principal;
        return Err(Problem::forbidden(format!("{principal} may not see the statistics of tenant {wanted}")));
    }
    if is_operator {
        return Ok(wanted.map_or(Sight::All, Sight::Tenant));
    }
    if identity.has_any(&["apim:admin"]) {
        return Ok(Sight::Tenant(own));
    }
    if identity.has_any(&["apim:api_view"]) {
        return Ok(of_publisher(identity));
    }
    signed.require(&["apim:admin", "apim:api_view", "apim:subscribe"])?;
    Ok(Sight::Owner(own, identity.principal.username.clone()))
}

impl Wanted {
    fn selection(&self, sight: Sight, now: Timestamp) -> Result<Selection, Problem> {
        let minute = |time: Timestamp| u32::try_from(time.0 / MINUTE_MS).unwrap_or(u32::MAX);
        let time = |field: &str, text: &Option<String>| {
            let read = text.as_deref().map(|text| {
                let what = "must be a time such as 2026-01-02T03:04:05Z";
                from_rfc3339(text).ok_or_else(|| wrong(field, what))
            });
            read.transpose()
        };
        // The minute under way is part of it.
        let to = time("to", &self.to)?
            .map_or(minute(now).saturating_add(1), |to| minute(Timestamp(to.0.saturating_add(MINUTE_MS - 1))));
        let from = time("from", &self.from)?.map_or(to.saturating_sub(MINUTES_DEFAULT), minute);
        if from >= to {
            return Err(wrong("from", "must be before `to`"));
        }
        let mut selection = Selection::new(sight, from, to);
        if let Some(step) = &self.step {
            selection.span = match step.as_str() {
                "minute" => Span::Minute,
                "hour" => Span::Hour,
                "day" => Span::Day,
                _ => return Err(wrong("step", "must be minute, hour or day")),
            };
            if (to - from) / selection.span.minutes() > POINTS_MAX {
                return Err(wrong("step", &format!("gives more than {POINTS_MAX} points: take a longer one")));
            }
        }
        selection.api = self.api.as_deref().and_then(|text| text.parse().ok());
        let application = self.application.as_deref().map(str::parse).transpose();
        selection.application = application.map_err(|_| wrong("application", "must be an id"))?;
        Ok(selection)
    }
}

/// Returns the API that `NAME:VERSION` means among those that were called and may be seen.
fn api_named(stat: &Statdb, sight: &Sight, text: &str) -> Result<ApiId, Problem> {
    let unknown = || wrong("api", "must be the id of an API, or NAME:VERSION of one that was called");
    let (name, version) = text.rsplit_once(':').ok_or_else(unknown)?;
    let is_meant = |api: &CalledApi| {
        let is_seen = match sight {
            Sight::All | Sight::Owner(..) => true,
            Sight::Tenant(tenant) => api.tenant == *tenant,
            Sight::Apis(apis) => apis.contains(&api.id),
        };
        is_seen && api.name == name && api.version == version
    };
    let found = stat.apis.values().find(|api| is_meant(api));
    found.map(|api| api.id).ok_or_else(unknown)
}

fn wrong(field: &str, what: &str) -> Problem {
    Problem::bad_request(format!("{field}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_323_045_678);

    fn selection(query: &str) -> Result<Selection, Problem> {
        let uri: http::Uri = format!("/?{query}").parse().unwrap();
        let wanted: Query<Wanted> = Query::try_from_uri(&uri).unwrap();
        wanted.0.selection(Sight::All, NOW)
    }

    #[test]
    fn times_and_steps_are_read_and_what_is_wrong_is_named() {
        let usual = selection("").unwrap();
        assert_eq!((usual.to - usual.from, usual.span), (1_440, Span::Hour));
        let hour = selection("from=2026-01-02T02:00:00Z&to=2026-01-02T03:00:30Z").unwrap();
        assert_eq!((hour.to - hour.from, hour.span), (61, Span::Minute));
        let days = selection("from=2025-01-01T00:00:00Z").unwrap();
        assert_eq!(days.span, Span::Day);
        for (query, field) in [
            ("from=yesterday", "from"),
            ("from=2027-01-01T00:00:00Z", "from"),
            ("to=x", "to"),
            ("step=week", "step"),
            ("from=2020-01-01T00:00:00Z&step=minute", "step"),
            ("application=1", "application"),
        ] {
            let problem = selection(query).unwrap_err();
            assert!(problem.detail().starts_with(field), "{query}: {}", problem.detail());
        }
    }

    #[test]
    fn csv_is_given_to_who_prefers_it() {
        for (accept, is_csv) in
            [("text/csv", true), ("*/*", false), ("text/csv;q=0.9, */*", true), ("application/json, text/csv", false)]
        {
            assert_eq!(prefers_csv(accept), is_csv, "{accept}");
        }
    }
}
