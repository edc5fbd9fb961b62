//! The node's metrics in the OpenMetrics form, read from their owners when somebody asks. Nothing is counted here, and
//! no request on any path pays for it.

mod by_api;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_actor::Observation;
use portcullis_analytics::EventFigures;
use portcullis_model::port::WebhookFigures;
use portcullis_raft::DurationFigures;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::access_log::AccessLogFigures;
use crate::inside::Inside;
use crate::machine::resident_bytes;
use crate::telemetry::TelemetryFigures;

/// Where Raft stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaftFigures {
    /// The term.
    pub term: u64,
    /// The index of the last entry in the log.
    pub last_log_index: u64,
    /// The index of the last entry applied, hooks included.
    pub applied_index: u64,
    /// Whether this node leads.
    pub is_leader: bool,
    /// Whether a leader is known.
    pub has_leader: bool,
}

/// Where the figures come from.
pub struct Sources {
    /// The node's id.
    pub node: u64,
    /// Where Raft stands.
    pub raft: Box<dyn Fn() -> RaftFigures + Send + Sync>,
    /// What the gateway counted.
    pub gateway: Box<dyn Fn() -> portcullis_gateway::Metrics + Send + Sync>,
    /// How this node's allowances and their reports stand, where it has a gateway.
    pub allowances: Box<dyn Fn() -> Option<portcullis_traffic_manager::Observed> + Send + Sync>,
    /// What the feed counted, where this node has a Traffic Manager.
    pub feed: Box<dyn Fn() -> Option<portcullis_traffic_manager::FeedFigures> + Send + Sync>,
    /// What became of what this node gathered about calls, where it does.
    pub analytics: Box<dyn Fn() -> Option<portcullis_analytics::Observed> + Send + Sync>,
    /// How telling other systems of calls stands, by the name of each.
    pub events: Box<dyn Fn() -> Vec<(&'static str, EventFigures)> + Send + Sync>,
    /// How telemetry to a collector stands, where it is sent.
    pub telemetry: Box<dyn Fn() -> Option<TelemetryFigures> + Send + Sync>,
    /// How the access log stands, where there is one.
    pub access_log: Box<dyn Fn() -> Option<AccessLogFigures> + Send + Sync>,
    /// What else there is inside the node.
    pub inside: Box<dyn Fn() -> Inside + Send + Sync>,
    /// How the actors stand.
    pub actors: fn() -> Vec<Observation>,
}

/// The metrics of a node.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Makes the metrics from their sources.
    #[must_use]
    pub fn new(sources: Sources) -> Arc<Self> {
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(sources));
        Arc::new(Self { registry })
    }

    /// Returns all metrics as text.
    ///
    /// # Errors
    /// Where a metric cannot be written.
    pub fn as_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder: &mut encoder };
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        page.gauge_by("build_info", "The program; always 1", &[(version, 1)])?;
        page.gauge("node_id", "The node's id in the cluster", self.node)?;
        if let Some(bytes) = resident_bytes() {
            page.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM", bytes)?;
        }
        self.encode_raft(&mut page)?;
        (self.inside)().encode(&mut page)?;
        self.encode_actors(&mut page)?;
        self.encode_gateway(&mut page)?;
        self.encode_allowances(&mut page)?;
        self.encode_feed(&mut page)?;
        self.encode_telemetry(&mut page)?;
        if let Some(figures) = (self.access_log)() {
            page.counter("access_log_lines", "Lines that the access log has got", figures.written)?;
            let about = "Calls without a line in the access log: too many waited, or they could not be written";
            page.counter("access_log_dropped", about, figures.dropped)?;
        }
        self.encode_analytics(&mut page)
    }
}

impl Sources {
    fn encode_allowances(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let Some(observed) = (self.allowances)() else { return Ok(()) };
        let gauges = [
            ("throttle_allowances", "Counters of which this node keeps an allowance", observed.allowances),
            ("message_store_reports", "Reports that wait in the message store", observed.reports_waiting),
            ("message_store_bytes", "Bytes of the reports that wait", observed.store_bytes),
            ("message_store_full", "1 where so much waits that no more is taken in", u64::from(observed.is_store_full)),
            ("message_store_writable", "0 where reports cannot be made durable", u64::from(observed.is_store_writable)),
        ];
        for (name, about, value) in gauges {
            page.gauge(name, about, value)?;
        }
        let lost_at_most = "Used at most and not counted, because a message store was lost";
        let counters = [
            ("throttle_allowances_refused", "Counters for which there was no room", observed.allowances_refused),
            ("throttle_reports_applied", "Reports applied", observed.reports_applied),
            ("throttle_reports_retried", "Proposals of reports made again", observed.reports_retried),
            ("throttle_reports_lost", "Reports whose usage could not be counted", observed.reports_lost),
            ("throttle_ticks_held_back", "Ticks without a report because too much waits", observed.ticks_held_back),
            ("throttle_usage_lost_at_most", lost_at_most, observed.usage_lost_at_most),
            ("message_store_failed_writes", "Reports that could not be made durable", observed.reports_unstored),
            ("message_store_set_aside", "Damaged message stores that were set aside", observed.stores_set_aside),
        ];
        counters.into_iter().try_for_each(|(name, about, count)| page.counter(name, about, count))
    }

    fn encode_feed(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let Some(feed) = (self.feed)() else { return Ok(()) };
        let (is_connected, published, failures) = feed.broker.unwrap_or_default();
        page.gauge("throttle_feed_readers", "Readers of the feed", feed.readers)?;
        page.gauge("throttle_broker_connected", "1 where the broker is connected", u64::from(is_connected))?;
        let counters = [
            ("throttle_feed_messages", "Messages of the feed", feed.told),
            ("throttle_feed_dropped_readers", "Readers of the feed that were too slow", feed.dropped),
            ("throttle_broker_messages", "Messages that the broker has confirmed", published),
            ("throttle_broker_failures", "How often the broker failed", failures),
        ];
        counters.into_iter().try_for_each(|(name, about, count)| page.counter(name, about, count))
    }

    fn encode_analytics(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let events = (self.events)();
        let by_system = |figure: fn(&EventFigures) -> u64| -> Vec<(Vec<(&str, String)>, u64)> {
            events.iter().map(|(system, figures)| (vec![("to", (*system).to_owned())], figure(figures))).collect()
        };
        let waiting = by_system(|figures| figures.waiting);
        page.gauge_by("events_waiting", "Events of calls that wait for another system", &waiting)?;
        page.counter_by("events_sent", "Events of calls that another system took", &by_system(|figures| figures.sent))?;
        let about = "Events of calls that were dropped: too many waited, or nobody took them";
        page.counter_by("events_dropped", about, &by_system(|figures| figures.dropped))?;
        let Some(observed) = (self.analytics)() else { return Ok(()) };
        page.gauge("statistics_rows_waiting", "Rows of statistics that are not in the log yet", observed.rows_waiting)?;
        let counters = [
            ("statistics_batches_applied", "Batches of statistics that the log took", observed.batches_applied),
            ("statistics_batches_retried", "Proposals of such batches made again", observed.batches_retried),
            ("statistics_calls_lost", "Calls whose statistics the cluster refused", observed.calls_lost),
        ];
        counters.into_iter().try_for_each(|(name, about, count)| page.counter(name, about, count))
    }

    fn encode_telemetry(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let Some(figures) = (self.telemetry)() else { return Ok(()) };
        let dropped = "Calls whose spans were dropped: too many waited, or the collector took none";
        let counters = [
            ("telemetry_traces_sent", "Calls whose spans the collector took", figures.traces_sent),
            ("telemetry_traces_dropped", dropped, figures.traces_dropped),
            ("telemetry_metrics_refused", "Times that the collector did not take metrics", figures.metrics_refused),
        ];
        counters.into_iter().try_for_each(|(name, about, count)| page.counter(name, about, count))
    }

    fn encode_raft(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let raft = (self.raft)();
        page.gauge("raft_term", "The Raft term", raft.term)?;
        page.gauge("raft_last_log_index", "Index of the last entry in the log of this node", raft.last_log_index)?;
        page.gauge("raft_applied_index", "Index of the last entry applied on this node", raft.applied_index)?;
        page.gauge("raft_is_leader", "1 where this node leads", u64::from(raft.is_leader))?;
        page.gauge("raft_has_leader", "1 where this node knows a leader", u64::from(raft.has_leader))
    }

    fn encode_actors(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let actors = (self.actors)();
        let by_actor = |figure: fn(&Observation) -> u64| -> Vec<(Vec<(&str, String)>, u64)> {
            actors.iter().map(|one| (vec![("actor", one.actor.to_owned())], figure(one))).collect()
        };
        let waiting = by_actor(|one| one.in_work as u64);
        page.gauge_by("actor_mailbox_length", "Messages that wait for an actor or are in its work", &waiting)?;
        let refused = by_actor(|one| one.refused);
        page.counter_by("actor_dropped", "Messages refused because an actor had too many", &refused)?;
        let restarts = by_actor(|one| one.restarts);
        page.counter_by("actor_restarts", "Restarts of an actor that failed", &restarts)
    }

    fn encode_gateway(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let gateway = (self.gateway)();
        page.gauge("gateway_client_connections", "Open connections of clients", gateway.client_connections)?;
        page.gauge("gateway_requests_in_progress", "API calls in progress", gateway.requests_in_progress)?;
        page.gauge("gateway_websockets", "Open WebSockets", gateway.websockets)?;
        by_api::encode(page, &gateway)?;
        let counters = [
            ("gateway_slow_clients", "Connections closed because the client was too slow", gateway.slow_clients),
            (
                "gateway_clients_below_pace",
                "Clients given up because they sent or took too little per second",
                gateway.clients_below_pace,
            ),
            (
                "gateway_flooding_clients",
                "Connections over HTTP/2 closed for frames that belong to no call",
                gateway.flooding_clients,
            ),
            ("gateway_grant_waits", "API calls that waited for more of a quota", gateway.grant_waits),
            ("gateway_refused_credentials", "API calls refused for their credentials", gateway.refused_credentials),
            ("gateway_websocket_frames", "Frames with data of WebSockets", gateway.websocket_frames),
            ("gateway_refused_stale", "API calls refused because the state was too old", gateway.refused_stale),
            ("gateway_refused_denied", "API calls turned away by a deny policy", gateway.refused_denied),
            ("gateway_refused_quota", "API calls refused by a quota", gateway.refused_quota),
            ("gateway_upstream_connects", "Connections opened to backends", gateway.upstream_connects),
            ("gateway_upstream_reuses", "API calls that took an open connection to a backend", gateway.upstream_reuses),
            ("gateway_upstream_retries", "API calls sent again to a backend", gateway.upstream_retries),
            ("gateway_upstream_connect_errors", "Connections to backends that failed", gateway.upstream_connect_errors),
            ("gateway_upstream_suspensions", "Backends left alone for a while", gateway.upstream_suspensions),
            ("gateway_copies", "Copies of API calls sent to mirrors", gateway.copies),
            ("gateway_health_checks_failed", "Backends found not well", gateway.health_checks_failed),
            ("gateway_upstream_timeouts", "Backends that did not answer in time", gateway.upstream_timeouts),
            ("gateway_cache_hits", "Answers given again without asking a backend", gateway.cache_hits),
            ("gateway_upstream_errors", "Answers of backends that broke off", gateway.upstream_errors),
        ];
        for (name, about, count) in counters {
            page.counter(name, about, count)?;
        }
        encode_webhooks(page, &gateway.webhooks)?;
        let lookups = [("remembered", gateway.verdict_hits), ("asked", gateway.verdict_misses)];
        let lookups: Vec<_> =
            lookups.iter().map(|(how, count)| (vec![("result", (*how).to_owned())], *count)).collect();
        page.counter_by("token_validations", "Tokens judged from memory, or by asking the key manager", &lookups)?;
        let took = Duration::from_nanos(gateway.verdict_ns);
        page.seconds(
            "token_validation_seconds",
            "How long the key manager took over the tokens it was asked about",
            took,
        )
    }
}

/// Writes how the hub of APIs of the type WEBSUB stands.
fn encode_webhooks(page: &mut Page<'_, '_>, webhooks: &WebhookFigures) -> fmt::Result {
    let by_outcome = |counts: &[(&'static str, u64)]| -> Vec<_> {
        counts.iter().map(|(outcome, count)| (vec![("outcome", (*outcome).to_owned())], *count)).collect()
    };
    let about = "Events on their way to callbacks of WebSub, those that wait for another try included";
    page.gauge("gateway_webhook_deliveries_under_way", about, webhooks.under_way)?;
    let about = "What became of events for callbacks of WebSub, counted once for each callback";
    page.counter_by("gateway_webhook_deliveries", about, &by_outcome(&webhooks.deliveries))?;
    let about = "What became of requests to subscribe callbacks of WebSub, or to end that";
    page.counter_by("gateway_webhook_requests", about, &by_outcome(&webhooks.requests))
}

/// Series of one family: labels and value.
pub(crate) type Series<'a> = [(Vec<(&'a str, String)>, u64)];

/// Writes one family after the other.
pub(crate) struct Page<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Page<'_, '_> {
    pub(crate) fn gauge(&mut self, name: &str, about: &str, value: u64) -> fmt::Result {
        ConstGauge::new(signed(value)).encode(self.family(name, about, MetricType::Gauge)?)
    }

    /// The name gets `_total` behind it.
    pub(crate) fn counter(&mut self, name: &str, about: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.family(name, about, MetricType::Counter)?)
    }

    /// The name gets `_total` behind it.
    fn seconds(&mut self, name: &str, about: &str, took: Duration) -> fmt::Result {
        ConstCounter::new(took.as_secs_f64()).encode(self.family(name, about, MetricType::Counter)?)
    }

    pub(crate) fn gauge_by(&mut self, name: &str, about: &str, series: &Series<'_>) -> fmt::Result {
        let mut family = self.family(name, about, MetricType::Gauge)?;
        for (labels, value) in series {
            ConstGauge::new(signed(*value)).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    /// The name gets `_total` behind it.
    pub(crate) fn counter_by(&mut self, name: &str, about: &str, series: &Series<'_>) -> fmt::Result {
        let mut family = self.family(name, about, MetricType::Counter)?;
        for (labels, value) in series {
            ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    /// Writes a histogram of durations.
    pub(crate) fn histogram(&mut self, name: &str, about: &str, figures: &DurationFigures) -> fmt::Result {
        encode_durations(&mut self.family(name, about, MetricType::Histogram)?, figures)
    }

    pub(crate) fn family<'s>(
        &'s mut self,
        name: &'s str,
        about: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.encoder.encode_descriptor(name, about, None, kind)
    }
}

/// Writes one series of a histogram of durations.
pub(crate) fn encode_durations(series: &mut MetricEncoder<'_>, figures: &DurationFigures) -> fmt::Result {
    series.encode_histogram::<[(&str, &str); 0]>(figures.sum_s, figures.count, &figures.buckets, None)
}

/// Gauges of the exposition format are signed.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sources(node {})", self.node)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_figures_under_their_documented_names() {
        let metrics = Metrics::new(Sources {
            node: 3,
            raft: Box::new(|| RaftFigures { term: 2, applied_index: 41, is_leader: true, ..RaftFigures::default() }),
            gateway: Box::new(portcullis_gateway::Metrics::default),
            allowances: Box::new(|| Some(portcullis_traffic_manager::Observed::default())),
            feed: Box::new(|| Some(portcullis_traffic_manager::FeedFigures::default())),
            analytics: Box::new(|| Some(portcullis_analytics::Observed::default())),
            events: Box::new(|| vec![("webhook", EventFigures { sent: 5, ..EventFigures::default() })]),
            telemetry: Box::new(|| None),
            access_log: Box::new(|| Some(AccessLogFigures { written: 4, dropped: 1 })),
            inside: Box::new(Inside::default),
            actors: Vec::new,
        });
        let text = metrics.as_text().unwrap();
        for line in [
            "portcullis_node_id 3",
            "portcullis_raft_applied_index 41",
            "portcullis_raft_is_leader 1",
            "portcullis_events_sent_total{to=\"webhook\"} 5",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("portcullis_build_info{version=\""));
        assert!(text.ends_with("# EOF\n"));
    }
}
