//! Counters of the gateway: each worker writes its own, a reader adds them up. It knows no exposition format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_model::port::WebhookFigures;

use crate::gathering::micros;

/// Buckets of a histogram; bucket `n` holds durations under 2^n × 16 µs, the last one all above.
pub const LATENCY_BUCKETS: usize = 24;

/// A number that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        // Only the worker writes, so a plain load and store do, without a locked instruction.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, less: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(less), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            /// Calls that are not gathered for statistics, and therefore not told apart.
            pub(crate) untold: CallCounts,
            /// How long backends took until the head of their answer.
            upstream: Durations,
            /// How long calls took until the head of their answer, but for their backends.
            overhead: Durations,
        }

        /// What the workers counted, summed.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// How long backends took until the head of their answer.
            pub upstream: DurationCounts,
            /// How long calls took until the head of their answer, but for their backends.
            pub overhead: DurationCounts,
            /// The calls that were answered, by API and verb; those that are not told apart are the last.
            pub calls: Vec<(CallLabels, AnsweredCalls)>,
            /// What was decided by policies of throttling, by their names.
            pub decisions: Vec<(String, DecisionCounts)>,
            /// How the hub of APIs of the type WEBSUB stands.
            pub webhooks: WebhookFigures,
        }

        impl Metrics {
            /// Adds a worker's, but for what is told apart, and returns the calls that it does not tell apart.
            pub(crate) fn add(&mut self, counters: &Counters) -> AnsweredCalls {
                $(self.$name += counters.$name.get();)*
                self.upstream.add(&counters.upstream);
                self.overhead.add(&counters.overhead);
                let mut untold = AnsweredCalls::default();
                untold.add(&counters.untold);
                untold
            }
        }
    };
}

counters! {
    /// Connections of clients that are open.
    client_connections,
    /// Calls that began.
    requests,
    /// Calls in progress.
    requests_in_progress,
    /// Tokens whose verdict was remembered.
    verdict_hits,
    /// Tokens that the key manager was asked about.
    verdict_misses,
    /// How long the key manager took over those, in nanoseconds.
    verdict_ns,
    /// Calls refused for want of valid credentials, subscription or scope.
    refused_credentials,
    /// Calls refused because the state was older than it may be.
    refused_stale,
    /// Calls refused by a quota.
    refused_quota,
    /// Calls turned away by a deny policy.
    refused_denied,
    /// Calls that waited for the cluster to grant more of a quota.
    grant_waits,
    /// Connections opened to backends.
    upstream_connects,
    /// Calls that took an open connection to a backend.
    upstream_reuses,
    /// Calls sent again, to the same backend or another.
    upstream_retries,
    /// Backends that were left alone for a while after failures.
    upstream_suspensions,
    /// Copies of calls that were made.
    copies,
    /// Looks at a backend's health that did not find it well.
    health_checks_failed,
    /// Connections to backends that failed.
    upstream_connect_errors,
    /// Backends that did not answer in time.
    upstream_timeouts,
    /// Answers that were given again without asking a backend.
    cache_hits,
    /// Answers that broke off or were not HTTP.
    upstream_errors,
    /// Connections, and answers over HTTP/2, that ended because a client was too slow.
    slow_clients,
    /// Those of them that sent or took less than is asked of them, though they did not stop.
    clients_below_pace,
    /// Connections over HTTP/2 that were closed for their frames that belong to no call.
    flooding_clients,
    /// WebSockets that are open.
    websockets,
    /// Frames with data that WebSockets carried, and those that a quota dropped.
    websocket_frames,
}

/// Durations as one worker counts them.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [Counter; LATENCY_BUCKETS],
    sum_us: Counter,
}

impl Durations {
    fn count(&self, duration: Duration) {
        let micros = micros(duration);
        self.sum_us.add(micros);
        let sixteenths = micros / 16;
        let bucket = (u64::BITS - sixteenths.leading_zeros()) as usize;
        self.buckets[bucket.min(LATENCY_BUCKETS - 1)].add(1);
    }
}

/// Calls that are alike, as one worker counts them.
#[derive(Debug, Default)]
pub(crate) struct CallCounts {
    by_class: [Counter; 6],
    durations: Durations,
}

impl CallCounts {
    /// Counts an answer. `status` is 0 where the client went away before.
    pub(crate) fn answered(&self, status: u16, after: Duration) {
        if let Some(counter) = self.by_class.get(usize::from(status / 100)) {
            counter.add(1);
        }
        self.durations.count(after);
    }
}

/// What a policy of throttling decided, as one worker counts it.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    pub(crate) allowed: Counter,
    pub(crate) throttled: Counter,
}

/// Durations, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationCounts {
    /// Bucket `n` holds those under 2^n × 16 µs, the last one all above.
    pub buckets: [u64; LATENCY_BUCKETS],
    /// Their sum, in microseconds.
    pub sum_us: u64,
}

impl DurationCounts {
    fn add(&mut self, durations: &Durations) {
        self.buckets.iter_mut().zip(&durations.buckets).for_each(|(sum, counter)| *sum += counter.get());
        self.sum_us += durations.sum_us.get();
    }

    /// Adds others.
    pub fn join(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
        self.sum_us += other.sum_us;
    }
}

/// Calls that were answered and are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnsweredCalls {
    /// How many, by the first digit of their status; index 0 holds those whose client went away before.
    pub by_class: [u64; 6],
    /// How long they took until the end of their answer.
    pub durations: DurationCounts,
}

impl AnsweredCalls {
    pub(crate) fn add(&mut self, counts: &CallCounts) {
        self.by_class.iter_mut().zip(&counts.by_class).for_each(|(sum, counter)| *sum += counter.get());
        self.durations.add(&counts.durations);
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.by_class.iter_mut().zip(other.by_class).for_each(|(sum, count)| *sum += count);
        self.durations.join(&other.durations);
    }
}

/// How often a policy of throttling decided what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounts {
    /// Calls, frames and events that it let pass.
    pub allowed: u64,
    /// Those that it turned away.
    pub throttled: u64,
}

impl DecisionCounts {
    pub(crate) fn add(&mut self, decisions: &Decisions) {
        self.allowed += decisions.allowed.get();
        self.throttled += decisions.throttled.get();
    }
}

/// What makes calls alike for metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallLabels {
    /// The tenant of the API.
    pub tenant: String,
    /// The API's name.
    pub api: String,
    /// Its version.
    pub version: String,
    /// The verb of the operation.
    pub method: &'static str,
}

impl Counters {
    /// Counts how long a call took until the head of its answer, and how much of that its backend did.
    pub(crate) fn split(&self, total: Duration, upstream: Option<Duration>) {
        if let Some(upstream) = upstream {
            self.upstream.count(upstream);
        }
        self.overhead.count(total.saturating_sub(upstream.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counters, Metrics};

    #[test]
    fn durations_fall_into_the_bucket_above_them() {
        let counters = Counters::default();
        counters.untold.answered(200, Duration::from_micros(15));
        counters.untold.answered(404, Duration::from_micros(16));
        counters.untold.answered(0, Duration::from_secs(3600));
        let answered = Metrics::default().add(&counters);
        let buckets = answered.durations.buckets;
        assert_eq!((buckets[0], buckets[1], buckets[23]), (1, 1, 1));
        assert_eq!(answered.durations.sum_us, 3_600_000_031);
        assert_eq!((answered.by_class[0], answered.by_class[2], answered.by_class[4]), (1, 1, 1));
    }

    #[test]
    fn what_a_backend_took_is_not_the_gateways() {
        let counters = Counters::default();
        counters.split(Duration::from_micros(100), Some(Duration::from_micros(90)));
        counters.split(Duration::from_micros(20), None);
        let mut sum = Metrics::default();
        sum.add(&counters);
        assert_eq!((sum.upstream.sum_us, sum.overhead.sum_us), (90, 30));
        assert_eq!((sum.upstream.buckets[3], sum.overhead.buckets[0], sum.overhead.buckets[1]), (1, 1, 1));
    }
}
