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

/// What one call costs.
const COST: u64 = 1;
/// How long a caller is asked to wait where the cluster did not say in time whether there is more.
const UNKNOWN_WAIT_MS: u64 = 1_000;

/// The limits of a caller, in the order in which they are asked.
pub(crate) struct Limits(Box<[Limit]>);

/// One limit of a caller.
pub(crate) struct Limit {
    level: CounterLevel,
    /// The policy's name as a quoted string of a structured field (RFC 9651 §3.3.3).
    name: Box<str>,
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
        Self { level, name: name.into_boxed_str(), allowance }
    }
}

impl Limits {
    /// Makes the limits of a caller.
    pub(crate) fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        Self(limits.into_iter().collect())
    }

    /// Takes one call from every limit, or from none.
    ///
    /// # Errors
    /// The refusal of the first limit that is used up.
    pub(crate) async fn take(&self, worker: &Worker, now: Timestamp) -> Result<(), Refusal> {
        let mut taken: Option<(&Arc<dyn Allowance>, u64)> = None;
        for Limit { level, allowance, .. } in &self.0 {
            let outcome = match allowance.try_take(COST, now) {
                Taken::Dry => wait_for_grant(worker, allowance.as_ref(), now).await,
                decided => decided,
            };
            let until = match outcome {
                Taken::Yes { window } | Taken::Over { window } => {
                    taken = Some((allowance, window));
                    continue;
                }
                Taken::Dry if worker.settings.on_no_quorum == OnNoQuorum::Allow => continue,
                Taken::Dry => Timestamp(worker.clock.now().timestamp.0.saturating_add(UNKNOWN_WAIT_MS)),
                Taken::Exhausted { until } => until,
            };
            if let Some((earlier, window)) = taken {
                earlier.give_back(COST, window);
            }
            return Err(Refusal::throttled(*level, worker.clock.now().timestamp, until));
        }
        Ok(())
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
async fn wait_for_grant(worker: &Worker, allowance: &dyn Allowance, now: Timestamp) -> Taken {
    worker.counters.grant_waits.add(1);
    let deadline = tokio::time::Instant::now() + worker.settings.grant_wait;
    let mut outcome;
    let mut time = now;
    loop {
        // Made before the next try, so that a grant between the two is not missed.
        let changed = allowance.changed();
        outcome = allowance.try_take(COST, time);
        if outcome != Taken::Dry {
            return outcome;
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return allowance.try_take(COST, worker.clock.now().timestamp);
        }
        time = worker.clock.now().timestamp;
    }
}
