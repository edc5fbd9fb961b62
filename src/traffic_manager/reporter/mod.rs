//! Brings the node's reports to the log: stored before they are proposed, proposed in order, each until it is applied.

mod submit;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_database::counters::Statement;
use portcullis_database::{codec, handle};
use portcullis_model::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::delivery::Delivery;
use crate::ledger::{Ledger, Opening};
use crate::messages::Observed;
use crate::store::{Found, StoreError};

/// How often a node reports, if there is something to say.
const TICK: Duration = Duration::from_millis(20);
/// The same while much is left of everything that is spent: each report costs the cluster a commit.
const TICK_CALM: Duration = Duration::from_millis(100);
/// How long a report waits for others' requests once one waits for a grant.
const GATHER: Duration = Duration::from_millis(1);
/// How often it reports while earlier reports wait, so that what waits stays little.
const TICK_BEHIND: Duration = Duration::from_millis(200);
/// The same while many wait: the cluster cannot be reached.
const TICK_FAR_BEHIND: Duration = Duration::from_secs(1);
const MANY: usize = 8;
/// Reports that wait, in memory and in the store. Beyond them usage gathers in the ledger, which does not grow.
const WAITING_MAX: usize = 1024;
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(5);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// How far ahead of the node's time the use of reserves is noted, and how soon before its end it is noted anew.
const CEILING_AHEAD: Duration = Duration::from_secs(15);
const CEILING_MARGIN: Duration = Duration::from_secs(5);
/// How long the node waits after a failure of the message store before it tries a new one.
const REOPEN_PAUSE: Duration = Duration::from_secs(10);

/// What the reporter counts, for metrics and alarms.
#[derive(Debug, Default)]
pub struct Tally {
    /// Reports applied.
    pub applied: AtomicU64,
    /// Proposals that had to be made again.
    pub retried: AtomicU64,
    /// Ticks without a report because too many wait: the cluster cannot be reached.
    pub held_back: AtomicU64,
    /// Reports whose usage could not be counted: damaged in the store, or of a start that the log had gone past.
    pub lost: AtomicU64,
    /// Reports that could not be made durable before they were proposed.
    pub unstored: AtomicU64,
    /// Message stores that were set aside because they were damaged.
    pub set_aside: AtomicU64,
    /// What was used at most and is not counted, because a message store was lost.
    pub lost_at_most: AtomicU64,
}

/// How the message store stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreStanding {
    /// Whether reports are made durable. Where they are not, usage is counted on, but a crash would lose what waits.
    pub is_writable: bool,
    /// Whether so much waits that no more is taken in: usage gathers in memory, where it does not grow.
    pub is_full: bool,
    /// Which start of the node this is.
    pub incarnation: u64,
    /// The number of the last report.
    pub sequence: u64,
    /// Bytes of the reports that wait.
    pub bytes: u64,
    /// The most that they may be.
    pub bytes_max: u64,
    /// Where a damaged store of this start was put.
    pub set_aside: Option<PathBuf>,
    /// The reports that wait to be applied, oldest first.
    pub waiting: Vec<WaitingReport>,
}

/// A report that is in the message store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WaitingReport {
    /// Which start of the node made it.
    pub incarnation: u64,
    /// Its number.
    pub sequence: u64,
    /// When it was made, by the node's clock.
    pub time: Timestamp,
    /// Of how many counters it tells.
    pub items: usize,
    /// How large it is.
    pub bytes: u64,
}

struct Waiting {
    /// As it is stored.
    stored_as: (u64, u64),
    statement: Statement,
    bytes: u64,
    is_ready: bool,
}

impl Waiting {
    fn new(statement: Statement, is_ready: bool) -> Self {
        let stored_as = (statement.report.incarnation, statement.report.sequence);
        let bytes = u64::try_from(codec::encoded_len(&statement)).unwrap_or(u64::MAX);
        Self { stored_as, statement, bytes, is_ready }
    }
}

/// Everything about reporting that outlives a restart of the actor.
pub(crate) struct Reporter {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
    delivery: Delivery,
    data_dir: PathBuf,
    store_bytes_max: u64,
    /// Whether the store takes writes, and when it failed.
    is_store_ok: AtomicBool,
    store_failed_at: Mutex<Option<Instant>>,
    set_aside: Mutex<Option<PathBuf>>,
    /// Whether a store was lost and it is not yet known what with it.
    is_loss_unknown: AtomicBool,
    opening: Opening,
    incarnation: AtomicU64,
    sequence: AtomicU64,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Told when a report may be proposed.
    ready: Notify,
    /// Told when a report was applied.
    applied: Notify,
    /// Told when the node stops.
    closing: Notify,
    is_closing: AtomicBool,
    is_drained: watch::Sender<bool>,
    is_ended: watch::Sender<bool>,
}

impl Reporter {
    pub(crate) fn new(ledger: Arc<Ledger>, delivery: Delivery, found: Found, settings: &crate::Settings) -> Self {
        let tally = Arc::<Tally>::default();
        tally.lost.store(found.damaged, Ordering::Relaxed);
        tally.set_aside.store(u64::from(found.set_aside.is_some()), Ordering::Relaxed);
        let opening = Opening { reserve_from: found.ceiling, is_store_new: found.is_new };
        let waiting: VecDeque<Waiting> = found.statements.into_iter().map(replay).collect();
        if !waiting.is_empty() {
            info!(reports = waiting.len(), "reports of an earlier start are proposed again");
        }
        ledger.begin(found.incarnation);
        Self {
            ledger,
            tally,
            delivery,
            data_dir: settings.data_dir.clone(),
            store_bytes_max: settings.store_bytes_max,
            is_store_ok: AtomicBool::new(true),
            store_failed_at: Mutex::new(None),
            is_loss_unknown: AtomicBool::new(found.set_aside.is_some()),
            set_aside: Mutex::new(found.set_aside),
            opening,
            incarnation: AtomicU64::new(found.incarnation),
            sequence: AtomicU64::new(0),
            waiting: Mutex::new(waiting),
            ready: Notify::new(),
            applied: Notify::new(),
            closing: Notify::new(),
            is_closing: AtomicBool::new(false),
            is_drained: watch::Sender::new(false),
            is_ended: watch::Sender::new(false),
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how everything stands.
    pub(crate) fn observe(&self) -> Observed {
        let (allowances, allowances_refused) = self.ledger.size();
        let (count, bytes) = {
            let waiting = self.waiting();
            (waiting.len(), waiting.iter().map(|one| one.bytes).sum())
        };
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Observed {
            allowances: u64::try_from(allowances).unwrap_or(u64::MAX),
            allowances_refused,
            reports_applied: figure(&self.tally.applied),
            reports_retried: figure(&self.tally.retried),
            reports_waiting: u64::try_from(count).unwrap_or(u64::MAX),
            reports_lost: figure(&self.tally.lost),
            reports_unstored: figure(&self.tally.unstored),
            ticks_held_back: figure(&self.tally.held_back),
            store_bytes: bytes,
            is_store_full: is_full(count, bytes, self.store_bytes_max),
            is_store_writable: self.is_store_ok.load(Ordering::SeqCst),
            stores_set_aside: figure(&self.tally.set_aside),
            usage_lost_at_most: figure(&self.tally.lost_at_most),
        }
    }

    /// Returns how the message store stands.
    pub(crate) fn store_standing(&self) -> StoreStanding {
        let waiting: Vec<WaitingReport> = self.waiting().iter().map(WaitingReport::of).collect();
        let bytes = waiting.iter().map(|report| report.bytes).sum();
        StoreStanding {
            is_writable: self.is_store_ok.load(Ordering::SeqCst),
            is_full: is_full(waiting.len(), bytes, self.store_bytes_max),
            incarnation: self.incarnation.load(Ordering::SeqCst),
            sequence: self.sequence.load(Ordering::SeqCst),
            bytes,
            bytes_max: self.store_bytes_max,
            set_aside: self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            waiting,
        }
    }

    /// Ends both loops, at whatever they wait for.
    pub(crate) fn end(&self) {
        self.is_ended.send_replace(true);
    }

    /// Makes, stores and proposes reports until the end.
    pub(crate) async fn run(&self) {
        let mut ended = self.is_ended.subscribe();
        tokio::select! {
            // The sender is a field of this value, so waiting ends only at the end.
            _ = ended.wait_for(|ended| *ended) => {}
            ((), ()) = async { tokio::join!(self.compose_all(), self.submit_all()) } => {}
        }
    }

    /// Makes and stores reports, for ever.
    async fn compose_all(&self) {
        loop {
            self.wait_for_turn(Instant::now()).await;
            self.compose_one().await;
        }
    }

    /// Waits until the next report is to be made; the one before was made at `since`.
    async fn wait_for_turn(&self, since: Instant) {
        loop {
            let count = self.waiting().len();
            let tick = match count {
                // One is on its way as a rule.
                0..=1 if self.ledger.is_calm() => TICK_CALM,
                0..=1 => TICK,
                2..MANY => TICK_BEHIND,
                _ => TICK_FAR_BEHIND,
            };
            tokio::select! {
                () = tokio::time::sleep_until(since + tick) => return,
                () = self.ledger.hurried(), if count < 2 => return tokio::time::sleep(GATHER).await,
                () = self.closing.notified() => return,
                // Fewer wait now, so the turn comes earlier.
                () = self.applied.notified() => {}
                () = self.ledger.calm_ended() => {}
            }
        }
    }

    async fn compose_one(&self) {
        let (count, bytes, is_replaying) = {
            let waiting = self.waiting();
            let own = self.incarnation.load(Ordering::SeqCst);
            let bytes: u64 = waiting.iter().map(|one| one.bytes).sum();
            (waiting.len(), bytes, waiting.iter().any(|one| one.statement.report.incarnation < own))
        };
        if is_replaying {
            return;
        }
        if is_full(count, bytes, self.store_bytes_max) {
            if self.tally.held_back.fetch_add(1, Ordering::Relaxed).is_multiple_of(60) {
                warn!(
                    reports = count,
                    bytes, "the message store is full, because the cluster takes no reports: usage gathers in memory"
                );
            }
            return;
        }
        self.keep_ceiling().await;
        let sequence = self.sequence.load(Ordering::SeqCst) + 1;
        let Some(statement) = self.ledger.compose(handle::wall_clock(), sequence, self.opening) else {
            if self.is_closing.load(Ordering::SeqCst) && count == 0 {
                self.is_drained.send_replace(true);
            }
            return;
        };
        self.sequence.store(sequence, Ordering::SeqCst);
        // In the queue first: what a report says counts as said, whatever becomes of this task.
        let waiting = Waiting::new(statement.clone(), false);
        let stored_as = waiting.stored_as;
        self.waiting().push_back(waiting);
        self.append(&statement).await;
        if let Some(own) = self.waiting().iter_mut().find(|one| one.stored_as == stored_as) {
            own.is_ready = true;
        }
        self.ready.notify_one();
    }

    /// Makes a report durable, if that can be done.
    async fn append(&self, statement: &Statement) {
        let outcome = self.delivery.keep(statement).await;
        self.is_store_ok.store(outcome.is_ok(), Ordering::SeqCst);
        let Err(cause) = outcome else { return };
        if self.tally.unstored.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            error!(%cause, "a report is proposed without being stored: a crash now would lose its usage");
        }
        if matches!(cause, StoreError::Stopped) {
            self.replace_store().await;
        }
    }

    /// The store's engine has failed: sets it aside, begins a new one, and makes durable there what waits.
    async fn replace_store(&self) {
        {
            let mut failed_at = self.store_failed_at.lock().unwrap_or_else(PoisonError::into_inner);
            if failed_at.is_some_and(|at| at.elapsed() < REOPEN_PAUSE) {
                return;
            }
            *failed_at = Some(Instant::now());
        }
        let (incarnation, ceiling) = (self.incarnation.load(Ordering::SeqCst), self.ledger.ceiling());
        let aside = match self.delivery.replace_store(&self.data_dir, incarnation, ceiling).await {
            Some(Ok(aside)) => aside,
            Some(Err(cause)) => return error!(%cause, "no new message store can be begun: usage is counted, unstored"),
            None => return,
        };
        error!(aside = %aside.display(), "the message store has failed; it is set aside and a new one is begun");
        self.tally.set_aside.fetch_add(1, Ordering::Relaxed);
        *self.set_aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(aside);
        let waiting: Vec<Statement> = self.waiting().iter().map(|one| one.statement.clone()).collect();
        for statement in &waiting {
            if self.delivery.keep(statement).await.is_err() {
                return;
            }
        }
        self.is_store_ok.store(true, Ordering::SeqCst);
    }

    /// Notes durably how far the reserve may be used, before it is used that far.
    async fn keep_ceiling(&self) {
        let now = self.ledger.advance(handle::wall_clock());
        if now.after(CEILING_MARGIN) <= self.ledger.ceiling() {
            return;
        }
        let ceiling = now.after(CEILING_AHEAD);
        match self.delivery.note_ceiling(ceiling).await {
            Ok(()) => self.ledger.raise_ceiling(ceiling),
            Err(cause) => {
                if self.tally.unstored.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
                    error!(%cause, "the reserve of new windows is not used: it cannot be noted durably");
                }
            }
        }
    }

    /// Gives up everything held and waits until the log knows, or `deadline` has passed.
    pub(crate) async fn drain(&self, deadline: Duration) -> bool {
        self.ledger.close();
        self.is_closing.store(true, Ordering::SeqCst);
        self.closing.notify_one();
        let mut drained = self.is_drained.subscribe();
        let is_drained = tokio::time::timeout(deadline, drained.wait_for(|drained| *drained)).await;
        matches!(is_drained, Ok(Ok(_)))
    }
}

/// A report of an earlier start: its usage counts, but it asks for nothing.
fn replay(mut statement: Statement) -> Waiting {
    let report = &mut statement.report;
    for item in &mut report.items {
        item.ask = 0;
    }
    Waiting::new(statement, true)
}

fn is_full(reports: usize, bytes: u64, bytes_max: u64) -> bool {
    reports >= WAITING_MAX || bytes >= bytes_max
}

impl WaitingReport {
    fn of(waiting: &Waiting) -> Self {
        let (incarnation, sequence) = waiting.stored_as;
        Self { incarnation, sequence, bytes: waiting.bytes, ..Self::of_statement(&waiting.statement) }
    }

    /// Describes a statement.
    pub(crate) fn of_statement(statement: &Statement) -> Self {
        let report = &statement.report;
        Self {
            incarnation: report.incarnation,
            sequence: report.sequence,
            time: report.time,
            items: report.items.len(),
            bytes: u64::try_from(codec::encoded_len(statement)).unwrap_or(u64::MAX),
        }
    }
}
