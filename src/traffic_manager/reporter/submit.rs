//! Proposes stored reports in order, each until it is applied.

use std::sync::atomic::Ordering;

use portcullis_database::counters::{Holding, ReportReply, Statement};
use portcullis_model::Timestamp;
use portcullis_model::mutant::{self, Mutant};
use tracing::{error, warn};

use crate::delivery::NotDelivered;

use super::{RETRY_PAUSE_MAX, RETRY_PAUSE_MIN, Reporter};

impl Reporter {
    /// Proposes reports in order, each until it is applied, for ever.
    pub(super) async fn submit_all(&self) {
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
                    self.estimate_loss(statement.report.incarnation);
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
                Err(NotDelivered::NotNow(_)) if mutant::is(Mutant::ForgetReports) => break,
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

    /// Where the message store was lost: what earlier starts of the node held and had not reported as spent is the most
    /// that was used and is not counted.
    fn estimate_loss(&self, incarnation: u64) {
        if !self.is_loss_unknown.swap(false, Ordering::SeqCst) {
            return;
        }
        let Some(handle) = self.delivery.handle() else { return };
        let view = handle.view();
        let me = self.ledger.node();
        let held = view.counters().counters.values().filter_map(|counter| counter.holdings.get(me));
        let unknown = held.filter(|holding| holding.incarnation < incarnation).map(Holding::unspent);
        let at_most = unknown.fold(0_u64, u64::saturating_add);
        self.tally.lost_at_most.fetch_add(at_most, Ordering::Relaxed);
        error!(at_most, "the message store was lost: so much may have been used in open windows and is not counted");
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
}
