//! Calls that have ended at one worker, until they are handed on with the next tick of its clock.

use std::sync::Arc;

use portcullis_model::port::CallEvents;
use portcullis_model::statistics::Fact;
use portcullis_model::{CallEvent, Timestamp};

use crate::gathering::{Ended, micros};
use crate::to_hand_on::ToHandOn;

/// Calls of one tick that are told of: more than a worker carries in it.
const ENDED_MAX: usize = 16_384;

/// The list.
pub(crate) struct EndedCalls {
    sink: Arc<dyn CallEvents>,
    events: ToHandOn<CallEvent>,
}

impl EndedCalls {
    pub(crate) fn new(sink: &Arc<dyn CallEvents>) -> Self {
        Self { sink: Arc::clone(sink), events: ToHandOn::new(ENDED_MAX) }
    }

    /// Notes a call: `fact` says what those that are alike have in common.
    pub(crate) fn push(&self, fact: &Fact, call: &Ended, now: Timestamp) {
        self.events.push(|| CallEvent {
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
        if let Some((events, dropped)) = self.events.take() {
            self.sink.take(events, dropped);
        }
    }
}
