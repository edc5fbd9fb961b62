//! One call from its request to the last byte of its answer, as far as it is counted.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use tracing::debug;

use crate::client::Client;
use crate::held::Held;
use crate::meter::{Measured, Measuring, Meter};
use crate::upstream::UpstreamError;
use crate::upstream::coming::Coming;
use crate::worker::Worker;

/// A call in progress. It ends when this is dropped: with the answer's body, or when the client goes away before.
pub(crate) struct Call {
    worker: Rc<Worker>,
    client: Rc<Client>,
    began: Instant,
    status: Cell<u16>,
    /// What counts the cost of the call that is known late, where a limit counts any.
    meter: OnceCell<Rc<Meter>>,
}

impl Call {
    pub(crate) fn begin(worker: &Rc<Worker>, client: &Rc<Client>, began: Instant) -> Self {
        worker.counters.requests.add(1);
        worker.counters.requests_in_progress.add(1);
        client.call_begins();
        Self {
            worker: Rc::clone(worker),
            client: Rc::clone(client),
            began,
            status: Cell::new(0),
            meter: OnceCell::new(),
        }
    }

    /// Has the rest of the call's cost counted.
    pub(crate) fn is_measured_by(&self, meter: Rc<Meter>) {
        // A call has one at most.
        self.meter.get_or_init(|| meter);
    }

    /// Counts a piece of the answer's body before it goes to the client.
    pub(crate) fn measure(&self, piece: Bytes) -> Result<Measured, Measuring> {
        match self.meter.get() {
            Some(meter) => meter.measure(piece),
            None => Ok(Measured::Whole(piece)),
        }
    }

    /// Says whether the client has other calls on the same connection at a time.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.client.has_many_calls()
    }

    /// Has an answer watched that its client may stop taking.
    pub(crate) fn hold(&self, coming: Coming) -> Rc<Held> {
        self.worker.offers.hold(coming, self.now_ms())
    }

    /// Returns the worker's time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.worker.alarms.now_ms()
    }

    /// Notes that the head of the answer is made.
    pub(crate) fn answers(&self, status: StatusCode) {
        self.status.set(status.as_u16());
    }

    /// Notes that the answer broke off.
    pub(crate) fn answer_broke(&self, error: &UpstreamError) {
        self.worker.counters.upstream_errors.add(1);
        debug!(%error, "answer of a backend broke off");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.worker.counters.answered(self.status.get(), self.began.elapsed());
        self.client.call_ends(self.worker.alarms.now_ms());
    }
}
