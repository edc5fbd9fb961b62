//! Counters of the gateway: each worker writes its own, a reader adds them up. It knows no exposition format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of the latency histogram; bucket `n` holds latencies under 2^n × 16 µs, the last one all above.
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
            pub(crate) answers_by_class: [Counter; 6],
            pub(crate) latency: [Counter; LATENCY_BUCKETS],
        }

        /// What the workers counted, summed.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Answers by the first digit of their status; index 0 holds calls whose client went away before.
            pub answers_by_class: [u64; 6],
            /// Calls by duration: bucket `n` holds those under 2^n × 16 µs, the last one all above.
            pub latency: [u64; LATENCY_BUCKETS],
        }

        impl Metrics {
            pub(crate) fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)*
                let pairs = self.answers_by_class.iter_mut().zip(&counters.answers_by_class);
                pairs.for_each(|(sum, counter)| *sum += counter.get());
                let pairs = self.latency.iter_mut().zip(&counters.latency);
                pairs.for_each(|(sum, counter)| *sum += counter.get());
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
    /// WebSockets that are open.
    websockets,
    /// Frames with data that WebSockets carried, and those that a quota dropped.
    websocket_frames,
    /// How long calls took in all, in microseconds.
    duration_us,
}

impl Counters {
    /// Counts an answer. `status` is 0 where the client went away before.
    pub(crate) fn answered(&self, status: u16, after: Duration) {
        self.requests_in_progress.subtract(1);
        let class = usize::from(status / 100);
        if let Some(counter) = self.answers_by_class.get(class) {
            counter.add(1);
        }
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.add(micros);
        let sixteenths = micros / 16;
        let bucket = (u64::BITS - sixteenths.leading_zeros()) as usize;
        self.latency[bucket.min(LATENCY_BUCKETS - 1)].add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counters, Metrics};

    #[test]
    fn latencies_fall_into_the_bucket_above_them() {
        let counters = Counters::default();
        counters.requests_in_progress.add(3);
        counters.answered(200, Duration::from_micros(15));
        counters.answered(404, Duration::from_micros(16));
        counters.answered(0, Duration::from_secs(3600));
        let mut sum = Metrics::default();
        sum.add(&counters);
        assert_eq!((sum.latency[0], sum.latency[1], sum.latency[23]), (1, 1, 1));
        assert_eq!((sum.answers_by_class[0], sum.answers_by_class[2], sum.answers_by_class[4]), (1, 1, 1));
        assert_eq!(sum.requests_in_progress, 0);
    }
}
