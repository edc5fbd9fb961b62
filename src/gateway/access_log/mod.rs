//! The access log: one line for each call, begun when its answer begins and ended with it. A worker gathers lines and hands
//! them on with the next tick of its clock, or when they are many; a call waits for no file.

mod line;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use portcullis_model::access_log::AccessLog;

pub(crate) use line::{Line, Said};

use crate::sampling::Sampler;

/// Bytes of lines that are handed on before the tick.
const HANDED_ON_BYTES: usize = 64 << 10;
/// Bytes of a line at most, but for what JSON writes in other words.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Gathers the lines of a worker.
pub(crate) struct AccessLogger {
    settings: AccessLog,
    sampler: Sampler,
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    dropped: Cell<u64>,
}

impl AccessLogger {
    /// Begins with random bytes, other for each worker.
    pub(crate) fn new(settings: AccessLog, random: [u8; 8]) -> Self {
        let sampler = Sampler::new(settings.sampled_per_million, random);
        Self { settings, sampler, lines: RefCell::default(), count: Cell::new(0), dropped: Cell::new(0) }
    }

    /// Draws whether a call is to have a line.
    pub(crate) fn chooses(&self) -> bool {
        self.sampler.chooses()
    }

    /// Begins the line of a call that is to have one; `None` where it would be too long.
    pub(crate) fn begin(&self, said: &Said<'_>) -> Option<Line> {
        let line = Line::begin(self.settings.form, said);
        if line.bytes() > LINE_BYTES_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return None;
        }
        Some(line)
    }

    /// Ends a line, now that it is known how many bytes of the answer's body went out and how long all of it took.
    pub(crate) fn end(&self, line: &Line, response_bytes: u64, took: Duration) {
        let mut lines = self.lines.borrow_mut();
        line.end(self.settings.form, response_bytes, took, &mut lines);
        self.count.set(self.count.get() + 1);
        let is_much = lines.len() >= HANDED_ON_BYTES;
        drop(lines);
        if is_much {
            self.hand_on();
        }
    }

    /// Hands on what there is.
    pub(crate) fn hand_on(&self) {
        let (lines, count, dropped) = (self.lines.take(), self.count.take(), self.dropped.take());
        if count > 0 || dropped > 0 {
            self.settings.sink.take(lines, count, dropped);
        }
    }
}
