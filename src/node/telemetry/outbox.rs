//! Spans that wait for the collector, up to a bound, and what became of others.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_model::span::{CallTrace, CallTraces};
use tokio::sync::Notify;

/// How long calls are gathered before their spans are sent.
const LINGER: Duration = Duration::from_secs(1);
/// The pause between two looks whether everything is sent.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Calls whose spans go into one document.
const BATCH_MAX: usize = 256;

/// How telemetry stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TelemetryFigures {
    /// Calls whose spans the collector took.
    pub traces_sent: u64,
    /// Calls whose spans were dropped: because too many waited, or the collector took none.
    pub traces_dropped: u64,
    /// How often the collector did not take metrics.
    pub metrics_refused: u64,
}

/// The outbox.
pub(crate) struct Outbox {
    max: usize,
    inner: Mutex<Inner>,
    came: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<CallTrace>,
    under_way: usize,
    is_ending: bool,
    figures: TelemetryFigures,
}

impl Outbox {
    pub(super) fn new(max: usize) -> Self {
        Self { max, inner: Mutex::default(), came: Notify::new() }
    }

    /// Waits for the next batch: until it is full, or its first call has waited for long enough.
    pub(super) async fn next(&self) -> Vec<CallTrace> {
        while !self.has(1) {
            self.came.notified().await;
        }
        let full = async {
            while !self.has(BATCH_MAX) && !self.inner().is_ending {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        // One that is not full by then is sent as it is.
        tokio::time::timeout(LINGER, full).await.ok();
        let mut inner = self.inner();
        let count = inner.waiting.len().min(BATCH_MAX);
        inner.under_way = count;
        inner.waiting.drain(..count).collect()
    }

    /// Notes what became of a batch.
    pub(super) fn sent(&self, count: usize, is_taken: bool) {
        let mut inner = self.inner();
        inner.under_way = 0;
        let figures = &mut inner.figures;
        let sum = if is_taken { &mut figures.traces_sent } else { &mut figures.traces_dropped };
        *sum += count as u64;
    }

    /// Notes that the collector did not take metrics.
    pub(super) fn refused_metrics(&self) {
        self.inner().figures.metrics_refused += 1;
    }

    /// Returns how telemetry stands.
    pub(crate) fn figures(&self) -> TelemetryFigures {
        self.inner().figures
    }

    /// Has what waits sent at once; says whether nothing is left in time.
    pub(super) async fn drain(&self, within: Duration) -> bool {
        self.inner().is_ending = true;
        let emptied = async {
            while !self.is_idle() {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::time::timeout(within, emptied).await.is_ok()
    }

    fn has(&self, count: usize) -> bool {
        self.inner().waiting.len() >= count
    }

    /// Says whether nothing waits, nor is on its way.
    fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.waiting.is_empty() && inner.under_way == 0
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallTraces for Outbox {
    fn take(&self, traces: Vec<CallTrace>, dropped: u64) {
        let mut inner = self.inner();
        let room = self.max.saturating_sub(inner.waiting.len()).min(traces.len());
        inner.figures.traces_dropped += dropped + (traces.len() - room) as u64;
        inner.waiting.extend(traces.into_iter().take(room));
        drop(inner);
        self.came.notify_one();
    }
}
