//! Events to a web address: batches as JSON, signed where there is a secret.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_http::Delivery;
use portcullis_http::delivery::DELIVERY;
use portcullis_http::time::rfc3339;
use portcullis_model::statistics::throttling_reason;
use portcullis_model::{CallEvent, NodeId};
use serde_json::{Value, json};
use tracing::debug;

/// A web address.
pub struct Webhook {
    node: NodeId,
    delivery: Delivery,
    batch_max: usize,
    /// Which start of the node this is, in milliseconds since 1970.
    boot: u64,
    /// The number of the last batch.
    number: u64,
}

impl Webhook {
    /// Sends to a URL batches of at most so many events; signs them where there is a secret.
    #[must_use]
    pub fn new(node: NodeId, url: &str, secret: &str, batch_max: usize) -> Self {
        let boot = portcullis_database::handle::wall_clock().0;
        Self { node, delivery: Delivery::new(url).signed_with(secret), batch_max: batch_max.max(1), boot, number: 0 }
    }

    pub(super) fn batch_max(&self) -> usize {
        self.batch_max
    }

    /// Sends a batch; returns how many events were taken: all, or none.
    pub(super) async fn send(&mut self, batch: &[Arc<CallEvent>], dropped: u64) -> u64 {
        self.number += 1;
        let events: Vec<Value> = batch.iter().map(|event| as_json(event)).collect();
        let body = json!({"node": self.node.to_string(), "dropped": dropped, "events": events}).to_string();
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let id = format!("{}-{}-{}", self.node, self.boot, self.number);
        headers.extend(HeaderValue::from_str(&id).ok().map(|id| (DELIVERY, id)));
        match self.delivery.deliver(Bytes::from(body), &headers).await {
            Ok(()) => batch.len() as u64,
            Err(fault) => {
                debug!(%fault, "events were not taken by the webhook");
                0
            }
        }
    }
}

/// Returns an event as it is told; what is not known is null.
fn as_json(event: &CallEvent) -> Value {
    let (api, caller) = (event.api.as_deref(), event.caller.as_deref());
    let application = caller.map(|caller| &caller.application);
    let code = (event.code != 0).then(|| event.code.to_string());
    json!({
        "at": rfc3339(event.at),
        "api": api.map(|api| api.id.to_string()),
        "api_name": api.map(|api| &api.name),
        "api_version": api.map(|api| &api.version),
        "api_context": api.map(|api| &api.context),
        "api_provider": api.map(|api| &api.provider.0),
        "tenant": api.map(|api| &api.tenant.0),
        "resource": event.resource.as_deref(),
        "application": application.map(|application| application.id.to_string()),
        "application_name": application.map(|application| &application.name),
        "application_owner": application.map(|application| &application.owner.0),
        "user": caller.map(|caller| &caller.user),
        "plan": caller.map(|caller| &caller.plan),
        "key_type": caller.map(|caller| caller.key_type.as_contract()),
        "destination": event.destination.as_deref(),
        "agent": event.agent.name(),
        "country": event.country.map(|country| country.to_string()),
        "status": event.status,
        "code": code,
        "reason": throttling_reason(event.code),
        "took_us": event.took_us,
        "upstream_us": event.upstream_us,
        "request_bytes": event.request_bytes,
        "response_bytes": event.response_bytes,
        "is_from_cache": event.is_from_cache,
    })
}
