//! One call from its request to the last byte of its answer, as far as it is counted.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use portcullis_model::span::CallTrace;
use tracing::debug;

use crate::access_log::Line;
use crate::client::Client;
use crate::gathering::{Begun, Ended};
use crate::held::Held;
use crate::meter::{Measured, Measuring, Meter};
use crate::trace::Trace;
use crate::upstream::UpstreamError;
use crate::upstream::coming::Coming;
use crate::worker::Worker;

/// A call in progress. It ends when this is dropped: with the answer's body, or when the client goes away before.
pub(crate) struct Call {
    worker: Rc<Worker>,
    client: Rc<Client>,
    began: Instant,
    status: Cell<u16>,
    /// How long it took until the answer began, where all of it was at hand then: the end is no later.
    took: Cell<Option<Duration>>,
    /// Bytes of the answer's body that went to the client.
    passed: Cell<u64>,
    /// Where the call counts in the statistics, and what is known of it.
    counted: Cell<Option<(usize, Ended)>>,
    /// Bytes of a request's body whose length was not announced.
    sent: OnceCell<Rc<Cell<u64>>>,
    /// What counts the cost of the call that is known late, where a limit counts any.
    meter: OnceCell<Rc<Meter>>,
    /// Its spans, where it is traced.
    traced: OnceCell<Box<(Rc<Trace>, CallTrace)>>,
    /// Its line in the access log, where it has one.
    logged: OnceCell<Box<Line>>,
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
            took: Cell::new(None),
            passed: Cell::new(0),
            counted: Cell::new(None),
            sent: OnceCell::new(),
            meter: OnceCell::new(),
            traced: OnceCell::new(),
            logged: OnceCell::new(),
        }
    }

    /// Has the rest of the call's cost counted.
    pub(crate) fn is_measured_by(&self, meter: Rc<Meter>) {
        // A call has one at most.
        self.meter.get_or_init(|| meter);
    }

    /// Has its spans told when it ends.
    pub(crate) fn is_traced(&self, trace: Rc<Trace>, spans: CallTrace) {
        // A call has one answer.
        self.traced.get_or_init(|| Box::new((trace, spans)));
    }

    /// Has its line in the access log ended when it ends.
    pub(crate) fn is_logged(&self, line: Line) {
        // A call has one answer.
        self.logged.get_or_init(|| Box::new(line));
    }

    /// Counts a piece of the answer's body before it goes to the client.
    pub(crate) fn measure(&self, piece: Bytes) -> Result<Measured, Measuring> {
        match self.meter.get() {
            Some(meter) => meter.measure(piece),
            None => Ok(Measured::Whole(piece)),
        }
    }

    /// Counts what goes to the client.
    pub(crate) fn passes(&self, piece: &Bytes) {
        self.passed.set(self.passed.get() + piece.len() as u64);
    }

    /// Finds where the call counts in the statistics, now that its answer begins.
    pub(crate) fn counts_as(&self, begun: &Begun<'_>, ended: Ended, sent: Option<&Rc<Cell<u64>>>) {
        let Some(gathering) = &self.worker.gathering else { return };
        let place = gathering.begin(begun);
        self.client.is_counted_at(place);
        self.counted.set(Some((place, ended)));
        if let Some(sent) = sent {
            self.sent.get_or_init(|| Rc::clone(sent));
        }
    }

    /// Counts the call, told apart where it is gathered for statistics.
    fn is_counted(&self, took: Duration) {
        self.worker.counters.requests_in_progress.subtract(1);
        let Some(gathering) = &self.worker.gathering else {
            self.worker.counters.untold.answered(self.status.get(), took);
            return;
        };
        let (place, ended) = self.counted.take().unwrap_or_else(|| {
            // The client went away before anything was known.
            let ended = Ended { total: took, ..Ended::default() };
            (gathering.begin(&Begun::default()), ended)
        });
        let request_bytes = self.sent.get().map_or(ended.request_bytes, |sent| sent.get());
        let (status, response_bytes) = (self.status.get(), self.passed.get());
        let ended = Ended { status, took, request_bytes, response_bytes, ..ended };
        gathering.end(place, &ended, self.worker.clock.ticked());
    }

    /// Says whether the client has other calls on the same connection at a time.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.client.has_many_calls()
    }

    /// Has an answer watched that its client may stop taking.
    pub(crate) fn hold(&self, coming: Coming) -> Rc<Held> {
        self.worker.offers.hold(coming, self.worker.settings.client.slowest_answer(), self.now_ms())
    }

    /// Returns the worker's time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.worker.alarms.now_ms()
    }

    /// Notes that the head of the answer is made.
    pub(crate) fn answers(&self, status: StatusCode) {
        self.status.set(status.as_u16());
    }

    /// Notes that all of the answer was at hand after this time.
    pub(crate) fn is_over(&self, took: Duration) {
        // Its cost may have to be had first.
        if self.meter.get().is_none() {
            self.took.set(Some(took));
        }
    }

    /// Notes that the answer broke off.
    pub(crate) fn answer_broke(&self, error: &UpstreamError) {
        self.worker.counters.upstream_errors.add(1);
        debug!(%error, "answer of a backend broke off");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.took.get().unwrap_or_else(|| self.began.elapsed());
        self.is_counted(took);
        if let (Some(traced), Some(tracer)) = (self.traced.take(), &self.worker.tracer) {
            let (trace, spans) = *traced;
            trace.end(tracer, spans);
        }
        if let (Some(line), Some(log)) = (self.logged.get(), &self.worker.access_log) {
            log.end(line, self.passed.get(), took);
        }
        self.client.call_ends(self.worker.alarms.now_ms());
    }
}
