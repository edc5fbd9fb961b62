//! The reports: which rows each looks at, what it puts together, and its columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::Statdb;
use portcullis_database::statistics::reading::{Found, Selection, Sight, find};
use portcullis_http::Problem;
use portcullis_http::time::rfc3339;
use portcullis_model::statistics::{Aspect, PackedTimes, Tally, no_api, throttling_reason};
use portcullis_model::{ApiId, ApplicationId};
use serde_json::{Value, json};

use super::table::{Table, time};

/// A report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Usage,
    Apis,
    Resources,
    Applications,
    Users,
    Destinations,
    Faults,
    Throttled,
    Latency,
    LastAccess,
    Agents,
    Nodes,
    Countries,
}

const NAMES: [(&str, Report); 13] = [
    ("usage", Report::Usage),
    ("apis", Report::Apis),
    ("resources", Report::Resources),
    ("applications", Report::Applications),
    ("users", Report::Users),
    ("destinations", Report::Destinations),
    ("faults", Report::Faults),
    ("throttled", Report::Throttled),
    ("latency", Report::Latency),
    ("last-access", Report::LastAccess),
    ("agents", Report::Agents),
    ("nodes", Report::Nodes),
    ("countries", Report::Countries),
];

/// What rows are put together by.
type Group = (Option<ApiId>, Option<ApplicationId>, Option<Arc<str>>);

/// The percentiles that are told.
const PERCENTILES: [(&str, u64); 3] = [("p50", 5_000), ("p95", 9_500), ("p99", 9_900)];

impl Report {
    /// Returns the report of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, report)| *report)
    }

    fn aspect(self) -> Aspect {
        match self {
            Self::Usage | Self::Apis | Self::Latency | Self::LastAccess => Aspect::Whole,
            Self::Resources => Aspect::Resource,
            Self::Applications => Aspect::Application,
            Self::Users => Aspect::User,
            Self::Destinations => Aspect::Destination,
            Self::Faults => Aspect::Fault,
            Self::Throttled => Aspect::Throttled,
            Self::Agents => Aspect::Agent,
            Self::Nodes => Aspect::Node,
            Self::Countries => Aspect::Country,
        }
    }

    /// Makes the report.
    ///
    /// # Errors
    /// Where it does not tell what is asked for: most are not kept by application.
    pub(crate) fn make(self, stat: &Statdb, selection: &Selection, limit: usize) -> Result<Table, Problem> {
        if self == Self::LastAccess {
            return Ok(last_access(stat, selection, limit));
        }
        let is_by_application = selection.application.is_some() || matches!(selection.sight, Sight::Owner(..));
        let aspect = match self.aspect() {
            // Not how long they took, but how many they were.
            Aspect::Whole if is_by_application && self != Self::Latency => Aspect::Application,
            aspect => aspect,
        };
        let is_kept = matches!(aspect, Aspect::Application | Aspect::User | Aspect::Fault | Aspect::Throttled);
        if is_by_application && !is_kept {
            let what = "this report is not kept by application; ask for usage, apis, applications, users, faults or \
                        throttled, or ask as somebody who may see the whole API";
            return Err(Problem::bad_request(what));
        }
        let rows = find(stat, aspect, selection);
        Ok(match self {
            Self::Usage => usage(&rows),
            Self::Latency => latency(&rows),
            _ => self.top(stat, &rows, limit),
        })
    }

    /// Puts rows together by what the report is about, the largest first.
    fn top(self, stat: &Statdb, rows: &[Found<'_>], limit: usize) -> Table {
        let mut groups: BTreeMap<Group, Tally> = BTreeMap::new();
        for row in rows {
            let subject = row.subject;
            let value = Some(Arc::clone(&subject.value));
            let group = match self {
                Self::Apis => (Some(subject.api), None, None),
                Self::Applications | Self::Users => (None, subject.application, value),
                Self::Agents | Self::Nodes | Self::Countries => (None, None, value),
                _ => (Some(subject.api), subject.application, value),
            };
            groups.entry(group).or_default().merge(row.tally);
        }
        let mut groups: Vec<(Group, Tally)> = groups.into_iter().collect();
        groups.sort_by(|one, other| other.1.calls.cmp(&one.1.calls).then_with(|| one.0.cmp(&other.0)));
        groups.truncate(limit);
        let (mut table, names) = (Table::default(), Names(stat));
        for ((api, application, value), tally) in &groups {
            let mut cells = Cells::default();
            if let Some(api) = api {
                names.api(*api, &mut cells);
            }
            if matches!(self, Self::Applications | Self::Users | Self::Faults | Self::Throttled) {
                names.application(*application, &mut cells);
            }
            self.value(value.as_deref(), &mut cells);
            cells.put("calls", tally.calls);
            if !matches!(self, Self::Faults | Self::Throttled) {
                outcome(tally, &mut cells);
            }
            if matches!(self, Self::Apis | Self::Resources | Self::Destinations) {
                let part = if self == Self::Destinations { Part::Upstream } else { Part::Total };
                times(tally.times.as_deref(), part, "", &mut cells);
            }
            cells.put("last", rfc3339(tally.last));
            cells.into_row(&mut table);
        }
        if table.columns.is_empty() {
            table.columns = vec!["calls"];
        }
        table
    }

    fn value(self, value: Option<&str>, cells: &mut Cells) {
        let value = value.unwrap_or_default();
        match self {
            Self::Resources => cells.put("resource", value),
            Self::Applications => cells.put("plan", value),
            Self::Users => cells.put("user", value),
            Self::Destinations => cells.put("destination", value),
            Self::Agents => cells.put("agent", value),
            Self::Nodes => cells.put("node", value),
            Self::Countries => cells.put("country", value),
            Self::Faults => cells.put("code", value),
            Self::Throttled => {
                cells.put("code", value);
                cells.put("reason", value.parse().ok().and_then(throttling_reason).unwrap_or_default());
            }
            Self::Usage | Self::Apis | Self::Latency | Self::LastAccess => {}
        }
    }
}

/// Which part of the time of calls.
#[derive(Clone, Copy)]
enum Part {
    Total,
    Upstream,
    Gateway,
}

/// The cells of a row, with their columns.
#[derive(Default)]
struct Cells(Vec<(&'static str, Value)>);

impl Cells {
    fn put(&mut self, column: &'static str, value: impl Into<Value>) {
        self.0.push((column, value.into()));
    }

    fn into_row(self, table: &mut Table) {
        if table.columns.is_empty() {
            table.columns = self.0.iter().map(|(column, _)| *column).collect();
        }
        table.rows.push(self.0.into_iter().map(|(_, value)| value).collect());
    }
}

/// Tells names.
struct Names<'a>(&'a Statdb);

impl Names<'_> {
    fn api(&self, id: ApiId, cells: &mut Cells) {
        let known = self.0.apis.get(&id);
        cells.put("api", if id == no_api() { Value::Null } else { json!(id.to_string()) });
        cells.put("name", known.map_or("(none)", |api| api.name.as_str()));
        cells.put("version", known.map_or("", |api| api.version.as_str()));
    }

    fn application(&self, id: Option<ApplicationId>, cells: &mut Cells) {
        let known = id.and_then(|id| self.0.applications.get(&id));
        cells.put("application", id.map(|id| id.to_string()));
        cells.put("application_name", known.map_or("", |known| known.name.as_str()));
        cells.put("owner", known.map_or("", |known| known.owner.0.as_str()));
    }
}

fn outcome(tally: &Tally, cells: &mut Cells) {
    let [gone, _, ok, redirected, client, server] = tally.classes;
    cells.put("ok", ok);
    cells.put("redirected", redirected);
    cells.put("client_errors", client);
    cells.put("server_errors", server);
    cells.put("aborted", gone);
    cells.put("cache_hits", tally.cache_hits);
    cells.put("request_bytes", tally.request_bytes);
    cells.put("response_bytes", tally.response_bytes);
    cells.put("messages", tally.messages);
}

/// Tells percentiles and mean in milliseconds.
fn times(times: Option<&PackedTimes>, part: Part, prefix: &'static str, cells: &mut Cells) {
    let sketch = times.map(|times| match part {
        Part::Total => times.total.open(),
        Part::Upstream => times.upstream.open(),
        Part::Gateway => times.gateway.open(),
    });
    let millis = |micros: Option<u64>| {
        micros.map(|micros| json!(u32::try_from(micros).map_or(f64::from(u32::MAX), f64::from) / 1_000.0))
    };
    for (name, per_ten_thousand) in PERCENTILES {
        let value = sketch.as_ref().and_then(|sketch| sketch.quantile(per_ten_thousand));
        cells.put(column(prefix, name), millis(value));
    }
    cells.put(column(prefix, "mean"), millis(sketch.as_ref().and_then(portcullis_model::sketch::Sketch::mean)));
}

/// Returns the name of a column of times.
fn column(prefix: &str, name: &str) -> &'static str {
    match (prefix, name) {
        ("", "p50") => "p50_ms",
        ("", "p95") => "p95_ms",
        ("", "p99") => "p99_ms",
        ("", _) => "mean_ms",
        ("upstream", "p50") => "upstream_p50_ms",
        ("upstream", "p95") => "upstream_p95_ms",
        ("upstream", "p99") => "upstream_p99_ms",
        ("upstream", _) => "upstream_mean_ms",
        (_, "p50") => "gateway_p50_ms",
        (_, "p95") => "gateway_p95_ms",
        (_, "p99") => "gateway_p99_ms",
        _ => "gateway_mean_ms",
    }
}

fn by_time(rows: &[Found<'_>]) -> BTreeMap<u32, Tally> {
    let mut sums: BTreeMap<u32, Tally> = BTreeMap::new();
    rows.iter().for_each(|row| sums.entry(row.start).or_default().merge(row.tally));
    sums
}

fn usage(rows: &[Found<'_>]) -> Table {
    let mut table = Table::default();
    for (start, tally) in by_time(rows) {
        let mut cells = Cells::default();
        cells.put("time", time(start));
        cells.put("calls", tally.calls);
        outcome(&tally, &mut cells);
        cells.into_row(&mut table);
    }
    if table.columns.is_empty() {
        table.columns = vec!["time", "calls"];
    }
    table
}

fn latency(rows: &[Found<'_>]) -> Table {
    let mut table = Table::default();
    for (start, tally) in by_time(rows) {
        let mut cells = Cells::default();
        cells.put("time", time(start));
        cells.put("calls", tally.calls);
        for (part, prefix) in [(Part::Total, ""), (Part::Upstream, "upstream"), (Part::Gateway, "gateway")] {
            times(tally.times.as_deref(), part, prefix, &mut cells);
        }
        cells.into_row(&mut table);
    }
    if table.columns.is_empty() {
        table.columns = vec!["time", "calls"];
    }
    table
}

/// Who called each API last. Of the APIs that somebody may see; a subscriber sees his own calls alone.
fn last_access(stat: &Statdb, selection: &Selection, limit: usize) -> Table {
    let mut found: Vec<(ApiId, String, Option<ApplicationId>, String)> = Vec::new();
    for (api, last) in &stat.last_access {
        let is_wanted = selection.api.is_none_or(|wanted| wanted == *api)
            && selection.application.is_none_or(|wanted| last.application == Some(wanted));
        let is_seen = match &selection.sight {
            Sight::All => true,
            Sight::Tenant(tenant) => stat.apis.get(api).is_some_and(|known| known.tenant == *tenant),
            Sight::Apis(apis) => apis.contains(api),
            Sight::Owner(tenant, owner) => {
                let application = last.application.and_then(|id| stat.applications.get(&id));
                application.is_some_and(|known| known.tenant == *tenant && known.owner == *owner)
            }
        };
        if is_wanted && is_seen && *api != no_api() {
            found.push((*api, rfc3339(last.at), last.application, last.user.to_string()));
        }
    }
    found.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    found.truncate(limit);
    let (mut table, names) = (Table::default(), Names(stat));
    for (api, at, application, user) in found {
        let mut cells = Cells::default();
        names.api(api, &mut cells);
        cells.put("at", at);
        names.application(application, &mut cells);
        cells.put("user", user);
        cells.into_row(&mut table);
    }
    if table.columns.is_empty() {
        table.columns = vec!["api", "at"];
    }
    table
}
