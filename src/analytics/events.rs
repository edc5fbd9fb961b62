//! Tells other systems of each call: a web address, and Google Analytics. Gateways push what ended between calls; what
//! nobody takes in time is dropped and counted, so that a system that is away costs bounded memory and no call waits.

mod google;
mod queue;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_model::CallEvent;
use portcullis_model::port::CallEvents;
use tracing::warn;

pub use google::Google;
use queue::Queue;
pub use webhook::Webhook;

/// The pause between two looks whether everything is sent.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Where events are sent, and how.
pub struct EventSettings {
    /// To a web address.
    pub webhook: Option<Webhook>,
    /// To Google Analytics.
    pub google: Option<Google>,
    /// Events that may wait for each of them; further ones are dropped.
    pub queue_max: usize,
    /// How long events are gathered before they are sent.
    pub linger: Duration,
}

/// How sending to one system stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFigures {
    /// Events that were taken.
    pub sent: u64,
    /// Events that were dropped: because too many waited, or nobody took them.
    pub dropped: u64,
    /// Events that wait.
    pub waiting: u64,
}

/// The systems that are told; the tasks that tell them end when this is dropped.
pub(crate) struct Events {
    ways: Vec<(&'static str, Arc<Queue>, tokio::task::JoinHandle<()>)>,
    is_ending: Arc<AtomicBool>,
}

/// Sends events to one system.
enum Way {
    Webhook(Box<Webhook>),
    Google(Box<Google>),
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Google(_) => "google",
        }
    }

    fn batch_max(&self) -> usize {
        match self {
            Self::Webhook(webhook) => webhook.batch_max(),
            Self::Google(_) => google::BATCH_MAX,
        }
    }

    /// Sends a batch; returns how many events were taken.
    async fn send(&mut self, batch: &[Arc<CallEvent>], dropped: u64) -> u64 {
        match self {
            Self::Webhook(webhook) => webhook.send(batch, dropped).await,
            Self::Google(google) => google.send(batch).await,
        }
    }
}

impl Events {
    /// Begins to send.
    pub(crate) fn start(settings: EventSettings) -> Self {
        let is_ending: Arc<AtomicBool> = Arc::default();
        let webhook = settings.webhook.map(|webhook| Way::Webhook(Box::new(webhook)));
        let google = settings.google.map(|google| Way::Google(Box::new(google)));
        let ways = webhook.into_iter().chain(google).map(|way| {
            let (name, queue) = (way.name(), Arc::new(Queue::new(settings.queue_max)));
            (name, Arc::clone(&queue), tokio::spawn(run(way, queue, settings.linger, Arc::clone(&is_ending))))
        });
        Self { ways: ways.collect(), is_ending }
    }

    /// Returns how it stands, by system.
    pub(crate) fn figures(&self) -> Vec<(&'static str, EventFigures)> {
        self.ways.iter().map(|(name, queue, _)| (*name, queue.figures())).collect()
    }

    /// Sends what waits, at once; says whether everything was sent in time.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        self.is_ending.store(true, Ordering::Relaxed);
        let emptied = async {
            while self.ways.iter().any(|(_, queue, _)| !queue.is_idle()) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::time::timeout(within, emptied).await.is_ok()
    }
}

impl CallEvents for Events {
    fn take(&self, events: Vec<CallEvent>, dropped: u64) {
        let events: Vec<Arc<CallEvent>> = events.into_iter().map(Arc::new).collect();
        self.ways.iter().for_each(|(_, queue, _)| queue.push(&events, dropped));
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.ways.iter().for_each(|(_, _, task)| task.abort());
    }
}

async fn run(mut way: Way, queue: Arc<Queue>, linger: Duration, is_ending: Arc<AtomicBool>) {
    let mut was_refused = false;
    loop {
        queue.came().await;
        // So that a few events make one batch; one that is full already does not wait.
        let full = async {
            while queue.len() < way.batch_max() && !is_ending.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        // A batch that is not full by then is sent as it is.
        tokio::time::timeout(linger, full).await.ok();
        while let Some(batch) = queue.next(way.batch_max()) {
            let taken = way.send(&batch, queue.figures().dropped).await;
            let lost = batch.len() as u64 - taken.min(batch.len() as u64);
            queue.sent(taken, lost);
            if lost > 0 && !was_refused {
                warn!(to = way.name(), events = lost, "events of calls were not taken, and are dropped");
            }
            was_refused = lost > 0;
            if queue.len() < way.batch_max() && !is_ending.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}
