//! What an operator may change of a gateway while it runs, and how its workers come to see it. Where it is read from is not
//! known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::settings::{OnNoQuorum, Settings};

/// The part of [`Settings`] that may change while the gateway runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Networks of proxies whose word about the client counts; for connections that begin from now on.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether answers to limited calls have the older `X-RateLimit-*` fields too.
    pub has_x_ratelimit: bool,
    /// How long a WebSocket may be silent.
    pub websocket_idle_timeout: Duration,
    /// How long a request waits for the cluster to grant more of a quota.
    pub grant_wait: Duration,
    /// What becomes of a request when no grant came in that time.
    pub on_no_quorum: OnNoQuorum,
}

impl From<&Settings> for Tuning {
    fn from(settings: &Settings) -> Self {
        Self {
            trusted_proxies: settings.trusted_proxies.clone(),
            has_x_ratelimit: settings.has_x_ratelimit,
            websocket_idle_timeout: settings.client.websocket_idle_timeout,
            grant_wait: settings.grant_wait,
            on_no_quorum: settings.on_no_quorum,
        }
    }
}

/// The tuning that all workers share. Its number tells a worker whether what it holds is still that of now, so that a call
/// touches nothing that other workers write to.
pub(crate) struct SharedTuning {
    number: AtomicU64,
    current: ArcSwap<Tuning>,
}

impl SharedTuning {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Self { number: AtomicU64::new(1), current: ArcSwap::from_pointee(tuning) }
    }

    /// Has another tuning count.
    pub(crate) fn set(&self, tuning: Tuning) {
        self.current.store(Arc::new(tuning));
        self.number.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of the tuning, which is never 0.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(crate) fn current(&self) -> Tuning {
        Tuning::clone(&self.current.load())
    }
}
