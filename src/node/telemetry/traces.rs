//! Spans as OTLP has them in JSON, and their way to the collector. Ids are in hexadecimal and numbers of 64 bits are texts
//! (OTLP 1, "JSON Protobuf Encoding").

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_model::span::{CallTrace, Span, SpanKind, SpanValue, hexadecimal};
use serde_json::{Value, json};
use tracing::warn;

use super::resource::{Resource, scope, text_attribute};
use super::{Outbox, TelemetrySettings};

/// Where the collector takes spans.
const PATH: &str = "/v1/traces";
/// The status of a span that failed (`STATUS_CODE_ERROR`).
const ERROR: u8 = 2;

/// Sends spans as they come, until the task that runs it ends.
pub(super) async fn send(outbox: Arc<Outbox>, settings: Arc<TelemetrySettings>) {
    let delivery = settings.delivery(PATH);
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut was_refused = false;
    loop {
        let batch = outbox.next().await;
        let body = as_json(&batch, &settings.resource).to_string();
        let delivered = delivery.deliver(Bytes::from(body), &json).await;
        outbox.sent(batch.len(), delivered.is_ok());
        if let Err(fault) = &delivered
            && !was_refused
        {
            warn!(%fault, calls = batch.len(), "spans were not taken by the collector, and are dropped");
        }
        was_refused = delivered.is_err();
    }
}

fn as_json(traces: &[CallTrace], resource: &Resource) -> Value {
    let spans: Vec<Value> =
        traces.iter().flat_map(|one| one.spans.iter().map(|span| span_as_json(&one.trace, span))).collect();
    let scopes = json!([{"scope": scope(), "spans": spans}]);
    json!({"resourceSpans": [{"resource": resource.as_json(), "scopeSpans": scopes}]})
}

fn span_as_json(trace: &[u8], span: &Span) -> Value {
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(name, value)| match value {
            SpanValue::Text(text) => text_attribute(name, text),
            SpanValue::Number(number) => json!({"key": name, "value": {"intValue": number.to_string()}}),
        })
        .collect();
    let mut told = json!({
        "traceId": hexadecimal(trace),
        "spanId": hexadecimal(&span.id),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.begin_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": attributes,
        "status": if span.is_error { json!({"code": ERROR}) } else { json!({}) },
    });
    if let Some(parent) = &span.parent {
        told["parentSpanId"] = hexadecimal(parent).into();
    }
    told
}
