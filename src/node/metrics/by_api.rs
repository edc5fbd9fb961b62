//! The metrics of API calls that have labels of APIs and policies. How many are told apart is bounded by the gateway.

use std::fmt;
use std::time::Duration;

use portcullis_gateway::{AnsweredCalls, CallLabels, DurationCounts, LATENCY_BUCKETS, Metrics};
use portcullis_raft::DurationFigures;
use prometheus_client::metrics::MetricType;

use super::{Page, encode_durations};

/// Classes of answers, as they are counted.
const CLASSES: [&str; 6] = ["gone", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Those that are shown also where there was none: an alert sees them rise from 0.
const ALWAYS_SHOWN: [&str; 3] = ["2xx", "4xx", "5xx"];

/// Writes them.
pub(super) fn encode(page: &mut Page<'_, '_>, gateway: &Metrics) -> fmt::Result {
    encode_answers(page, &gateway.calls)?;
    encode_durations_of(page, &gateway.calls)?;
    let about = "How long backends took until the head of their answer";
    page.histogram("gateway_upstream_duration_seconds", about, &figures(&gateway.upstream))?;
    let about = "How long API calls took until the head of their answer, but for their backends";
    page.histogram("gateway_overhead_seconds", about, &figures(&gateway.overhead))?;
    let mut series = Vec::with_capacity(gateway.decisions.len() * 2);
    for (policy, counts) in &gateway.decisions {
        for (decision, count) in [("allowed", counts.allowed), ("throttled", counts.throttled)] {
            series.push((vec![("policy", policy.clone()), ("decision", decision.to_owned())], count));
        }
    }
    let about = "What policies of throttling decided about API calls, frames and events, by the policy's name";
    page.counter_by("throttle_decisions", about, &series)
}

fn encode_answers(page: &mut Page<'_, '_>, calls: &[(CallLabels, AnsweredCalls)]) -> fmt::Result {
    let mut series = Vec::new();
    for (labels, answered) in calls {
        for (class, count) in CLASSES.into_iter().zip(answered.by_class) {
            if count == 0 && !ALWAYS_SHOWN.contains(&class) {
                continue;
            }
            let mut named = api_of(labels);
            named.extend([("method", labels.method.to_owned()), ("status_class", class.to_owned())]);
            series.push((named, count));
        }
    }
    let about =
        "API calls answered, by API, verb of the operation and class of the status; gone: the client left before";
    page.counter_by("gateway_requests", about, &series)
}

/// Writes how long calls took, by API: its verbs are together.
fn encode_durations_of(page: &mut Page<'_, '_>, calls: &[(CallLabels, AnsweredCalls)]) -> fmt::Result {
    let about = "How long API calls took until the end of their answer, by API";
    let mut family = page.family("gateway_request_duration_seconds", about, MetricType::Histogram)?;
    // Verbs of an API are beside each other.
    let is_same = |(one, _): &(CallLabels, _), (other, _): &(CallLabels, _)| {
        (&one.tenant, &one.api, &one.version) == (&other.tenant, &other.api, &other.version)
    };
    for group in calls.chunk_by(is_same) {
        let mut sum = DurationCounts::default();
        group.iter().for_each(|(_, answered)| sum.join(&answered.durations));
        let labels = group.first().map(|(labels, _)| api_of(labels)).unwrap_or_default();
        encode_durations(&mut family.encode_family(&labels)?, &figures(&sum))?;
    }
    Ok(())
}

fn api_of(labels: &CallLabels) -> Vec<(&'static str, String)> {
    vec![("tenant", labels.tenant.clone()), ("api", labels.api.clone()), ("version", labels.version.clone())]
}

fn figures(durations: &DurationCounts) -> DurationFigures {
    DurationFigures {
        buckets: (0..).map(upper_end_s).zip(durations.buckets).collect(),
        count: durations.buckets.iter().sum(),
        sum_s: Duration::from_micros(durations.sum_us).as_secs_f64(),
    }
}

/// Returns the upper end of a bucket of the gateway's durations, in seconds; the last one has none.
fn upper_end_s(bucket: usize) -> f64 {
    if bucket + 1 >= LATENCY_BUCKETS {
        return f64::INFINITY;
    }
    Duration::from_micros(16 << bucket).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use portcullis_gateway::DecisionCounts;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;
    use prometheus_client::encoding::text::encode as encode_text;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug)]
    struct Counted(Metrics);

    impl Collector for Counted {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode(&mut Page { encoder: &mut encoder }, &self.0)
        }
    }

    fn labels(api: &str, method: &'static str) -> CallLabels {
        CallLabels { tenant: "carbon.super".to_owned(), api: api.to_owned(), version: "1".to_owned(), method }
    }

    #[test]
    fn calls_are_shown_by_api_verb_and_class_and_their_durations_by_api() {
        let one = |by_class| {
            let buckets = std::array::from_fn(|bucket| if bucket == 1 { 3 } else { u64::from(bucket == 23) });
            AnsweredCalls { by_class, durations: DurationCounts { buckets, sum_us: 500_000 } }
        };
        let counted = Counted(Metrics {
            calls: vec![
                (labels("pizza", "GET"), one([0, 0, 7, 0, 1, 0])),
                (labels("pizza", "POST"), one([2, 0, 0, 0, 0, 0])),
                (labels("soup", "GET"), one([0, 0, 1, 0, 0, 0])),
            ],
            decisions: vec![("Gold".to_owned(), DecisionCounts { allowed: 5, throttled: 2 })],
            ..Metrics::default()
        });
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(counted));
        let mut text = String::new();
        encode_text(&mut text, &registry).unwrap();
        for line in [
            r#"portcullis_gateway_requests_total{tenant="carbon.super",api="pizza",version="1",method="GET",status_class="2xx"} 7"#,
            r#"portcullis_gateway_requests_total{tenant="carbon.super",api="pizza",version="1",method="GET",status_class="5xx"} 0"#,
            r#"portcullis_gateway_requests_total{tenant="carbon.super",api="pizza",version="1",method="POST",status_class="gone"} 2"#,
            r#"portcullis_gateway_request_duration_seconds_bucket{le="+Inf",tenant="carbon.super",api="pizza",version="1"} 8"#,
            r#"portcullis_gateway_request_duration_seconds_sum{tenant="carbon.super",api="soup",version="1"} 0.5"#,
            r#"portcullis_throttle_decisions_total{policy="Gold",decision="throttled"} 2"#,
            "portcullis_gateway_overhead_seconds_count 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains(r#"status_class="1xx""#), "{text}");
    }
}
