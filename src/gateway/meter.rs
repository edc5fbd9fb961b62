//! What a call turns out to cost beyond what was taken for it at first: bytes of bodies, server-sent events, tokens of
//! AI models. It is debited as it becomes known, at the latest when the call ends.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use portcullis_model::{QuotaUnit, Timestamp};
use tracing::debug;

use crate::events::Events;
use crate::quota::{Cost, Limit, Limits};
use crate::token_places::{TokenPlaces, TokenScan};
use crate::usage::Usage;
use crate::worker::Worker;

/// Bytes that may be counted and not yet debited, so that a long transfer is felt by others while it lasts.
const BYTES_PER_DEBIT: u64 = 64 << 10;
/// What one more event costs.
const EVENT: Cost = Cost { requests: 0, bytes: 0, events: 1, prompt_tokens: 0, completion_tokens: 0, tokens: 0 };
/// The units in which tokens of models are counted.
const TOKENS: [QuotaUnit; 3] = [QuotaUnit::Tokens, QuotaUnit::PromptTokens, QuotaUnit::CompletionTokens];

/// A limit that counts what is known late.
pub(crate) struct Late {
    pub(crate) limit: Rc<Limit>,
    /// What was taken for the call and is not used up yet.
    pub(crate) taken: Cell<u64>,
    /// The window it was taken in; `None` where nothing could be taken and the call passed all the same.
    pub(crate) window: Option<u64>,
}

/// Counts the cost of one call as it becomes known.
pub(crate) struct Meter {
    worker: Rc<Worker>,
    late: Vec<Late>,
    /// The limits of events among them.
    event_limits: Limits,
    is_first_event: Cell<bool>,
    /// Bytes of the request's body that went to the backend.
    sent: Rc<Cell<u64>>,
    /// Bytes of the answer's body.
    received: Cell<u64>,
    /// Bytes of both that are debited.
    debited: Cell<u64>,
    events: RefCell<Option<Events>>,
    usage: RefCell<Option<Usage>>,
}

/// What becomes of a piece of an answer's body.
pub(crate) enum Measured {
    /// It goes to the client.
    Whole(Bytes),
    /// This much of it goes to the client, and the answer ends with it: a quota of events is used up.
    Last(Bytes),
}

/// A piece whose events wait for a grant.
pub(crate) type Measuring = Pin<Box<dyn Future<Output = Measured>>>;

impl Meter {
    pub(crate) fn new(worker: &Rc<Worker>, late: Vec<Late>) -> Self {
        let of_events = late.iter().filter(|late| late.limit.unit() == QuotaUnit::Events);
        Self {
            worker: Rc::clone(worker),
            event_limits: Limits::new(of_events.map(|late| Rc::clone(&late.limit))),
            late,
            is_first_event: Cell::new(true),
            sent: Rc::default(),
            received: Cell::new(0),
            debited: Cell::new(0),
            events: RefCell::new(None),
            usage: RefCell::new(None),
        }
    }

    fn counts(&self, unit: QuotaUnit) -> bool {
        self.late.iter().any(|late| late.limit.unit() == unit)
    }

    /// Says whether tokens of AI models are counted, for which the answer must be read.
    pub(crate) fn counts_tokens(&self) -> bool {
        TOKENS.into_iter().any(|unit| self.counts(unit))
    }

    /// Returns what counts the bytes of the request's body as they go to the backend.
    pub(crate) fn sent(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.sent)
    }

    /// Learns from the head of an answer what is to be looked for in its body, and of an AI API where.
    pub(crate) fn begin(&self, headers: &HeaderMap, places: Option<&Arc<TokenPlaces>>) {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_encoded = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity");
        let is_stream = starts_with(content_type, b"text/event-stream");
        if is_stream && !is_encoded && self.counts(QuotaUnit::Events) {
            *self.events.borrow_mut() = Some(Events::default());
        }
        if !self.counts_tokens() {
            return;
        }
        if is_encoded {
            debug!("tokens not counted: the answer is compressed although the backend was asked not to");
        } else if is_stream || starts_with(content_type, b"application/") {
            let scan = places.map(|places| TokenScan::begin(places, headers));
            *self.usage.borrow_mut() = Some(Usage::begin(headers, scan));
        }
    }

    /// Counts a piece of the answer's body before it goes to the client.
    ///
    /// # Errors
    /// What is to be waited for first.
    pub(crate) fn measure(self: &Rc<Self>, piece: Bytes) -> Result<Measured, Measuring> {
        let now = self.worker.clock.now().timestamp;
        self.received.set(self.received.get() + piece.len() as u64);
        if self.moved() - self.debited.get() >= BYTES_PER_DEBIT {
            self.debit_bytes(now);
        }
        if let Some(usage) = &mut *self.usage.borrow_mut() {
            usage.read(&piece);
        }
        let begins = match &mut *self.events.borrow_mut() {
            Some(events) => events.begins_in(&piece),
            None => return Ok(Measured::Whole(piece)),
        };
        for (number, &at) in begins.iter().enumerate() {
            if self.is_first_event.replace(false) {
                self.pay(QuotaUnit::Events, 1, now);
                continue;
            }
            match self.event_limits.take_now(&EVENT, now) {
                Some(Ok(())) => {}
                Some(Err(_)) => return Ok(self.cut(&piece, at)),
                None => {
                    let meter = Rc::clone(self);
                    let begins = begins[number..].to_vec();
                    return Err(Box::pin(async move { meter.take_events(piece, &begins).await }));
                }
            }
        }
        Ok(Measured::Whole(piece))
    }

    /// Takes events one by one and waits for grants.
    async fn take_events(&self, piece: Bytes, begins: &[usize]) -> Measured {
        for &at in begins {
            let now = self.worker.clock.now().timestamp;
            if self.event_limits.take(&self.worker, &EVENT, now).await.is_err() {
                return self.cut(&piece, at);
            }
        }
        Measured::Whole(piece)
    }

    fn cut(&self, piece: &Bytes, at: usize) -> Measured {
        self.worker.counters.refused_quota.add(1);
        Measured::Last(piece.slice(..at))
    }

    /// Returns the bytes that went both ways.
    fn moved(&self) -> u64 {
        self.sent.get() + self.received.get()
    }

    fn debit_bytes(&self, now: Timestamp) {
        let moved = self.moved();
        let more = moved - self.debited.replace(moved);
        self.pay(QuotaUnit::Bytes, more, now);
    }

    /// Pays from what was taken first, and debits the rest.
    fn pay(&self, unit: QuotaUnit, amount: u64, now: Timestamp) {
        for late in self.late.iter().filter(|late| late.limit.unit() == unit) {
            let from_taken = late.taken.get().min(amount);
            late.taken.set(late.taken.get() - from_taken);
            if amount > from_taken {
                late.limit.debit(amount - from_taken, now);
            }
        }
    }
}

impl Drop for Meter {
    /// Debits what is not yet, and gives back what was taken and not used: the call has ended.
    fn drop(&mut self) {
        let now = self.worker.clock.now().timestamp;
        self.debit_bytes(now);
        if let Some(usage) = self.usage.take() {
            let counts = [usage.total(), usage.prompt(), usage.completion()];
            TOKENS.into_iter().zip(counts).for_each(|(unit, count)| self.pay(unit, count, now));
        }
        for late in &self.late {
            if let Some(window) = late.window.filter(|_| late.taken.get() > 0) {
                late.limit.give_back(late.taken.replace(0), window);
            }
        }
    }
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Drives a measuring to its end.
pub(crate) fn poll(waiting: &mut Option<Measuring>, cx: &mut Context<'_>) -> Poll<Option<Measured>> {
    let Some(measuring) = waiting else { return Poll::Ready(None) };
    let measured = ready!(measuring.as_mut().poll(cx));
    *waiting = None;
    Poll::Ready(Some(measured))
}
