//! Calls as they are answered, for operators who look on. Where nobody does, a call costs one look at a number. It keeps
//! nothing: who looks too slowly misses some, and is told how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tokio::sync::broadcast;

/// How many may look on at a time.
const ONLOOKERS_MAX: usize = 16;
/// Calls that one who looks on may be behind.
const BEHIND_MAX: usize = 1_024;

/// A call that was answered, as far as it is told. No credentials, no query, no body.
#[derive(Clone, Debug, Serialize)]
pub struct CallSeen {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The client's address.
    pub client: String,
    /// The verb.
    pub verb: String,
    /// The path as it came.
    pub path: String,
    /// The API's context with its version; `None` where no API was found.
    pub api: Option<String>,
    /// The application's name, where it is known who calls.
    pub application: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// How long it took until the head of the answer was made, in microseconds.
    pub took_us: u64,
    /// The request's id.
    pub request_id: String,
}

/// What one who looks on sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A call.
    Call(Arc<CallSeen>),
    /// So many calls were missed.
    Missed(u64),
}

/// Those who look on.
#[derive(Debug)]
pub(crate) struct Onlookers {
    count: Arc<AtomicUsize>,
    sender: broadcast::Sender<Arc<CallSeen>>,
}

/// One who looks on, until it is dropped.
#[derive(Debug)]
pub struct Onlooker {
    calls: broadcast::Receiver<Arc<CallSeen>>,
    count: Arc<AtomicUsize>,
}

impl Default for Onlookers {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(BEHIND_MAX);
        Self { count: Arc::default(), sender }
    }
}

impl Onlookers {
    /// Says whether anybody looks on.
    pub(crate) fn is_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Shows a call to them.
    pub(crate) fn show(&self, call: CallSeen) {
        // An error says that the last one has just gone.
        let _ = self.sender.send(Arc::new(call));
    }

    /// Has one more look on; `None` where there are too many already.
    pub(crate) fn join(&self) -> Option<Onlooker> {
        let more = |count| (count < ONLOOKERS_MAX).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Onlooker { calls: self.sender.subscribe(), count: Arc::clone(&self.count) })
    }
}

impl Onlooker {
    /// Waits for the next call; `None` where the gateway has ended.
    pub async fn next(&mut self) -> Option<Seen> {
        match self.calls.recv().await {
            Ok(call) => Some(Seen::Call(call)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Seen::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
