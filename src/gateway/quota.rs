//! How often: takes a call from the quotas that apply to it, and says in headers where the caller stands.
//!
//! It does not count across nodes: an allowance is what this node may still spend, and the Traffic Manager fills it.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::Timestamp;
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{Allowance, Standing, Taken};

use crate::refusal::Refusal;
use crate::settings::OnNoQuorum;
use crate::worker::Worker;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Limits whose receipts need no memory of their own.
const RECEIPTS_INLINE: usize = 8;

/// What a call or a frame costs, in each unit that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) requests: u64,
    /// Bytes of bodies, or of the payloads of frames.
    pub(crate) bytes: u64,
    /// Frames of WebSockets, and server-sent events.
    pub(crate) events: u64,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Requests,
    Bytes,
    Events,
}

impl Cost {
    /// Returns the cost in one unit.
    pub(crate) fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Bytes => self.bytes,
            Unit::Events => self.events,
        }
    }
}
/// How long a caller is asked to wait where the cluster did not say in time whether there is more.
const UNKNOWN_WAIT_MS: u64 = 1_000;

/// The limits of a caller, in the order in which they are asked.
pub(crate) struct Limits(Box<[Limit]>);

/// One limit of a caller.
pub(crate) struct Limit {
    level: CounterLevel,
    /// The policy's name as a quoted string of a structured field (RFC 9651 §3.3.3).
    name: Box<str>,
    unit: Unit,
    allowance: Arc<dyn Allowance>,
}

impl Limit {
    /// Makes the limit of a policy.
    pub(crate) fn new(level: CounterLevel, policy: &str, allowance: Arc<dyn Allowance>) -> Self {
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
        Self { level, name: name.into_boxed_str(), unit: Unit::Requests, allowance }
    }
}

/// What was taken of the limits of one call, in their order: the windows to give back to.
#[derive(Debug, Default)]
struct Receipts {
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
    pub(crate) fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        Self(limits.into_iter().collect())
    }

    /// Takes a cost from every limit, or from none. Waits for grants where the settings say so.
    ///
    /// # Errors
    /// The refusal of the first limit that is used up.
    pub(crate) async fn take(&self, worker: &Worker, cost: &Cost, now: Timestamp) -> Result<(), Refusal> {
        let mut receipts = Receipts::default();
        for (number, limit) in self.0.iter().enumerate() {
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
            return Err(Refusal::throttled(limit.level, worker.clock.now().timestamp, until));
        }
        Ok(())
    }

    /// Takes a cost from every limit, or from none, without waiting: `None` where a grant would have to be waited for.
    pub(crate) fn take_now(&self, cost: &Cost, now: Timestamp) -> Option<Result<(), Refusal>> {
        let mut receipts = Receipts::default();
        for (number, limit) in self.0.iter().enumerate() {
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
                    return Some(Err(Refusal::throttled(limit.level, now, until)));
                }
            }
        }
        Some(Ok(()))
    }

    /// Gives back what was taken of the limits before number `end`.
    fn give_back(&self, receipts: &Receipts, cost: &Cost, end: usize) {
        for (number, limit) in self.0[..end].iter().enumerate() {
            if let Some(window) = receipts.get(number) {
                limit.allowance.give_back(cost.of(limit.unit), window);
            }
        }
    }

    /// Adds where the caller stands (draft-ietf-httpapi-ratelimit-headers); nothing where nothing is limited.
    pub(crate) fn describe(&self, now: Timestamp, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        let mut policies = String::with_capacity(64);
        let mut standings = String::with_capacity(64);
        for Limit { name, allowance, .. } in &self.0 {
            let comma = if policies.is_empty() { "" } else { ", " };
            let Standing { limit, window_s, remaining, resets_at } = allowance.standing(now);
            let resets_in_s = resets_at.0.saturating_sub(now.0).div_ceil(1000);
            // Writing to a string cannot fail.
            let _ = write!(policies, "{comma}{name};q={limit};w={window_s}");
            let _ = write!(standings, "{comma}{name};r={remaining};t={resets_in_s}");
        }
        for (name, text) in [(RATELIMIT_POLICY, policies), (RATELIMIT, standings)] {
            if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
                headers.insert(name, value);
            }
        }
    }
}

/// Waits until the cluster has granted more, at most as long as the settings say.
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
            return allowance.try_take(cost, worker.clock.now().timestamp);
        }
        time = worker.clock.now().timestamp;
    }
}
