//! Makes HTML of a page of statistics, to be put into whatever frame. Every text in it is escaped.

use std::fmt::Write as _;

use crate::chart::{
    HeatMap, Series, SeriesChart, Shape, availability_strip, escape, heat_map, horizontal_bars, sparkline,
};

use super::view::{Range, StatisticsView};

/// Where reports are.
const REPORTS: &str = "/api/portcullis/v1/statistics";

/// Returns the page's content. `path` is its address, without the query.
#[must_use]
pub fn fragment(path: &str, view: &StatisticsView) -> String {
    let mut html = String::from("<div class=\"statistics\">");
    if let Some(api) = &view.api {
        push(&mut html, format_args!("<p class=\"of\">{}</p>", escape(api)));
    }
    ranges(&mut html, path, view.range);
    numbers(&mut html, view);
    if view.is_empty() {
        html.push_str(
            "<p>Nothing was called in this time. Calls show here some ten seconds after they ended.</p></div>",
        );
        return html;
    }
    section(
        &mut html,
        "health",
        "Health",
        &[availability_strip("How calls ended", &view.health, Some(&csv(view, "usage")))],
    );
    let shape = if view.api.is_some() { Shape::StackedBars } else { Shape::StackedAreas };
    let title = if view.api.is_some() { "Calls by how they ended" } else { "Calls by API" };
    section(&mut html, "traffic", "Traffic", &[chart(view, title, &view.traffic, "calls", shape, "usage")]);
    let latency = [
        chart(view, "How long calls took", &view.latency.total, "ms", Shape::Lines, "latency"),
        chart(
            view,
            "95th percentile at the backend and in the gateway",
            &view.latency.split,
            "ms",
            Shape::Lines,
            "latency",
        ),
        heat_map(&HeatMap {
            title: "How many calls took how long",
            times: &view.times,
            rows: &view.latency.heat,
            csv: Some(&csv(view, "latency")),
        }),
    ];
    section(&mut html, "latency", "Latency", &latency);
    let errors = chart(view, "Calls that failed", &view.errors, "calls", Shape::StackedBars, "usage");
    section(&mut html, "errors", "Errors", &with_tops(view, "errors", errors));
    section(&mut html, "usage", "Usage", &with_tops(view, "usage", String::new()));
    let throttling = chart(
        view,
        "Calls that were let through and turned away",
        &view.throttling,
        "calls",
        Shape::StackedBars,
        "throttled",
    );
    section(&mut html, "throttling", "Throttling", &with_tops(view, "throttling", throttling));
    html.push_str("</div>");
    html
}

impl StatisticsView {
    fn is_empty(&self) -> bool {
        self.health.iter().all(|part| part.calls == 0)
    }
}

fn ranges(html: &mut String, path: &str, shown: Range) {
    html.push_str("<nav class=\"ranges\" aria-label=\"How far back\"><ul>");
    for range in Range::ALL {
        let current = if range == shown { " aria-current=\"page\"" } else { "" };
        let (path, name) = (escape(path), range.name());
        push(html, format_args!("<li><a href=\"{path}?range={name}\"{current}>{name}</a></li>"));
    }
    html.push_str("</ul></nav>");
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

fn section(html: &mut String, id: &str, title: &str, parts: &[String]) {
    push(html, format_args!("<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>"));
    parts.iter().for_each(|part| html.push_str(part));
    html.push_str("</section>");
}

fn chart(view: &StatisticsView, title: &str, series: &[Series], unit: &str, shape: Shape, report: &str) -> String {
    SeriesChart { title, times: &view.times, series, unit, shape, csv: Some(&csv(view, report)) }.render()
}

fn with_tops(view: &StatisticsView, part: &str, first: String) -> Vec<String> {
    let tops = view.tops.iter().filter(|top| top.part == part && !top.bars.is_empty());
    let bars = tops.map(|top| horizontal_bars(top.title, top.what, "calls", &top.bars, Some(&csv(view, top.report))));
    std::iter::once(first).chain(bars).collect()
}

fn csv(view: &StatisticsView, report: &str) -> String {
    format!("{REPORTS}/{report}?form=csv&{}", view.query)
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
        assert!(html.contains("/api/portcullis/v1/statistics/users?form=csv&amp;from=a&amp;to=b"), "{html}");
        assert!(html.len() < 100_000, "{}", html.len());
    }

    #[test]
    fn a_time_without_calls_is_said_to_be_one() {
        let html = fragment("/admin/statistics", &StatisticsView::default());
        assert!(html.contains("Nothing was called") && !html.contains("<h2"), "{html}");
    }
}
