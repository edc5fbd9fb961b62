//! Brings what was gathered to the log: in batches, one after the other, each proposed until it is applied. A batch whose
//! answer was lost is recognised by its number and not counted twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_database::access::Analytics as Rights;
use portcullis_database::command::{NoteNetworks, NoteStrayCalls, TakeStatistics};
use portcullis_database::statistics::{BatchReply, NetworkBatch, NetworkBounds, StatisticsBatch};
use portcullis_database::{Caller, Handle, Statdb, SubmitError, handle};
use portcullis_model::CallerNetwork;
use portcullis_model::id::ApplicationId;
use portcullis_model::statistics::{Aspect, CalledApi, CallingApplication, DAY_MS};
use tokio::sync::watch;
use tracing::{debug, error};

use crate::Settings;
use crate::book::{Book, Known};
use crate::inbox::Inbox;
use crate::messages::Observed;

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often networks from which nobody called for too long are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How often a collector that is to be emptied looks whether it is.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Everything about collecting that outlives a restart of the actor.
pub(crate) struct Collector {
    pub(crate) inbox: Arc<Inbox>,
    settings: Settings,
    handle: Handle<Rights>,
    book: Mutex<Book>,
    /// The batch that is on its way.
    under_way: Mutex<Option<StatisticsBatch>>,
    /// Which start of the node this is, as the log is told: by the clock, so that a later one has a larger number.
    boot: AtomicU64,
    sequence: AtomicU64,
    is_busy: AtomicBool,
    is_ended: watch::Sender<bool>,
    applied: AtomicU64,
    retried: AtomicU64,
    calls_lost: AtomicU64,
    /// The number of the next call to no API; those of an earlier start of the node are smaller.
    strays: AtomicU64,
}

impl Collector {
    pub(crate) fn new(settings: Settings, handle: Handle<Rights>) -> Self {
        let values_max = usize::try_from(settings.bounds.values_max).unwrap_or(usize::MAX);
        Self {
            inbox: Arc::default(),
            settings,
            handle,
            book: Mutex::new(Book::new(values_max)),
            under_way: Mutex::new(None),
            boot: AtomicU64::new(handle::wall_clock().0),
            sequence: AtomicU64::new(0),
            is_busy: AtomicBool::new(false),
            is_ended: watch::Sender::new(false),
            applied: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            calls_lost: AtomicU64::new(0),
            strays: AtomicU64::new(handle::wall_clock().0.saturating_mul(1_000)),
        }
    }

    /// Collects and submits until the end.
    pub(crate) async fn run(&self) {
        let mut ended = self.is_ended.subscribe();
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => {}
            () = self.collect_all() => {}
        }
    }

    /// Ends it, at whatever it waits for.
    pub(crate) fn end(&self) {
        self.is_ended.send_replace(true);
    }

    pub(crate) fn observe(&self) -> Observed {
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let under_way = self.under_way().as_ref().map_or(0, |batch| batch.rows.len());
        let waiting = self.book().len() + under_way;
        Observed {
            batches_applied: figure(&self.applied),
            batches_retried: figure(&self.retried),
            rows_waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            calls_lost: figure(&self.calls_lost),
        }
    }

    /// Waits until nothing is left, or `within` has passed.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        let emptied = async {
            while !self.is_empty() {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::time::timeout(within, emptied).await.is_ok()
    }

    async fn collect_all(&self) {
        loop {
            self.is_busy.store(true, Ordering::SeqCst);
            self.take_in();
            while let Some(batch) = self.next() {
                self.submit(batch).await;
                self.take_in();
            }
            // After the rows, which bring the names.
            while let Some(batch) = self.next_networks() {
                self.note_networks(batch).await;
            }
            self.forget_networks().await;
            self.note_strays().await;
            self.forget_strays().await;
            self.is_busy.store(false, Ordering::SeqCst);
            // What is too old is forgotten where nothing comes, too.
            let _came = tokio::time::timeout(FORGET_EVERY, self.inbox.came()).await;
        }
    }

    fn take_in(&self) {
        let gathered = self.inbox.empty();
        let mut book = self.book();
        gathered.iter().for_each(|one| book.enter(one));
    }

    fn is_empty(&self) -> bool {
        self.inbox.is_empty() && !self.is_busy.load(Ordering::SeqCst) && self.book().is_empty()
    }

    /// Returns the batch that is on its way, or makes the next one.
    fn next(&self) -> Option<StatisticsBatch> {
        let mut under_way = self.under_way();
        if under_way.is_none() {
            let view = self.handle.view();
            let batch = self.book().next(&self.settings, &Names(view.read::<Statdb>()))?;
            let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
            *under_way = Some(StatisticsBatch { boot: self.boot.load(Ordering::SeqCst), sequence, ..batch });
        }
        under_way.clone()
    }

    async fn submit(&self, mut batch: StatisticsBatch) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let command = TakeStatistics { batch: batch.clone() };
            match self.handle.submit(command, &Caller::system()).await.map(|committed| committed.reply) {
                Ok(BatchReply::Applied | BatchReply::AlreadyApplied) => {
                    self.applied.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // The clock of this machine is behind what it was. Nothing of this start can have been taken in.
                Ok(BatchReply::Stale { boot }) => {
                    batch.boot = boot + 1;
                    self.boot.store(boot + 1, Ordering::SeqCst);
                    *self.under_way() = Some(batch.clone());
                }
                Err(SubmitError::Propose(cause)) => {
                    debug!(%cause, "statistics are not in the log yet");
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                Err(cause) => {
                    let whole = batch.rows.iter().filter(|(subject, _)| subject.aspect == Aspect::Whole);
                    let calls: u64 = whole.map(|(_, tally)| tally.calls).sum();
                    error!(%cause, calls, "statistics were refused: these calls are not counted");
                    self.calls_lost.fetch_add(calls, Ordering::Relaxed);
                    break;
                }
            }
        }
        *self.under_way() = None;
    }

    fn next_networks(&self) -> Option<NetworkBatch> {
        let view = self.handle.view();
        let (stat, today) = (view.read::<Statdb>(), u32::try_from(view.now().0 / DAY_MS).unwrap_or(u32::MAX));
        let Some(bounds) = self.settings.networks else {
            // They were kept once, and are not to be any more.
            let nothing = NetworkBounds { days: 0, per_application_max: 0, rows_max: 0 };
            let has_any = !stat.network_counts.is_empty();
            return has_any.then(|| NetworkBatch { bounds: nothing, networks: Vec::new() });
        };
        let is_noted = |application, network| {
            stat.caller_networks.get(&(application, network)).is_some_and(|known| known.day >= today)
        };
        self.book().next_networks(is_noted).map(|networks| NetworkBatch { bounds, networks })
    }

    /// Has networks forgotten from which nobody called for too long.
    async fn forget_networks(&self) {
        let Some(bounds) = self.settings.networks else { return };
        let mut before = None;
        while let Some(oldest) = self.oldest_network(&bounds).filter(|oldest| before.as_ref() != Some(oldest)) {
            before = Some(oldest);
            self.note_networks(NetworkBatch { bounds, networks: Vec::new() }).await;
        }
    }

    /// Returns the network that was called from the longest ago, where that is too long.
    fn oldest_network(&self, bounds: &NetworkBounds) -> Option<(u32, ApplicationId, CallerNetwork)> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let today = u32::try_from(since_1970.as_secs() / (DAY_MS / 1000)).unwrap_or(u32::MAX);
        let view = self.handle.view();
        let (oldest, ()) = view.read::<Statdb>().network_days.get_min()?;
        (oldest.0.saturating_add(bounds.days) < today).then_some(*oldest)
    }

    /// Brings a batch to the log. To note it twice is to note it once, so that it needs no number.
    async fn note_networks(&self, batch: NetworkBatch) {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            match self.handle.submit(NoteNetworks { batch: batch.clone() }, &Caller::system()).await {
                Ok(_) => return,
                Err(SubmitError::Propose(cause)) => {
                    debug!(%cause, "from where applications call is not in the log yet");
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                Err(cause) => {
                    error!(%cause, "from where applications call was refused");
                    return;
                }
            }
        }
    }

    /// Brings calls that led to no API to the log. Those that cannot be brought there are dropped: they are counted all the same.
    async fn note_strays(&self) {
        let kept_max = self.settings.strays_max;
        loop {
            let Some(calls) = self.book().next_strays() else { return };
            let first = self.strays.fetch_add(calls.len() as u64, Ordering::Relaxed);
            let calls = (first..).zip(calls).collect();
            let command = NoteStrayCalls { node: self.settings.node, calls, kept_max };
            if let Err(cause) = self.handle.submit(command, &Caller::system()).await {
                debug!(%cause, "calls that led to no API are not in the log");
            }
        }
    }

    /// Has calls that led to no API forgotten that are too old, or more than are kept any more.
    async fn forget_strays(&self) {
        let kept_max = self.settings.strays_max;
        let now = handle::wall_clock();
        if NoteStrayCalls::oldest_to_go(self.handle.view().read::<Statdb>(), kept_max, now).is_none() {
            return;
        }
        let command = NoteStrayCalls { node: self.settings.node, calls: Vec::new(), kept_max };
        if let Err(cause) = self.handle.submit(command, &Caller::system()).await {
            debug!(%cause, "calls that led to no API are not forgotten yet");
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, Option<StatisticsBatch>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names that the cluster has.
struct Names<'a>(&'a Statdb);

impl Known for Names<'_> {
    fn api(&self, api: &CalledApi) -> bool {
        self.0.apis.get(&api.id).is_some_and(|known| **known == *api)
    }

    fn application(&self, application: &CallingApplication) -> bool {
        self.0.applications.get(&application.id).is_some_and(|known| **known == *application)
    }
}
