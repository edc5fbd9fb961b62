//! How often: takes a call from the quotas that apply to it, and says in headers where the caller stands.
//!
//! It does not count across nodes: an allowance is what this node may still spend, and the Traffic Manager fills it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{Allowance, Standing, Taken};
use portcullis_model::{QuotaUnit, Timestamp};

use crate::meter::{Late, Meter};
use crate::refusal::Refusal;
use crate::settings::OnNoQuorum;
use crate::upstream::request::decimal;
use crate::worker::Worker;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
// The limit of which least is left; the reset is in seconds from now.
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Bytes that where a caller stands takes for one limit, as a rule.
const STANDING_BYTES: usize = 48;
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
    all: Box<[Rc<Limit>]>,
    told: RefCell<Told>,
    /// Whether some count what is known only when a call has ended.
    has_late: bool,
}

/// What callers were last told the quotas are: it seldom changes.
#[derive(Default)]
struct Told {
    /// The quota and the length of the window of each limit.
    quotas: Vec<(u64, u64)>,
    /// The field that says so; `None` where it is to be made anew.
    text: Option<HeaderValue>,
}

/// One limit of a caller.
pub(crate) struct Limit {
    level: CounterLevel,
    /// The policy's name as a quoted string of a structured field (RFC 9651 §3.3.3).
    name: Box<str>,
    unit: QuotaUnit,
    allowance: Arc<dyn Allowance>,
}

impl Limit {
    /// Makes the limit of a policy. The policy says what is counted: an allowance that was never asked may not know yet.
    pub(crate) fn new(level: CounterLevel, policy: &str, unit: QuotaUnit, allowance: Arc<dyn Allowance>) -> Self {
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
        Self { level, name: name.into_boxed_str(), unit, allowance }
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

    /// Takes a cost from every limit, or from none. Waits for grants where the settings say so.
    ///
    /// # Errors
    /// The refusal of the first limit that is used up.
    pub(crate) async fn take(&self, worker: &Worker, cost: &Cost, now: Timestamp) -> Result<Receipts, Refusal> {
        let mut receipts = Receipts::default();
        for (number, limit) in self.all.iter().enumerate() {
            let amount = cost.of(limit.unit);
            if amount == 0 {
                continue;
            }
            let outcome = match limit.allowance.try_take(amount, now) {
                Taken::Dry => wait_for_grant(worker, limit.allowance.as_ref(), amount, now).await,
                decided => decided,
            };
            let until = match outcome {
                Taken::Yes { window } | Taken::Over { window } => {
                    receipts.set(number, Some(window));
                    continue;
                }
                Taken::Dry if worker.settings.on_no_quorum == OnNoQuorum::Allow => continue,
                Taken::Dry => Timestamp(worker.clock.now().timestamp.0.saturating_add(UNKNOWN_WAIT_MS)),
                Taken::Exhausted { until } => until,
            };
            self.give_back(&receipts, cost, number);
            return Err(Refusal::throttled(limit.level, limit.unit, worker.clock.now().timestamp, until));
        }
        Ok(receipts)
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
        for (number, limit) in self.all.iter().enumerate() {
            let amount = cost.of(limit.unit);
            if amount == 0 {
                continue;
            }
            match limit.allowance.try_take(amount, now) {
                Taken::Yes { window } | Taken::Over { window } => receipts.set(number, Some(window)),
                Taken::Dry => {
                    self.give_back(&receipts, cost, number);
                    return None;
                }
                Taken::Exhausted { until } => {
                    self.give_back(&receipts, cost, number);
                    return Some(Err(Refusal::throttled(limit.level, limit.unit, now, until)));
                }
            }
        }
        Some(Ok(()))
    }

    /// Gives back what was taken of the limits before number `end`.
    fn give_back(&self, receipts: &Receipts, cost: &Cost, end: usize) {
        for (number, limit) in self.all[..end].iter().enumerate() {
            if let Some(window) = receipts.get(number) {
                limit.allowance.give_back(cost.of(limit.unit), window);
            }
        }
    }

    /// Adds where the caller stands (draft-ietf-httpapi-ratelimit-headers); nothing where nothing is limited.
    pub(crate) fn describe(&self, has_x_ratelimit: bool, now: Timestamp, headers: &mut HeaderMap) {
        if self.all.is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        let mut standings = Vec::with_capacity(self.all.len() * STANDING_BYTES);
        let mut tightest: Option<(u64, u64, u64)> = None;
        for (number, Limit { name, allowance, .. }) in self.all.iter().map(|limit| &**limit).enumerate() {
            let Standing { limit, window_s, remaining, resets_at } = allowance.standing(now);
            told.note(number, (limit, window_s));
            let resets_in_s = resets_at.0.saturating_sub(now.0).div_ceil(1000);
            separate(&mut standings, name);
            write(&mut standings, ";r=", remaining);
            write(&mut standings, ";t=", resets_in_s);
            if tightest.is_none_or(|(_, least, _)| remaining < least) {
                tightest = Some((limit, remaining, resets_in_s));
            }
        }
        let Told { quotas, text } = &mut *told;
        if text.is_none() {
            *text = self.policies(quotas);
        }
        if let Some(text) = text {
            headers.insert(RATELIMIT_POLICY, text.clone());
        }
        if let Ok(standings) = HeaderValue::from_maybe_shared(Bytes::from(standings)) {
            headers.insert(RATELIMIT, standings);
        }
        if let Some((limit, remaining, resets_in_s)) = tightest.filter(|_| has_x_ratelimit) {
            headers.insert(X_RATELIMIT_LIMIT, limit.into());
            headers.insert(X_RATELIMIT_REMAINING, remaining.into());
            headers.insert(X_RATELIMIT_RESET, resets_in_s.into());
        }
    }

    /// Returns the field that says what the quotas are.
    fn policies(&self, quotas: &[(u64, u64)]) -> Option<HeaderValue> {
        let mut text = Vec::new();
        for (limit, (quota, window_s)) in self.all.iter().zip(quotas) {
            separate(&mut text, &limit.name);
            write(&mut text, ";q=", *quota);
            if limit.unit == QuotaUnit::Bytes {
                text.extend_from_slice(b";qu=\"content-bytes\"");
            }
            write(&mut text, ";w=", *window_s);
        }
        HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
    }
}

impl Told {
    /// Notes the quota of a limit, and that callers were told another.
    fn note(&mut self, limit: usize, quota: (u64, u64)) {
        if self.quotas.get(limit) != Some(&quota) {
            self.quotas.truncate(limit);
            self.quotas.push(quota);
            self.text = None;
        }
    }
}

/// Begins the next member of a list.
fn separate(text: &mut Vec<u8>, name: &str) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(name.as_bytes());
}

/// Writes a parameter.
fn write(text: &mut Vec<u8>, name: &str, value: u64) {
    let (digits, at) = decimal(value);
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(&digits[at..]);
}

/// Waits until the cluster has granted more, at most as long as the settings say. Where it has not, what the policy lets
/// pass beyond its quota passes.
async fn wait_for_grant(worker: &Worker, allowance: &dyn Allowance, cost: u64, now: Timestamp) -> Taken {
    worker.counters.grant_waits.add(1);
    let deadline = tokio::time::Instant::now() + worker.settings.grant_wait;
    let mut outcome;
    let mut time = now;
    loop {
        // Made before the next try, so that a grant between the two is not missed.
        let changed = allowance.changed();
        outcome = allowance.try_take(cost, time);
        if outcome != Taken::Dry {
            return outcome;
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            let now = worker.clock.now().timestamp;
            return allowance.take_beyond(cost, now).unwrap_or_else(|| allowance.try_take(cost, now));
        }
        time = worker.clock.now().timestamp;
    }
}
