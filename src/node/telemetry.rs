//! Telemetry to a collector of OpenTelemetry: spans of calls and the node's metrics, by OTLP over HTTP as JSON. Nothing of
//! it is on the way of a call; what a collector does not take in time is dropped and counted.

mod metrics;
mod outbox;
mod resource;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portcullis_http::Delivery;
use portcullis_model::span::{CallTraces, Tracing};

use crate::metrics::Metrics;
pub(crate) use outbox::Outbox;
pub use outbox::TelemetryFigures;
pub(crate) use resource::Resource;

/// How often a document is tried: later ones wait behind it.
const TRIES: u32 = 5;

/// Where telemetry goes, and what of it.
pub(crate) struct TelemetrySettings {
    /// The collector's URL, without a path.
    pub(crate) endpoint: String,
    /// Headers for the collector, such as a key.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Who this is.
    pub(crate) resource: Resource,
    /// Of a million calls that come without a context, so many are traced; `None` where none is, not even with one.
    pub(crate) sampled_per_million: Option<u32>,
    /// Whether calls that fail are traced though they were not chosen.
    pub(crate) traces_errors: bool,
    /// How long a call takes that is traced though it was not chosen.
    pub(crate) slow: Option<Duration>,
    /// Calls whose spans may wait.
    pub(crate) queue_max: usize,
    /// How often metrics are sent; `None` for never.
    pub(crate) metrics_every: Option<Duration>,
}

/// Sends telemetry until it is dropped.
pub(crate) struct Telemetry {
    outbox: Arc<Outbox>,
    tracing: Option<Tracing>,
    settings: Arc<TelemetrySettings>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Telemetry {
    /// Begins to send spans.
    pub(crate) fn start(settings: TelemetrySettings) -> Self {
        let (outbox, settings) = (Arc::new(Outbox::new(settings.queue_max)), Arc::new(settings));
        let tracing = settings.sampled_per_million.map(|sampled_per_million| Tracing {
            sink: Arc::<Outbox>::clone(&outbox) as Arc<dyn CallTraces>,
            sampled_per_million,
            traces_errors: settings.traces_errors,
            slow: settings.slow,
        });
        let tasks = tracing.as_ref().map(|_| tokio::spawn(traces::send(Arc::clone(&outbox), Arc::clone(&settings))));
        Self { outbox, tracing, settings, tasks: tasks.into_iter().collect() }
    }

    /// Begins to send metrics too, where that is wanted.
    pub(crate) fn send_metrics(&mut self, metrics: &Arc<Metrics>) {
        if let Some(every) = self.settings.metrics_every {
            let sending =
                metrics::send(Arc::clone(metrics), Arc::clone(&self.settings), Arc::clone(&self.outbox), every);
            self.tasks.push(tokio::spawn(sending));
        }
    }

    /// Returns which calls gateways are to trace, and where to; `None` for none.
    pub(crate) fn tracing(&self) -> Option<Tracing> {
        self.tracing.clone()
    }

    /// Returns what says how it stands.
    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Sends the spans that wait, at once; says whether the collector took them in time.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        self.tracing.is_none() || self.outbox.drain(within).await
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl TelemetrySettings {
    /// Returns what delivers to a path of the collector.
    fn delivery(&self, path: &str) -> Delivery {
        let url = format!("{}{path}", self.endpoint.trim_end_matches('/'));
        let delivery = Delivery::new(&url).with_tries(TRIES);
        self.headers.iter().fold(delivery, |delivery, (name, value)| delivery.with_header(name.clone(), value.clone()))
    }
}
