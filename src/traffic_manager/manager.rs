//! The Traffic Manager's actor: runs the reporter, answers how it stands, and drains at the end. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::fut::wrap_future;
use actix::{Actor, AsyncContext as _, Context, Handler, ResponseFuture};

use crate::messages::{Drain, Observe, Observed};
use crate::reporter::Reporter;

/// The actor.
pub struct TrafficManager {
    reporter: Arc<Reporter>,
}

impl TrafficManager {
    pub(crate) fn new(reporter: Arc<Reporter>) -> Self {
        Self { reporter }
    }
}

impl Actor for TrafficManager {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let reporter = Arc::clone(&self.reporter);
        context.spawn(wrap_future(async move { reporter.run().await }));
    }
}

impl Handler<Observe> for TrafficManager {
    type Result = Observed;

    fn handle(&mut self, _message: Observe, _context: &mut Context<Self>) -> Observed {
        let tally = &self.reporter.tally;
        let (allowances, refused) = self.reporter.ledger.size();
        Observed {
            allowances: u64::try_from(allowances).unwrap_or(u64::MAX),
            allowances_refused: refused,
            reports_applied: tally.applied.load(Ordering::Relaxed),
            reports_retried: tally.retried.load(Ordering::Relaxed),
            reports_waiting: u64::try_from(self.reporter.waiting_count()).unwrap_or(u64::MAX),
            reports_lost: tally.lost.load(Ordering::Relaxed),
            reports_unstored: tally.unstored.load(Ordering::Relaxed),
            ticks_held_back: tally.held_back.load(Ordering::Relaxed),
        }
    }
}

impl Handler<Drain> for TrafficManager {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: Drain, _context: &mut Context<Self>) -> ResponseFuture<bool> {
        let reporter = Arc::clone(&self.reporter);
        Box::pin(async move { reporter.drain(message.within).await })
    }
}
