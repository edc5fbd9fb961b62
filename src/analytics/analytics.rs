//! The actor of Analytics: runs the collector, answers how it stands, and empties it at the end. It decides nothing.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, AsyncContext as _, Context, Handler, ResponseFuture};

use crate::collector::Collector;
use crate::messages::{Drain, Observe, Observed};

/// The actor.
pub struct Analytics {
    collector: Arc<Collector>,
}

impl Analytics {
    pub(crate) fn new(collector: Arc<Collector>) -> Self {
        Self { collector }
    }
}

impl Actor for Analytics {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let collector = Arc::clone(&self.collector);
        context.spawn(wrap_future(async move { collector.run().await }));
    }
}

impl Handler<Observe> for Analytics {
    type Result = Observed;

    fn handle(&mut self, _message: Observe, _context: &mut Context<Self>) -> Observed {
        self.collector.observe()
    }
}

impl Handler<Drain> for Analytics {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: Drain, _context: &mut Context<Self>) -> ResponseFuture<bool> {
        let collector = Arc::clone(&self.collector);
        Box::pin(async move { collector.drain(message.within).await })
    }
}
