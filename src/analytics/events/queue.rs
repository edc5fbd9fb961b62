//! Events that wait for one system, up to a bound, and what became of others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::CallEvent;
use tokio::sync::Notify;

use super::EventFigures;

/// The queue.
pub(super) struct Queue {
    max: usize,
    inner: Mutex<Inner>,
    came: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Arc<CallEvent>>,
    /// Events of the batch that is on its way.
    under_way: usize,
    figures: EventFigures,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self { max, inner: Mutex::default(), came: Notify::new() }
    }

    /// Takes events in, as far as there is room. `dropped` were dropped before they came here.
    pub(super) fn push(&self, events: &[Arc<CallEvent>], dropped: u64) {
        let mut inner = self.inner();
        let room = self.max.saturating_sub(inner.waiting.len()).min(events.len());
        inner.waiting.extend(events[..room].iter().cloned());
        inner.figures.dropped += dropped + (events.len() - room) as u64;
        drop(inner);
        self.came.notify_one();
    }

    /// Waits until there is something.
    pub(super) async fn came(&self) {
        while self.len() == 0 {
            self.came.notified().await;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Says whether nothing waits, nor is on its way.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.waiting.is_empty() && inner.under_way == 0
    }

    /// Takes the next batch out.
    pub(super) fn next(&self, max: usize) -> Option<Vec<Arc<CallEvent>>> {
        let mut inner = self.inner();
        let count = inner.waiting.len().min(max);
        inner.under_way = count;
        (count > 0).then(|| inner.waiting.drain(..count).collect())
    }

    /// Notes what became of the batch.
    pub(super) fn sent(&self, taken: u64, lost: u64) {
        let mut inner = self.inner();
        inner.under_way = 0;
        inner.figures.sent += taken;
        inner.figures.dropped += lost;
    }

    pub(super) fn figures(&self) -> EventFigures {
        let inner = self.inner();
        EventFigures { waiting: (inner.waiting.len() + inner.under_way) as u64, ..inner.figures }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
