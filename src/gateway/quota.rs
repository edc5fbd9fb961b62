//! How often: takes a call from the quotas that apply to it.
//!
//! It does not count across nodes: an allowance is what this node may still spend, and the Traffic Manager fills it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{Allowance, Taken};
use portcullis_model::{QuotaUnit, Timestamp};

use crate::meter::{Late, Meter};
use crate::metrics::Decisions;
use crate::off_path;
use crate::refusal::Refusal;
use crate::settings::OnNoQuorum;
use crate::told::Told;
use crate::worker::Worker;

/// Limits whose receipts need no memory of their own.
const RECEIPTS_INLINE: usize = 8;

/// How long a caller is asked to wait where the cluster did not say in time whether there is more.
const UNKNOWN_WAIT_MS: u64 = 1_000;

/// What a call or a frame costs, in each unit that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) requests: u64,
    /// Bytes of bodies, or of the payloads of frames.
    pub(crate) bytes: u64,
    /// Frames of WebSockets, and server-sent events.
    pub(crate) events: u64,
    /// Tokens of AI models: of the prompt, and of the completion; together where nobody says which.
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) tokens: u64,
}

impl Cost {
    /// What is taken for a call before it is known what it turns out to cost: one of each, so that a quota that is used
    /// up refuses it.
    pub(crate) const CALL: Self =
        Self { requests: 1, bytes: 1, events: 1, prompt_tokens: 1, completion_tokens: 1, tokens: 1 };
    /// What is taken for the handshake of a WebSocket, whose frames are asked about one by one.
    pub(crate) const HANDSHAKE: Self =
        Self { requests: 1, bytes: 0, events: 0, prompt_tokens: 0, completion_tokens: 0, tokens: 0 };

    /// Returns the cost in one unit.
    pub(crate) fn of(&self, unit: QuotaUnit) -> u64 {
        match unit {
            QuotaUnit::Requests => self.requests,
            QuotaUnit::Bytes => self.bytes,
            QuotaUnit::Events => self.events,
            QuotaUnit::Tokens => self.tokens,
            QuotaUnit::PromptTokens => self.prompt_tokens,
            QuotaUnit::CompletionTokens => self.completion_tokens,
        }
    }
}

/// The limits of a caller, in the order in which they are asked.
#[derive(Default)]
pub(crate) struct Limits {
    pub(crate) all: Box<[Rc<Limit>]>,
    pub(crate) told: RefCell<Told>,
    /// Whether some count what is known only when a call has ended.
    has_late: bool,
}

/// One limit of a caller.
pub(crate) struct Limit {
    level: CounterLevel,
    /// The policy's name as a quoted string of a structured field (RFC 9651 §3.3.3).
    pub(crate) name: Box<str>,
    pub(crate) unit: QuotaUnit,
    pub(crate) allowance: Arc<dyn Allowance>,
    /// Where the metrics count what it decides.
    decisions: Arc<Decisions>,
}

impl Limit {
    /// Makes the limit of a policy. The policy says what is counted: an allowance that was never asked may not know yet.
    pub(crate) fn new(
        level: CounterLevel,
        policy: &str,
        unit: QuotaUnit,
        allowance: Arc<dyn Allowance>,
        decisions: Arc<Decisions>,
    ) -> Self {
        let mut name = String::with_capacity(policy.len() + 2);
        name.push('"');
        for character in policy.chars() {
            match character {
                '"' | '\\' => name.extend(['\\', character]),
                ' '..='~' => name.push(character),
                _ => name.push('?'),
            }
        }
        name.push('"');
        Self { level, name: name.into_boxed_str(), unit, allowance, decisions }
    }

    /// Returns what is counted.
    pub(crate) fn unit(&self) -> QuotaUnit {
        self.unit
    }

    /// Takes what a call turned out to cost, whatever is left.
    pub(crate) fn debit(&self, cost: u64, now: Timestamp) {
        self.allowance.debit(cost, now);
    }

    /// Gives back what was taken in a window and is not needed.
    pub(crate) fn give_back(&self, cost: u64, window: u64) {
        self.allowance.give_back(cost, window);
    }
}

/// What was taken of the limits of one call, in their order: the windows to give back to.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    first: [Option<u64>; RECEIPTS_INLINE],
    /// Beyond those; few callers have so many limits.
    more: Vec<Option<u64>>,
}

impl Receipts {
    fn set(&mut self, limit: usize, window: Option<u64>) {
        match self.first.get_mut(limit) {
            Some(place) => *place = window,
            None => {
                self.more.resize((limit - RECEIPTS_INLINE).max(self.more.len()), None);
                self.more.push(window);
            }
        }
    }

    fn get(&self, limit: usize) -> Option<u64> {
        let inline = self.first.get(limit).copied().flatten();
        inline.or_else(|| self.more.get(limit.checked_sub(RECEIPTS_INLINE)?).copied().flatten())
    }
}

impl Limits {
    /// Makes the limits of a caller.
    pub(crate) fn new(limits: impl IntoIterator<Item = Rc<Limit>>) -> Self {
        let all: Box<[Rc<Limit>]> = limits.into_iter().collect();
        let has_late = all.iter().any(|limit| limit.unit != QuotaUnit::Requests);
        Self { all, told: RefCell::default(), has_late }
    }

    /// Returns the same with `more` before the first limit of a level, or at the end where there is none.
    pub(crate) fn with(&self, more: Vec<Rc<Limit>>, before: CounterLevel) -> Self {
        let at = self.all.iter().position(|limit| limit.level == before).unwrap_or(self.all.len());
        let (first, last) = self.all.split_at(at);
        Self::new(first.iter().cloned().chain(more).chain(last.iter().cloned()))
    }

    /// Returns those of one level.
    pub(crate) fn of_level(&self, level: CounterLevel) -> impl Iterator<Item = Rc<Limit>> + '_ {
        self.all.iter().filter(move |limit| limit.level == level).map(Rc::clone)
    }

    /// Takes a cost from every limit, or from none. Waits for grants where the settings say so.
    ///
    /// # Errors
    /// The refusal of the first limit that is used up.
    pub(crate) async fn take(&self, worker: &Worker, cost: &Cost, now: Timestamp) -> Result<Receipts, Refusal> {
        let mut receipts = Receipts::default();
        if let Some(dry) = self.take_from(0, &mut receipts, cost, now)? {
            off_path::boxed(|| self.take_waiting(worker, dry, &mut receipts, cost)).await?;
        }
        Ok(receipts)
    }

    /// Takes a cost from every limit from number `first` on. Returns the number of the limit of which a grant would have to be
    /// waited for, where there is one; then nothing was taken of it and of those behind it.
    ///
    /// # Errors
    /// The refusal of the first limit that is used up; then nothing is taken of any.
    fn take_from(
        &self,
        first: usize,
        receipts: &mut Receipts,
        cost: &Cost,
        now: Timestamp,
    ) -> Result<Option<usize>, Refusal> {
        for (number, limit) in self.all.iter().enumerate().skip(first) {
            let amount = cost.of(limit.unit);
            if amount == 0 {
                continue;
            }
            match limit.allowance.try_take(amount, now) {
                Taken::Yes { window } | Taken::Over { window } => {
                    limit.decisions.allowed.add(1);
                    receipts.set(number, Some(window));
                }
                Taken::Dry => return Ok(Some(number)),
                Taken::Exhausted { until } => return Err(self.refuse(number, receipts, cost, (now, until))),
            }
        }
        Ok(None)
    }

    /// Takes a cost from every limit from number `dry` on, which has nothing left that was granted.
    async fn take_waiting(
        &self,
        worker: &Worker,
        mut dry: usize,
        receipts: &mut Receipts,
        cost: &Cost,
    ) -> Result<(), Refusal> {
        loop {
            let limit = &self.all[dry];
            let outcome = wait_for_grant(worker, limit.allowance.as_ref(), cost.of(limit.unit)).await;
            let now = worker.clock.now().timestamp;
            let until = match outcome {
                Taken::Yes { window } | Taken::Over { window } => {
                    receipts.set(dry, Some(window));
                    None
                }
                Taken::Dry if worker.tuning().on_no_quorum == OnNoQuorum::Allow => None,
                Taken::Dry => Some(Timestamp(now.0.saturating_add(UNKNOWN_WAIT_MS))),
                Taken::Exhausted { until } => Some(until),
            };
            if let Some(until) = until {
                return Err(self.refuse(dry, receipts, cost, (now, until)));
            }
            limit.decisions.allowed.add(1);
            match self.take_from(dry + 1, receipts, cost, now)? {
                Some(next) => dry = next,
                None => return Ok(()),
            }
        }
    }

    /// Makes the refusal of a limit that is used up until then, and gives back what was taken of those before it.
    #[cold]
    fn refuse(&self, number: usize, receipts: &Receipts, cost: &Cost, (now, until): (Timestamp, Timestamp)) -> Refusal {
        let limit = &self.all[number];
        limit.decisions.throttled.add(1);
        self.give_back(receipts, cost, number);
        Refusal::throttled(limit.level, limit.unit, now, until)
    }

    /// Returns what counts the rest of a call's cost as it becomes known; `None` where no limit counts any.
    pub(crate) fn meter(&self, worker: &Rc<Worker>, receipts: &Receipts, taken: &Cost) -> Option<Rc<Meter>> {
        if !self.has_late {
            return None;
        }
        let late = self.all.iter().enumerate().filter(|(_, limit)| limit.unit != QuotaUnit::Requests);
        let late = late.map(|(number, limit)| Late {
            limit: Rc::clone(limit),
            taken: Cell::new(taken.of(limit.unit)),
            window: receipts.get(number),
        });
        Some(Rc::new(Meter::new(worker, late.collect())))
    }

    /// Takes a cost from every limit, or from none, without waiting: `None` where a grant would have to be waited for.
    pub(crate) fn take_now(&self, cost: &Cost, now: Timestamp) -> Option<Result<(), Refusal>> {
        let mut receipts = Receipts::default();
        match self.take_from(0, &mut receipts, cost, now) {
            Ok(None) => Some(Ok(())),
            Ok(Some(dry)) => {
                self.give_back(&receipts, cost, dry);
                None
            }
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Gives back what was taken of the limits before number `end`.
    fn give_back(&self, receipts: &Receipts, cost: &Cost, end: usize) {
        for (number, limit) in self.all[..end].iter().enumerate() {
            if let Some(window) = receipts.get(number) {
                limit.allowance.give_back(cost.of(limit.unit), window);
            }
        }
    }
}

/// Waits until the cluster has granted more, at most as long as the settings say. Where it has not, what the policy lets
/// pass beyond its quota passes.
async fn wait_for_grant(worker: &Worker, allowance: &dyn Allowance, cost: u64) -> Taken {
    worker.counters.grant_waits.add(1);
    let deadline = tokio::time::Instant::now() + worker.tuning().grant_wait;
    loop {
        // Made before the next try, so that a grant between the two is not missed.
        let changed = allowance.changed();
        let outcome = allowance.try_take(cost, worker.clock.now().timestamp);
        if outcome != Taken::Dry {
            return outcome;
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            let now = worker.clock.now().timestamp;
            return allowance.take_beyond(cost, now).unwrap_or_else(|| allowance.try_take(cost, now));
        }
    }
}
