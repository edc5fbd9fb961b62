//! The Traffic Manager's actor: runs the reporter, answers how it stands, and drains at the end. It decides nothing.

use std::sync::Arc;

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
        self.reporter.observe()
    }
}

impl Handler<Drain> for TrafficManager {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: Drain, _context: &mut Context<Self>) -> ResponseFuture<bool> {
        let reporter = Arc::clone(&self.reporter);
        Box::pin(async move { reporter.drain(message.within).await })
    }
}
