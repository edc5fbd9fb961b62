//! Brings the node's reports to the log: stored before they are proposed, proposed in order, each until it is applied.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_database::counters::{ReportReply, Statement};
use portcullis_database::handle;
use portcullis_model::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::delivery::{Delivery, NotDelivered};
use crate::ledger::{Ledger, Opening};
use crate::store::Found;

/// How often a node reports, if there is something to say.
const TICK: Duration = Duration::from_millis(20);
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
}

struct Waiting {
    /// As it is stored.
    stored_as: (u64, u64),
    statement: Statement,
    is_ready: bool,
}

/// Everything about reporting that outlives a restart of the actor.
pub(crate) struct Reporter {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tally: Arc<Tally>,
    delivery: Delivery,
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
    pub(crate) fn new(ledger: Arc<Ledger>, delivery: Delivery, found: Found) -> Self {
        let tally = Arc::<Tally>::default();
        tally.lost.store(found.damaged, Ordering::Relaxed);
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

    /// Returns how many reports wait to be applied.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting().len()
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
            }
        }
    }

    async fn compose_one(&self) {
        let (count, is_replaying) = {
            let waiting = self.waiting();
            let own = self.incarnation.load(Ordering::SeqCst);
            (waiting.len(), waiting.iter().any(|one| one.statement.report.incarnation < own))
        };
        if is_replaying {
            return;
        }
        if count >= WAITING_MAX {
            if self.tally.held_back.fetch_add(1, Ordering::Relaxed).is_multiple_of(60) {
                warn!(reports = count, "the cluster takes no reports: usage gathers in memory");
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
        let stored_as = (statement.report.incarnation, statement.report.sequence);
        // In the queue first: what a report says counts as said, whatever becomes of this task.
        self.waiting().push_back(Waiting { stored_as, statement: statement.clone(), is_ready: false });
        if let Err(cause) = self.delivery.keep(&statement).await
            && self.tally.unstored.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000)
        {
            error!(%cause, "a report is proposed without being stored: a crash now would lose its usage");
        }
        if let Some(own) = self.waiting().iter_mut().find(|one| one.stored_as == stored_as) {
            own.is_ready = true;
        }
        self.ready.notify_one();
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

    /// Proposes reports in order, each until it is applied, for ever.
    async fn submit_all(&self) {
        loop {
            let first =
                self.waiting().front().filter(|one| one.is_ready).map(|one| (one.stored_as, one.statement.clone()));
            match first {
                None => self.ready.notified().await,
                Some((stored_as, statement)) => self.submit_one(stored_as, statement).await,
            }
        }
    }

    async fn submit_one(&self, stored_as: (u64, u64), mut statement: Statement) {
        let mut pause = RETRY_PAUSE_MIN;
        let (incarnation, sequence) = (statement.report.incarnation, statement.report.sequence);
        let is_replay = incarnation < self.incarnation.load(Ordering::SeqCst) && sequence > 0;
        loop {
            match self.delivery.submit(&statement).await {
                Ok(ReportReply::Applied | ReportReply::AlreadyApplied) => {
                    self.ledger.note_contact(if is_replay { Timestamp(0) } else { statement.report.time });
                    self.tally.applied.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(ReportReply::Stale { .. }) if is_replay => {
                    self.tally.lost.fetch_add(1, Ordering::Relaxed);
                    warn!(incarnation, "a stored report is older than what the log knows of this node");
                    break;
                }
                Ok(ReportReply::Stale { incarnation }) => {
                    statement.report.incarnation = self.go_past(incarnation).await;
                }
                Err(NotDelivered::Refused(cause)) => {
                    self.tally.lost.fetch_add(1, Ordering::Relaxed);
                    error!(cause, "a report was refused and its usage is not counted");
                    break;
                }
                Err(NotDelivered::NotNow(cause)) => {
                    tracing::debug!(cause, "a report is not in the log yet");
                    self.tally.retried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
        self.waiting().pop_front();
        self.applied.notify_one();
        if let Err(cause) = self.delivery.forget(stored_as.0, stored_as.1) {
            // It stays and is proposed again by the next start, which the log recognises.
            self.tally.unstored.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%cause, "an applied report stays in the message store");
        }
    }

    /// The log knows a later start of this node, because the message store was lost: becomes a later one still.
    async fn go_past(&self, known: u64) -> u64 {
        let next = self.incarnation.load(Ordering::SeqCst).max(known + 1);
        warn!(known, next, "the message store was lost; this start of the node gets a number the log does not know");
        if let Err(cause) = self.delivery.note_incarnation(next).await {
            error!(%cause, "the number of this start cannot be noted");
        }
        self.incarnation.store(next, Ordering::SeqCst);
        self.ledger.begin(next);
        for waiting in self.waiting().iter_mut() {
            waiting.statement.report.incarnation = next;
        }
        next
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
    Waiting { stored_as: (report.incarnation, report.sequence), statement, is_ready: true }
}
