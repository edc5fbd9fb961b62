//! The node's metrics as OTLP has them in JSON, and their way to the collector. They are made of the page that `/metrics`
//! shows, so that the two cannot differ; it is this program's own, and read no further than it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tracing::warn;

use super::resource::{Resource, scope, text_attribute};
use super::{Outbox, TelemetrySettings};
use crate::metrics::Metrics;

/// Where the collector takes metrics.
const PATH: &str = "/v1/metrics";
/// That a sum counts from the start of the process (`AGGREGATION_TEMPORALITY_CUMULATIVE`).
const CUMULATIVE: u8 = 2;

/// Sends metrics from time to time, until the task that runs it ends.
pub(super) async fn send(
    metrics: Arc<Metrics>,
    settings: Arc<TelemetrySettings>,
    outbox: Arc<Outbox>,
    every: Duration,
) {
    // What a collector missed is in what it gets next: there is no second try.
    let delivery = settings.delivery(PATH).with_tries(1);
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let (began, mut was_refused) = (now_ns(), false);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(page) = metrics.as_text() else { continue };
        let body = as_json(&page, &settings.resource, (began, now_ns())).to_string();
        let delivered = delivery.deliver(Bytes::from(body), &json).await;
        if let Err(fault) = &delivered {
            outbox.refused_metrics();
            if !was_refused {
                warn!(%fault, "metrics were not taken by the collector; the next ones are sent");
            }
        }
        was_refused = delivered.is_err();
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A family of the page.
#[derive(Default)]
struct Family<'a> {
    kind: &'a str,
    about: &'a str,
    samples: Vec<Sample<'a>>,
}

/// A line of the page: what comes behind the family's name, the labels, and the value.
struct Sample<'a> {
    part: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

fn as_json(page: &str, resource: &Resource, times: (u64, u64)) -> Value {
    let metrics: Vec<Value> =
        families(page).iter().filter_map(|(name, family)| metric_as_json(name, family, times)).collect();
    let scopes = json!([{"scope": scope(), "metrics": metrics}]);
    json!({"resourceMetrics": [{"resource": resource.as_json(), "scopeMetrics": scopes}]})
}

/// Reads a page of OpenMetrics 1.0. What is not understood is left out.
fn families(page: &str) -> Vec<(&str, Family<'_>)> {
    let mut families: Vec<(&str, Family<'_>)> = Vec::new();
    for line in page.lines() {
        if let Some((name, about)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push((name, Family { about, ..Family::default() }));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            if let Some((_, family)) = families.last_mut().filter(|(known, _)| *known == name) {
                family.kind = kind;
            }
        } else if let Some((name, family)) = families.last_mut()
            && let Some(sample) = line.strip_prefix(*name).and_then(sample)
        {
            family.samples.push(sample);
        }
    }
    families
}

/// Reads a line behind the family's name: `_total{to="x"} 3`.
fn sample(rest: &str) -> Option<Sample<'_>> {
    let (head, value) = rest.rsplit_once(' ')?;
    let (part, labels) = match head.split_once('{') {
        Some((part, labels)) => (part, labels.strip_suffix('}')?),
        None => (head, ""),
    };
    Some(Sample { part, labels: labels_in(labels), value: value.parse().ok()? })
}

/// Reads `name="value",name="value"`; what is escaped in a value stays so.
fn labels_in(mut text: &str) -> Vec<(&str, &str)> {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut is_escaped = false;
        let end = rest.find(|letter| {
            let is_end = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            is_end
        });
        let Some(end) = end else { break };
        labels.push((name, &rest[..end]));
        text = rest[end + 1..].trim_start_matches(',');
    }
    labels
}

/// Undoes what the page escapes in values of labels.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped })),
            other => text.push(other),
        }
    }
    text
}

fn metric_as_json(name: &str, family: &Family<'_>, (began, now): (u64, u64)) -> Option<Value> {
    let point = |sample: &Sample<'_>| {
        json!({
            "attributes": attributes(&sample.labels),
            "startTimeUnixNano": began.to_string(),
            "timeUnixNano": now.to_string(),
            "asDouble": sample.value,
        })
    };
    let points: Vec<Value> = family.samples.iter().map(point).collect();
    let told = match family.kind {
        "gauge" | "info" => ("gauge", json!({"dataPoints": points})),
        "counter" => ("sum", json!({"aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points})),
        "histogram" => {
            let points: Vec<Value> = histograms(family).iter().map(|one| one.as_json((began, now))).collect();
            ("histogram", json!({"aggregationTemporality": CUMULATIVE, "dataPoints": points}))
        }
        _ => return None,
    };
    let mut metric = json!({"name": name, "description": family.about});
    metric[told.0] = told.1;
    Some(metric)
}

fn attributes(labels: &[(&str, &str)]) -> Vec<Value> {
    labels.iter().map(|(name, value)| text_attribute(name, &unescaped(value))).collect()
}

/// One histogram: bounds with how many values are at or below each.
#[derive(Default)]
struct Histogram<'a> {
    labels: Vec<(&'a str, &'a str)>,
    below: Vec<(f64, f64)>,
    sum: f64,
    count: f64,
}

/// Puts the lines of a family together by their labels.
fn histograms<'a>(family: &Family<'a>) -> Vec<Histogram<'a>> {
    let mut found: BTreeMap<Vec<(&str, &str)>, Histogram<'a>> = BTreeMap::new();
    for sample in &family.samples {
        let labels: Vec<(&str, &str)> = sample.labels.iter().copied().filter(|(name, _)| *name != "le").collect();
        let one = found.entry(labels.clone()).or_insert_with(|| Histogram { labels, ..Histogram::default() });
        match sample.part {
            "_sum" => one.sum = sample.value,
            "_count" => one.count = sample.value,
            _ => {
                let bound = sample.labels.iter().find(|(name, _)| *name == "le").map(|(_, bound)| *bound);
                let bound =
                    bound.and_then(|bound| if bound == "+Inf" { Some(f64::INFINITY) } else { bound.parse().ok() });
                one.below.extend(bound.map(|bound| (bound, sample.value)));
            }
        }
    }
    found.into_values().collect()
}

impl Histogram<'_> {
    fn as_json(&self, (began, now): (u64, u64)) -> Value {
        // Here each bucket has its own count, there those below count too.
        let mut before = 0.0;
        let counts: Vec<String> = self
            .below
            .iter()
            .map(|(_, up_to)| format!("{:.0}", up_to - std::mem::replace(&mut before, *up_to)))
            .collect();
        let bounds: Vec<f64> = self.below.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
        json!({
            "attributes": attributes(&self.labels),
            "startTimeUnixNano": began.to_string(),
            "timeUnixNano": now.to_string(),
            "count": format!("{:.0}", self.count),
            "sum": self.sum,
            "bucketCounts": counts,
            "explicitBounds": bounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP portcullis_raft_term The Raft term.
# TYPE portcullis_raft_term gauge
portcullis_raft_term 3
# HELP portcullis_gateway_requests API calls answered, by the class of the status.
# TYPE portcullis_gateway_requests counter
portcullis_gateway_requests_total{status_class=\"2xx\"} 7
portcullis_gateway_requests_total{status_class=\"5xx\",node=\"a\\\",b\"} 1
# HELP portcullis_took_seconds How long it took.
# TYPE portcullis_took_seconds histogram
portcullis_took_seconds_sum{command=\"x\"} 0.5
portcullis_took_seconds_count{command=\"x\"} 4
portcullis_took_seconds_bucket{le=\"0.1\",command=\"x\"} 1
portcullis_took_seconds_bucket{le=\"1.0\",command=\"x\"} 3
portcullis_took_seconds_bucket{le=\"+Inf\",command=\"x\"} 4
# EOF
";

    #[test]
    fn a_page_becomes_metrics_with_their_labels_and_buckets() {
        let resource = Resource::new("portcullis", "a", "1", &[]);
        let told = as_json(PAGE, &resource, (1, 2));
        let metrics = told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), 3, "{told:#}");
        assert_eq!(metrics[0]["gauge"]["dataPoints"][0]["asDouble"], 3.0);
        let points = metrics[1]["sum"]["dataPoints"].as_array().unwrap();
        assert_eq!((points.len(), &points[0]["asDouble"]), (2, &7.0.into()));
        let node = json!({"key": "node", "value": {"stringValue": "a\",b"}});
        assert_eq!(points[1]["attributes"][1], node, "{told:#}");
        let histogram = &metrics[2]["histogram"]["dataPoints"][0];
        assert_eq!(histogram["bucketCounts"], json!(["1", "2", "1"]), "{told:#}");
        assert_eq!(histogram["explicitBounds"], json!([0.1, 1.0]));
        assert_eq!((&histogram["count"], &histogram["sum"]), (&"4".into(), &0.5.into()));
        assert_eq!(histogram["attributes"].as_array().unwrap().len(), 1);
    }
}
