//! The feed: throttle decisions and usage as a live stream for other systems. It costs nothing while nobody listens, and
//! waits for no reader: one that is too slow is told so and dropped.

mod broker;
pub mod event;
mod lists;
pub(crate) mod watcher;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_database::State;
use portcullis_database::handle::wall_clock;
use tokio::sync::{broadcast, watch};

pub(crate) use broker::Publisher;
pub use broker::{Broker, BrokerSettings};
pub use event::Event;
use watcher::Watcher;

/// Messages that a reader may be behind.
const BEHIND_MAX: usize = 4096;
/// Readers at a time.
const READERS_MAX: usize = 64;
/// Changes within this time are told together.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked whether time has brought something to tell.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The feed of one node.
pub struct Feed {
    latest: watch::Sender<Option<State>>,
    /// The state when the first of the present readers began to listen.
    base: Mutex<Option<State>>,
    events: broadcast::Sender<Arc<Event>>,
    is_ended: watch::Sender<bool>,
    told: AtomicU64,
    dropped: AtomicU64,
}

/// Why a reader is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{READERS_MAX} readers listen already")]
pub struct TooManyReaders;

impl Feed {
    /// Makes a feed that nobody listens to.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            latest: watch::Sender::new(None),
            base: Mutex::new(None),
            events: broadcast::Sender::new(BEHIND_MAX),
            is_ended: watch::Sender::new(false),
            told: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Takes in a new state. Cheap: a state shares its parts.
    pub fn learn(&self, state: &State) {
        self.latest.send_replace(Some(state.clone()));
    }

    /// Has somebody listen, from now on.
    ///
    /// # Errors
    /// Where there are too many already.
    pub fn listen(self: &Arc<Self>) -> Result<Reader, TooManyReaders> {
        if self.events.receiver_count() >= READERS_MAX {
            return Err(TooManyReaders);
        }
        let is_first = self.events.receiver_count() == 0;
        let (events, ended) = (self.events.subscribe(), self.is_ended.subscribe());
        if is_first {
            *self.base() = self.latest.borrow().clone();
        }
        // The first one hears what is used up already.
        self.latest.send_modify(|_| {});
        Ok(Reader { events, ended, feed: Arc::clone(self) })
    }

    fn base(&self) -> MutexGuard<'_, Option<State>> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many messages were told, how many readers there are, and how many were dropped.
    #[must_use]
    pub fn figures(&self) -> (u64, u64, u64) {
        let readers = u64::try_from(self.events.receiver_count()).unwrap_or(u64::MAX);
        (self.told.load(Ordering::Relaxed), readers, self.dropped.load(Ordering::Relaxed))
    }

    /// Ends all streams.
    pub fn end(&self) {
        self.is_ended.send_replace(true);
    }

    /// Tells what there is to tell, until the end.
    pub async fn tell(&self) {
        let mut ended = self.is_ended.subscribe();
        tokio::select! {
            // The sender is a field of this value, so waiting ends only at the end.
            _ = ended.wait_for(|ended| *ended) => {}
            () = self.tell_all() => {}
        }
    }

    async fn tell_all(&self) {
        let mut latest = self.latest.subscribe();
        // What came before this began is news too.
        latest.mark_changed();
        let mut watcher = Watcher::default();
        loop {
            if watcher.waits_for_time() {
                // The time being over is as good a reason to look as a change.
                tokio::time::timeout(LOOK_AGAIN, latest.changed()).await.ok();
            } else if latest.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(GATHER).await;
            let state = latest.borrow_and_update().clone();
            if self.events.receiver_count() == 0 {
                // What was told so far is of no use to the next reader.
                watcher = Watcher::default();
                continue;
            }
            let base = self.base().take().filter(|_| watcher.is_new());
            let states = base.into_iter().chain(state);
            for event in states.flat_map(|state| watcher.step(&state, wall_clock())) {
                self.told.fetch_add(1, Ordering::Relaxed);
                // Fails where the last reader has just gone.
                self.events.send(Arc::new(event)).ok();
            }
        }
    }
}

/// Somebody who listens.
pub struct Reader {
    events: broadcast::Receiver<Arc<Event>>,
    ended: watch::Receiver<bool>,
    feed: Arc<Feed>,
}

impl Reader {
    /// Waits for the next message; `None` at the end. One that was too slow hears [`Event::Dropped`] last.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        let received = tokio::select! {
            _ = self.ended.wait_for(|ended| *ended) => return None,
            received = self.events.recv() => received,
        };
        match received {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.feed.dropped.fetch_add(1, Ordering::Relaxed);
                Some(Arc::new(Event::Dropped(event::Dropped { missed })))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Reader {
    /// Waits, and says whether the feed ended meanwhile.
    pub(crate) async fn ends_within(&mut self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.ended.wait_for(|ended| *ended)).await.is_ok()
    }
}

/// The actor that tells.
pub(crate) struct Teller(pub(crate) Arc<Feed>);

impl actix::Actor for Teller {
    type Context = actix::Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let feed = Arc::clone(&self.0);
        actix::AsyncContext::spawn(context, actix::fut::wrap_future(async move { feed.tell().await }));
    }
}
