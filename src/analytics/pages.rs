//! What the statistics pages show: sums of rows, put into series, bars and cells.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::access::Analytics as Rights;
use portcullis_database::statistics::Span;
use portcullis_database::statistics::reading::{Found, Selection, Sight, find};
use portcullis_database::{Handle, Statdb};
use portcullis_http::ApiError;
use portcullis_http::time::rfc3339;
use portcullis_model::port::{ApiSight, Identity};
use portcullis_model::sketch::Sketch;
use portcullis_model::statistics::{Aspect, MINUTE_MS, Tally, is_fault_of_caller, throttling_reason};
use portcullis_model::{ApiId, ApplicationId, Timestamp};
use portcullis_portal::chart::{Bar, Health, Series, short};
use portcullis_portal::statistics::{About, Number, Range, StatisticsSource, StatisticsView, Times, Top, Values};

use crate::publishers::may_see;
use crate::rest::Report;

/// Rows of values as CSV.
const CSV_ROWS_MAX: usize = 10_000;
/// Bars of each list.
const BARS: usize = 10;
/// APIs that have a colour of their own; the rest are one.
const APIS: usize = 7;
/// Points of a chart: as many as make a page that loads at once.
const POINTS: u32 = 62;
/// Cells of an availability strip.
const CELLS: usize = 90;
/// Upper ends of the rows of a heat map, in microseconds; the last row has what is above.
const HEAT_US: [(u64, &str); 9] = [
    (1_000, "to 1 ms"),
    (3_000, "to 3 ms"),
    (10_000, "to 10 ms"),
    (30_000, "to 30 ms"),
    (100_000, "to 100 ms"),
    (300_000, "to 300 ms"),
    (1_000_000, "to 1 s"),
    (3_000_000, "to 3 s"),
    (u64::MAX, "more"),
];

/// The pages' view of the statistics.
pub struct PagesSource {
    handle: Handle<Rights>,
    apis: Arc<dyn ApiSight>,
    is_gathered: bool,
}

impl PagesSource {
    /// Makes it of a handle, of what says who may see which API, and of whether statistics are gathered.
    #[must_use]
    pub fn new(handle: Handle<Rights>, apis: Arc<dyn ApiSight>, is_gathered: bool) -> Arc<Self> {
        Arc::new(Self { handle, apis, is_gathered })
    }
}

impl StatisticsSource for PagesSource {
    fn view(&self, visitor: &Identity, about: &About, range: Range) -> Option<StatisticsView> {
        let view = self.handle.view();
        let stat = view.read::<Statdb>();
        let to = minute(view.now()).saturating_add(1);
        let selection = self.selection(stat, visitor, about, (to.saturating_sub(range.minutes()), to))?;
        let name = selection.api.map(|api| match stat.apis.get(&api) {
            Some(known) => format!("{} {}", known.name, known.version),
            None => api.to_string(),
        });
        Some(view_of(stat, &selection, name, range))
    }

    fn has_called(&self, applications: &[ApplicationId]) -> bool {
        let view = self.handle.view();
        let known = &view.read::<Statdb>().applications;
        !self.is_gathered || applications.iter().any(|id| known.contains_key(id))
    }

    fn csv(&self, visitor: &Identity, about: &About, values: &Values) -> Result<Option<String>, ApiError> {
        let unknown = || ApiError::not_found("report", values.report.chars().take(100).collect::<String>());
        let report = Report::named(&values.report).ok_or_else(unknown)?;
        let view = self.handle.view();
        let stat = view.read::<Statdb>();
        let (from, to) = (minute(values.from), minute(values.to));
        if from >= to {
            return Err(ApiError::bad_request("from: must be before `to`"));
        }
        let Some(selection) = self.selection(stat, visitor, about, (from, to)) else { return Ok(None) };
        let table = report.make(stat, &selection, CSV_ROWS_MAX);
        Ok(Some(table.map_err(|problem| ApiError::bad_request(problem.detail()))?.csv_text()))
    }
}

impl PagesSource {
    /// Returns what a visitor looks at from one minute to another; `None` where he may not.
    fn selection(&self, stat: &Statdb, visitor: &Identity, about: &About, (from, to): (u32, u32)) -> Option<Selection> {
        let tenant = visitor.principal.tenant.clone();
        match about {
            About::Everything => {
                let sight = if tenant.is_super() { Sight::All } else { Sight::Tenant(tenant) };
                Some(Selection::new(sight, from, to))
            }
            About::Api(api) => {
                let is_others = stat.apis.get(api).is_some_and(|known| known.tenant != tenant);
                let is_seen = visitor.has_any(&["apim:admin"]) || may_see(stat, &*self.apis, visitor, *api);
                let selection = Selection { api: Some(*api), ..Selection::new(Sight::Tenant(tenant), from, to) };
                (is_seen && !is_others).then_some(selection)
            }
            About::Application { id, owner } => {
                let sight = Sight::Owner(tenant, owner.clone());
                Some(Selection { application: Some(*id), ..Selection::new(sight, from, to) })
            }
        }
    }
}

fn minute(time: Timestamp) -> u32 {
    u32::try_from(time.0 / MINUTE_MS).unwrap_or(u32::MAX)
}

/// Rows of one aspect, by what they are about and by time.
struct Rows<'a>(Vec<Found<'a>>);

impl Rows<'_> {
    fn sums<K: Ord>(&self, key: impl Fn(&Found<'_>) -> K) -> BTreeMap<K, Tally> {
        let mut sums: BTreeMap<K, Tally> = BTreeMap::new();
        self.0.iter().for_each(|row| sums.entry(key(row)).or_default().merge(row.tally));
        sums
    }

    /// Returns the sums by time, with those times at which there is nothing.
    fn by_time(&self, times: &[u32]) -> Vec<Tally> {
        let mut sums = self.sums(|row| row.start);
        times.iter().map(|start| sums.remove(start).unwrap_or_default()).collect()
    }

    /// Returns the largest by what they are about.
    fn top(&self, name: impl Fn(&Found<'_>) -> String) -> Vec<Bar> {
        let mut sums: Vec<(String, Tally)> = self.sums(name).into_iter().collect();
        sums.sort_by(|one, other| other.1.calls.cmp(&one.1.calls).then_with(|| one.0.cmp(&other.0)));
        sums.truncate(BARS);
        sums.into_iter().map(|(name, tally)| Bar { name, value: number(tally.calls) }).collect()
    }
}

fn view_of(stat: &Statdb, selection: &Selection, api: Option<String>, range: Range) -> StatisticsView {
    let (span, first) = (selection.span, selection.span.start_of(selection.from));
    // So many of the rows' times are one point that there are few points.
    let together = selection.to.saturating_sub(first).div_ceil(span.minutes()).div_ceil(POINTS).max(1);
    let step = span.minutes() * together;
    let point = move |start: u32| first + (start.saturating_sub(first)) / step * step;
    let rows = |aspect| {
        let found = find(stat, aspect, selection).into_iter();
        Rows(found.map(|row| Found { start: point(row.start), ..row }).collect())
    };
    let times: Vec<u32> = (first..selection.to).step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect();
    // Of an application it is kept how many calls there were, not how long they took.
    let is_of_application = selection.application.is_some();
    let whole = rows(if is_of_application { Aspect::Application } else { Aspect::Whole });
    let (all, throttled) = (whole.by_time(&times), rows(Aspect::Throttled));
    let turned_away: Vec<u64> = throttled.by_time(&times).iter().map(|tally| tally.calls).collect();
    let traffic = if api.is_some() { by_class(&all) } else { by_api(stat, &whole, &times) };
    StatisticsView {
        query: format!("from={}&to={}", rfc3339(time(first)), rfc3339(time(selection.to))),
        api,
        range,
        times: times.iter().map(|start| written(*start, span)).collect(),
        numbers: numbers(&all, &turned_away, is_of_application),
        traffic,
        latency: if is_of_application { Times::default() } else { latency(&all) },
        errors: vec![
            series("client errors (4xx)", &all, |tally| tally.classes[4]),
            series("server errors (5xx)", &all, |tally| tally.classes[5]),
            series("client went away", &all, |tally| tally.classes[0]),
        ],
        throttling: throttling(&all, &turned_away),
        health: health(&all, &gateways_own(&rows(Aspect::Fault), &throttled, &times), &times, span),
        tops: tops(stat, &rows, &whole, &throttled, is_of_application),
    }
}

fn time(minute: u32) -> Timestamp {
    Timestamp(u64::from(minute) * MINUTE_MS)
}

/// Writes a time as short as can be: `12:30` of minutes and hours, `01-02` of days.
fn written(start: u32, span: Span) -> String {
    let text = rfc3339(time(start));
    let part = |from, to| text.get(from..to).unwrap_or_default().to_owned();
    match span {
        Span::Minute => part(11, 16),
        Span::Hour => format!("{} {}", part(5, 10), part(11, 16)),
        Span::Day => part(5, 10),
    }
}

/// Counts are drawn, not reckoned with.
fn number(count: u64) -> f64 {
    u32::try_from(count)
        .map_or_else(|_| f64::from(u32::try_from(count >> 32).unwrap_or(0)) * 4_294_967_296.0, f64::from)
}

fn series(name: &str, all: &[Tally], count: impl Fn(&Tally) -> u64) -> Series {
    Series { name: name.to_owned(), values: all.iter().map(|tally| Some(number(count(tally)))).collect() }
}

fn by_class(all: &[Tally]) -> Vec<Series> {
    vec![
        series("well (2xx)", all, |tally| tally.classes[2] + tally.classes[1]),
        series("redirected (3xx)", all, |tally| tally.classes[3]),
        series("client errors (4xx)", all, |tally| tally.classes[4]),
        series("server errors (5xx)", all, |tally| tally.classes[5]),
        series("client went away", all, |tally| tally.classes[0]),
    ]
}

fn by_api(stat: &Statdb, whole: &Rows<'_>, times: &[u32]) -> Vec<Series> {
    let mut apis: Vec<(ApiId, u64)> =
        whole.sums(|row| row.subject.api).into_iter().map(|(api, tally)| (api, tally.calls)).collect();
    apis.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let own: Vec<ApiId> = apis.iter().take(APIS).map(|(api, _)| *api).collect();
    let place = |api: ApiId| own.iter().position(|known| *known == api).unwrap_or(APIS);
    let sums = whole.sums(|row| (place(row.subject.api), row.start));
    let named = |number: usize| own.get(number).map_or_else(|| "others".to_owned(), |api| api_name(stat, *api));
    let count = own.len() + usize::from(apis.len() > APIS);
    let values = |at: usize| {
        let calls = times.iter().map(|start| sums.get(&(at, *start)).map_or(0, |tally| tally.calls));
        calls.map(|calls| Some(number(calls))).collect()
    };
    (0..count)
        .map(|at| if at == own.len() { APIS } else { at })
        .map(|at| Series { name: named(at), values: values(at) })
        .collect()
}

fn api_name(stat: &Statdb, api: ApiId) -> String {
    stat.apis.get(&api).map_or_else(|| "(none)".to_owned(), |known| format!("{} {}", known.name, known.version))
}

/// Returns a percentile in milliseconds.
fn millis(sketch: &Sketch, per_ten_thousand: u64) -> Option<f64> {
    sketch.quantile(per_ten_thousand).map(|micros| number(micros) / 1_000.0)
}

fn latency(all: &[Tally]) -> Times {
    let opened: Vec<Option<[Sketch; 3]>> = all
        .iter()
        .map(|tally| {
            tally.times.as_ref().map(|times| [times.total.open(), times.upstream.open(), times.gateway.open()])
        })
        .collect();
    let line = |name: &str, part: usize, per_ten_thousand: u64| {
        let value =
            |times: &Option<[Sketch; 3]>| times.as_ref().and_then(|times| millis(&times[part], per_ten_thousand));
        Series { name: name.to_owned(), values: opened.iter().map(value).collect() }
    };
    let mut below = vec![0; opened.len()];
    let heat = HEAT_US.iter().map(|(to, name)| {
        let counts = opened.iter().zip(&mut below).map(|(times, below)| {
            let up_to = times.as_ref().map_or(0, |times| times[0].count_up_to(*to));
            up_to - std::mem::replace(below, up_to)
        });
        ((*name).to_owned(), counts.collect())
    });
    Times {
        heat: heat.collect(),
        total: vec![line("50 %", 0, 5_000), line("95 %", 0, 9_500), line("99 %", 0, 9_900)],
        split: vec![line("backend", 1, 9_500), line("gateway", 2, 9_500)],
    }
}

fn numbers(all: &[Tally], turned_away: &[u64], is_of_application: bool) -> Vec<Number> {
    let mut whole = Tally::default();
    all.iter().for_each(|tally| whole.merge(tally));
    let rate =
        |tally: &Tally| if tally.calls == 0 { 0.0 } else { number(tally.failed()) * 100.0 / number(tally.calls) };
    let p95 = |tally: &Tally| tally.times.as_ref().and_then(|times| millis(&times.total.open(), 9_500));
    let away: u64 = turned_away.iter().sum();
    let mut numbers = vec![
        Number {
            name: "Requests",
            value: short(number(whole.calls)),
            series: all.iter().map(|tally| number(tally.calls)).collect(),
        },
        Number { name: "Failed", value: format!("{} %", short(rate(&whole))), series: all.iter().map(rate).collect() },
        Number {
            name: "95th percentile",
            value: p95(&whole).map_or_else(|| "–".to_owned(), |p95| format!("{} ms", short(p95))),
            series: all.iter().map(|tally| p95(tally).unwrap_or(0.0)).collect(),
        },
        Number {
            name: "Throttled",
            value: short(number(away)),
            series: turned_away.iter().map(|count| number(*count)).collect(),
        },
    ];
    numbers.retain(|one| !is_of_application || one.name != "95th percentile");
    numbers
}

fn throttling(all: &[Tally], turned_away: &[u64]) -> Vec<Series> {
    let values = |count: &dyn Fn(u64, u64) -> u64| {
        all.iter().zip(turned_away).map(|(tally, away)| Some(number(count(tally.calls, *away)))).collect()
    };
    vec![
        Series { name: "let through".to_owned(), values: values(&|calls, away| calls.saturating_sub(away)) },
        Series { name: "turned away".to_owned(), values: values(&|_, away| away) },
    ]
}

/// Returns how many calls the gateway itself answered 4xx, by time: what quotas turned away, and faults of the caller.
fn gateways_own(faults: &Rows<'_>, throttled: &Rows<'_>, times: &[u32]) -> Vec<u64> {
    let of_caller = |row: &&Found<'_>| row.subject.value.parse().is_ok_and(is_fault_of_caller);
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for row in faults.0.iter().chain(&throttled.0).filter(of_caller) {
        *counts.entry(row.start).or_default() += row.tally.calls;
    }
    times.iter().map(|start| counts.get(start).copied().unwrap_or(0)).collect()
}

/// The newest parts, or a cell for several where there are more parts than cells.
fn health(all: &[Tally], gateways_own: &[u64], times: &[u32], span: Span) -> Vec<Health> {
    let together = all.len().div_ceil(CELLS).max(1);
    let cells = all.chunks(together).zip(gateways_own.chunks(together)).zip(times.chunks(together));
    let cell = |((tallies, own), times): ((&[Tally], &[u64]), &[u32])| {
        let client_errors: u64 = tallies.iter().map(|tally| tally.classes[4]).sum();
        let refused = own.iter().sum::<u64>().min(client_errors);
        Health {
            time: times.first().map(|start| written(*start, span)).unwrap_or_default(),
            calls: tallies.iter().map(|tally| tally.calls).sum(),
            failed: tallies.iter().map(|tally| tally.classes[5]).sum(),
            refused,
            rejected: client_errors - refused,
        }
    };
    cells.map(cell).collect()
}

fn tops<'a>(
    stat: &Statdb,
    rows: &impl Fn(Aspect) -> Rows<'a>,
    whole: &Rows<'a>,
    throttled: &Rows<'a>,
    is_of_application: bool,
) -> Vec<Top> {
    let value = |row: &Found<'_>| row.subject.value.to_string();
    let application = |row: &Found<'_>| {
        let known = row.subject.application.and_then(|id| stat.applications.get(&id));
        known.map_or_else(|| "(anonymous)".to_owned(), |known| format!("{} of {}", known.name, known.owner))
    };
    let reason = |row: &Found<'_>| {
        let reason = row.subject.value.parse().ok().and_then(throttling_reason);
        reason.map_or_else(|| row.subject.value.to_string(), str::to_owned)
    };
    let of_api = |row: &Found<'_>| format!("{}: {}", api_name(stat, row.subject.api), row.subject.value);
    let top = |part, title, what, report, bars| Top { part, title, what, report, bars };
    let mut tops = vec![
        top("errors", "Faults of the gateway by code", "Code", "faults", rows(Aspect::Fault).top(value)),
        top("usage", "By API", "API", "apis", whole.top(|row| api_name(stat, row.subject.api))),
        top("usage", "By application", "Application", "applications", rows(Aspect::Application).top(application)),
        top("usage", "By business plan", "Plan", "applications", rows(Aspect::Application).top(value)),
        top("usage", "By resource", "Resource", "resources", rows(Aspect::Resource).top(of_api)),
        top("usage", "By user", "User", "users", rows(Aspect::User).top(value)),
        top("usage", "By backend", "Backend", "destinations", rows(Aspect::Destination).top(value)),
        top("usage", "By calling program", "Program", "agents", rows(Aspect::Agent).top(value)),
        top("usage", "By node", "Node", "nodes", rows(Aspect::Node).top(value)),
        top("throttling", "By reason", "Reason", "throttled", throttled.top(reason)),
        top("throttling", "Turned away by application", "Application", "throttled", throttled.top(application)),
    ];
    if is_of_application {
        tops.retain(|top| top.what != "Application");
        return tops;
    }
    // Where no file of countries is set up there is nothing to show, and nobody asks why.
    let countries = rows(Aspect::Country).top(value);
    if !countries.is_empty() {
        let place = tops.iter().position(|top| top.part == "throttling").unwrap_or(tops.len());
        tops.insert(place, top("usage", "By country", "Country", "countries", countries));
    }
    tops
}
