//! Calls that have ended at one worker, until they are handed on with the next tick of its clock: a call costs a place in
//! a list, without a lock or a message. The list is bounded; what is beyond is counted.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use portcullis_model::port::CallEvents;
use portcullis_model::statistics::Fact;
use portcullis_model::{CallEvent, Timestamp};

use crate::gathering::{Ended, micros};

/// Calls of one tick that are told of: more than a worker carries in it.
const ENDED_MAX: usize = 16_384;

/// The list.
pub(crate) struct EndedCalls {
    sink: Arc<dyn CallEvents>,
    events: RefCell<Vec<CallEvent>>,
    dropped: Cell<u64>,
}

impl EndedCalls {
    pub(crate) fn new(sink: &Arc<dyn CallEvents>) -> Self {
        Self { sink: Arc::clone(sink), events: RefCell::default(), dropped: Cell::new(0) }
    }

    /// Notes a call: `fact` says what those that are alike have in common.
    pub(crate) fn push(&self, fact: &Fact, call: &Ended, now: Timestamp) {
        let mut events = self.events.borrow_mut();
        if events.len() >= ENDED_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        events.push(CallEvent {
            at: now,
            api: fact.api.clone(),
            resource: fact.resource.clone(),
            caller: fact.caller.clone(),
            destination: fact.destination.clone(),
            agent: fact.agent,
            country: fact.country,
            code: fact.code,
            status: call.status,
            took_us: micros(call.total),
            upstream_us: call.upstream.map(micros),
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            is_from_cache: call.is_from_cache,
        });
    }

    /// Hands on what there is.
    pub(crate) fn hand_on(&self) {
        let (events, dropped) = (self.events.take(), self.dropped.take());
        if !events.is_empty() || dropped > 0 {
            self.sink.take(events, dropped);
        }
    }
}
