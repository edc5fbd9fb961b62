//! One call from its request to the last byte of its answer, as far as it is counted.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use http::StatusCode;
use tracing::debug;

use crate::client::Client;
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// A call in progress. It ends when this is dropped: with the answer's body, or when the client goes away before.
pub(crate) struct Call {
    worker: Rc<Worker>,
    client: Rc<Client>,
    began: Instant,
    status: Cell<u16>,
}

impl Call {
    pub(crate) fn begin(worker: &Rc<Worker>, client: &Rc<Client>, began: Instant) -> Self {
        worker.counters.requests.add(1);
        worker.counters.requests_in_progress.add(1);
        client.call_begins();
        Self { worker: Rc::clone(worker), client: Rc::clone(client), began, status: Cell::new(0) }
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
