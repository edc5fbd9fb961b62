//! Makes HTML of a page of statistics, to be put into whatever frame. Every text in it is escaped, and it is never larger
//! than a page may be.

use std::fmt::Write as _;

use crate::chart::{
    HeatMap, Series, SeriesChart, Shape, availability_strip, escape, heat_map, horizontal_bars, sparkline,
};

use super::view::{Range, StatisticsView};

/// Bytes of it: a page has less than 100 000 with its frame.
const BYTES_MAX: usize = 92_000;
/// What can be done without, with where it begins and ends: charts for narrow screens, in whose place those for wide ones are
/// shown, and tables, whose values are there as CSV.
const DISPENSABLE: [(&str, &str); 2] = [("<svg class=\"narrow ", "</svg>"), ("<details>", "</details>")];

/// Returns the page's content. `path` is its address, without the query; values as CSV are below it.
#[must_use]
pub fn fragment(path: &str, view: &StatisticsView) -> String {
    let mut html = String::from("<div class=\"statistics\">");
    if let Some(api) = &view.api {
        push(&mut html, format_args!("<p class=\"of\">{}</p>", escape(api)));
    }
    html.push_str(&ranges(path, &Range::ALL.map(Range::name), view.range.name()));
    numbers(&mut html, view);
    if view.is_empty() {
        html.push_str(
            "<p>Nothing was called in this time. Calls show here some ten seconds after they ended.</p></div>",
        );
        return html;
    }
    let content = Content { path, view };
    html.push_str(&content.sections());
    html.push_str("</div>");
    bounded(html)
}

/// Takes out what can be done without, the last first, until it is small enough.
fn bounded(mut html: String) -> String {
    for (begin, end) in DISPENSABLE {
        while html.len() > BYTES_MAX {
            let Some(from) = html.rfind(begin) else { break };
            let to = html[from..].find(end).map_or(html.len(), |at| from + at + end.len());
            html.replace_range(from..to, "");
        }
    }
    html
}

impl StatisticsView {
    fn is_empty(&self) -> bool {
        self.health.iter().all(|part| part.calls == 0)
    }
}

/// What the sections are made of.
struct Content<'a> {
    path: &'a str,
    view: &'a StatisticsView,
}

impl Content<'_> {
    fn sections(&self) -> String {
        let view = self.view;
        let health = availability_strip("How calls ended", &view.health, Some(&self.csv("usage")));
        let (title, shape) = match view.api {
            Some(_) => ("Calls by how they ended", Shape::StackedBars),
            None => ("Calls by API", Shape::StackedAreas),
        };
        let traffic = self.chart(title, &view.traffic, "calls", shape, "usage");
        let errors = self.chart("Calls that failed", &view.errors, "calls", Shape::StackedBars, "usage");
        let throttling = "Calls that were let through and turned away";
        let throttling = self.chart(throttling, &view.throttling, "calls", Shape::StackedBars, "throttled");
        let all = [
            section("health", "Health", &[health]),
            section("traffic", "Traffic", &[traffic]),
            self.latency(),
            section("errors", "Errors", &self.with_tops("errors", errors)),
            section("usage", "Usage", &self.with_tops("usage", String::new())),
            section("throttling", "Throttling", &self.with_tops("throttling", throttling)),
        ];
        all.concat()
    }

    /// How long calls took is not kept by application.
    fn latency(&self) -> String {
        let latency = &self.view.latency;
        if latency.total.is_empty() {
            return String::new();
        }
        let split = "95th percentile at the backend and in the gateway";
        let parts = [
            self.chart("How long calls took", &latency.total, "ms", Shape::Lines, "latency"),
            self.chart(split, &latency.split, "ms", Shape::Lines, "latency"),
            heat_map(&HeatMap {
                title: "How many calls took how long",
                times: &self.view.times,
                rows: &latency.heat,
                csv: Some(&self.csv("latency")),
            }),
        ];
        section("latency", "Latency", &parts)
    }

    fn chart(&self, title: &str, series: &[Series], unit: &str, shape: Shape, report: &str) -> String {
        SeriesChart { title, times: &self.view.times, series, unit, shape, csv: Some(&self.csv(report)) }.render()
    }

    fn with_tops(&self, part: &str, first: String) -> Vec<String> {
        let tops = self.view.tops.iter().filter(|top| top.part == part && !top.bars.is_empty());
        let bars =
            tops.map(|top| horizontal_bars(top.title, top.what, "calls", &top.bars, Some(&self.csv(top.report))));
        std::iter::once(first).chain(bars).collect()
    }

    /// Below the page itself, so that whoever sees the page gets the values too.
    fn csv(&self, report: &str) -> String {
        format!("{}/csv/{report}?{}", self.path, self.view.query)
    }
}

/// Returns links to how far back a page may look. `names` are plain words.
#[must_use]
pub fn ranges(path: &str, names: &[&str], shown: &str) -> String {
    let mut html = String::from("<nav class=\"ranges\" aria-label=\"How far back\"><ul>");
    for name in names {
        let current = if *name == shown { " aria-current=\"page\"" } else { "" };
        let path = escape(path);
        push(&mut html, format_args!("<li><a href=\"{path}?range={name}\"{current}>{name}</a></li>"));
    }
    html.push_str("</ul></nav>");
    html
}

fn numbers(html: &mut String, view: &StatisticsView) {
    html.push_str("<dl class=\"numbers\">");
    for number in &view.numbers {
        let spark = sparkline(&format!("{} over time", number.name), &number.series);
        let (name, value) = (escape(number.name), escape(&number.value));
        push(html, format_args!("<div><dt>{name}</dt><dd>{value}</dd><dd>{spark}</dd></div>"));
    }
    html.push_str("</dl>");
}

fn section(id: &str, title: &str, parts: &[String]) -> String {
    let parts = parts.concat();
    format!("<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>{parts}</section>")
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Bar, Health};
    use crate::statistics::{Number, Times, Top};

    fn view() -> StatisticsView {
        let series = |name: &str| Series { name: name.to_owned(), values: vec![Some(1.0), None] };
        let evil = "<script>alert(1)</script>";
        StatisticsView {
            api: Some(evil.to_owned()),
            range: Range::Hour,
            query: "from=a&to=b".to_owned(),
            times: vec!["12:00".to_owned(), "12:01".to_owned()],
            numbers: vec![Number { name: "Requests", value: "12.3k".to_owned(), series: vec![1.0, 2.0] }],
            traffic: vec![series(evil)],
            latency: Times {
                total: vec![series("p95")],
                split: vec![series("backend")],
                heat: vec![("1 ms".to_owned(), vec![3, 0])],
            },
            errors: vec![series("5xx")],
            throttling: vec![series("turned away")],
            health: vec![Health { time: "12:00".to_owned(), calls: 3, failed: 1, refused: 0, rejected: 0 }],
            tops: vec![Top {
                part: "usage",
                title: "Users",
                what: "User",
                report: "users",
                bars: vec![Bar { name: evil.to_owned(), value: 3.0 }],
            }],
        }
    }

    #[test]
    fn a_page_has_all_its_parts_and_no_markup_of_users() {
        let html = fragment("/admin/statistics", &view());
        for id in ["health", "traffic", "latency", "errors", "usage", "throttling"] {
            assert!(html.contains(&format!("<h2 id=\"{id}\">")), "{id} is missing");
        }
        assert!(!html.contains("<script") && !html.contains("style="), "{html}");
        assert!(html.contains("href=\"/admin/statistics?range=1h\" aria-current=\"page\""), "{html}");
        assert!(html.contains("/admin/statistics/csv/users?from=a&amp;to=b"), "{html}");
        assert!(html.len() < 100_000, "{}", html.len());
    }

    #[test]
    fn a_page_with_as_much_as_can_be_is_below_100_kb() {
        const POINTS: usize = 62;
        let series = |count: usize| -> Vec<Series> {
            let value = |at: usize| Some(f64::from(u32::try_from(at * 7_919 % 99_991).unwrap()));
            let values = |of: usize| (0..POINTS).map(|at| value(at * 31 + of)).collect();
            (0..count)
                .map(|of| Series { name: format!("an API of a long name {of} 1.0.0"), values: values(of) })
                .collect()
        };
        let part = |at| Health {
            time: format!("11-27 {at:02}:00"),
            calls: 123_456,
            failed: 2_345,
            refused: 12_345,
            rejected: 1_234,
        };
        let bars = |list: usize| -> Vec<Bar> {
            (0..10)
                .map(|at| Bar { name: format!("{list}-{at} {}", "<name&of a user>".repeat(6)), value: 12_345.0 })
                .collect()
        };
        let top = |(list, part)| Top {
            part,
            title: "By what there is",
            what: "What",
            report: "applications",
            bars: bars(list),
        };
        let parts = ["usage"; 9].into_iter().chain(["errors", "throttling", "throttling"]);
        for api in [None, Some("pizza 1.0.0".to_owned())] {
            let html = fragment(
                "/publisher/apis/01234567-89ab-cdef-0123-456789abcdef/statistics",
                &StatisticsView {
                    traffic: series(if api.is_some() { 5 } else { 8 }),
                    api,
                    query: "from=2026-01-02T03:04:00Z&to=2026-01-02T03:04:00Z".to_owned(),
                    times: (0..POINTS).map(|at| format!("11-27 {at:02}:00")).collect(),
                    latency: Times {
                        total: series(3),
                        split: series(2),
                        heat: (0..9).map(|row| (format!("to {row} ms"), vec![12_345 + row * 1_000; POINTS])).collect(),
                    },
                    errors: series(3),
                    throttling: series(2),
                    health: (0..POINTS).map(part).collect(),
                    tops: parts.clone().enumerate().map(top).collect(),
                    ..view()
                },
            );
            assert!(html.len() <= BYTES_MAX, "{}", html.len());
            assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
            assert!(html.matches("class=\"csv\"").count() > 15, "each chart has its link");
        }
    }

    #[test]
    fn a_time_without_calls_is_said_to_be_one() {
        let html = fragment("/admin/statistics", &StatisticsView::default());
        assert!(html.contains("Nothing was called") && !html.contains("<h2"), "{html}");
    }
}
