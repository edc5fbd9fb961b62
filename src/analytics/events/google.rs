//! Events to Google Analytics 4 by its Measurement Protocol: a page view for each call, as the original's handler sent to
//! the Analytics of its day. No user is named to it, and no address.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_http::Delivery;
use portcullis_model::{ApplicationId, CallEvent};
use serde_json::{Value, json};
use tracing::debug;

/// Events of one request, as the protocol bounds it.
pub(super) const BATCH_MAX: usize = 25;
/// Characters of a parameter's value, as the protocol bounds it.
const VALUE_CHARS_MAX: usize = 100;
/// How often a request is tried: events count by the hour, and later ones wait behind it.
const TRIES: u32 = 4;

/// A stream of Google Analytics.
pub struct Google {
    delivery: Delivery,
}

impl Google {
    /// Sends to a stream: `url` is where requests go, without the two parameters that are added here.
    #[must_use]
    pub fn new(url: &str, measurement_id: &str, api_secret: &str) -> Self {
        let delivery = Delivery::new(&format!("{url}?measurement_id={measurement_id}&api_secret={api_secret}"));
        Self { delivery: delivery.with_tries(TRIES) }
    }

    /// Sends a batch, a request for each caller in it; returns how many events were taken.
    pub(super) async fn send(&mut self, batch: &[Arc<CallEvent>]) -> u64 {
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut callers: Vec<(String, Vec<Value>)> = Vec::new();
        for event in batch {
            let (caller, page) = (client_of(event), page_view(event));
            match callers.iter_mut().find(|(known, _)| *known == caller) {
                Some((_, pages)) => pages.push(page),
                None => callers.push((caller, vec![page])),
            }
        }
        let mut taken = 0;
        for (client_id, events) in callers {
            let count = events.len() as u64;
            let body = json!({"client_id": client_id, "events": events}).to_string();
            match self.delivery.deliver(Bytes::from(body), &json).await {
                Ok(()) => taken += count,
                Err(fault) => debug!(status = ?fault.status(), "events were not taken by Google Analytics"),
            }
        }
        taken
    }
}

/// Returns what stands for a caller: always the same for the same application and user, and neither of them to be read
/// from it by who does not know both.
fn client_of(event: &CallEvent) -> String {
    let Some(caller) = &event.caller else { return "anonymous".to_owned() };
    // Any id of names does; it is of no application.
    ApplicationId::of_names(&["google", &caller.application.id.to_string(), &caller.user]).to_string()
}

fn page_view(event: &CallEvent) -> Value {
    let (api, caller) = (event.api.as_deref(), event.caller.as_deref());
    let short = |text: &str| text.chars().take(VALUE_CHARS_MAX).collect::<String>();
    let place = api.map_or_else(|| "/".to_owned(), |api| format!("https://{}{}", api.tenant.0, api.context));
    let title = api.map_or_else(|| "(none)".to_owned(), |api| format!("{} {}", api.name, api.version));
    json!({
        "name": "page_view",
        "timestamp_micros": event.at.0.saturating_mul(1_000),
        "params": {
            "page_location": short(&place),
            "page_title": short(&title),
            "api_name": api.map(|api| short(&api.name)),
            "api_version": api.map(|api| short(&api.version)),
            "resource": event.resource.as_deref().map(short),
            "application": caller.map(|caller| short(&caller.application.name)),
            "plan": caller.map(|caller| short(&caller.plan)),
            "status": event.status,
            "response_time_ms": event.took_us / 1_000,
            // Without it a view does not count as one of somebody active.
            "engagement_time_msec": 1,
        },
    })
}
