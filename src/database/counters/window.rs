//! Windows and the terms a counter opens with.

use portcullis_model::policy::Quota;
use portcullis_model::{QuotaPolicy, QuotaUnit, Timestamp, WindowKind};
use serde::{Deserialize, Serialize};

/// Names one window of time: the `index`-th of its length since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowId {
    /// The length in milliseconds, 1 or more.
    pub length_ms: u64,
    /// The number (epoch ÷ length).
    pub index: u64,
}

impl WindowId {
    /// Returns the window of that length in which `time` lies.
    #[must_use]
    pub fn at(length_ms: u64, time: Timestamp) -> Self {
        let length_ms = length_ms.max(1);
        Self { length_ms, index: time.0 / length_ms }
    }

    /// Returns when it begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(self.index.saturating_mul(self.length_ms))
    }

    /// Returns when it ends: the first moment that is no longer in it. Windows of one counter are ordered by their
    /// ends, also where a policy's length changed in between.
    #[must_use]
    pub fn end(self) -> Timestamp {
        Timestamp(self.index.saturating_add(1).saturating_mul(self.length_ms))
    }

    /// Says whether this window is the next one of the same length after `other`.
    #[must_use]
    pub fn follows(self, other: Self) -> bool {
        self.length_ms == other.length_ms && self.index == other.index.saturating_add(1)
    }
}

/// What a policy says about a counter: fixed for a window when the window opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How much per window.
    pub limit: u64,
    /// The window's length in milliseconds.
    pub length_ms: u64,
    /// Whether use past the limit is refused.
    pub stops_on_quota_reach: bool,
    /// The policy's version.
    pub version: u64,
    /// How windows follow each other.
    pub kind: WindowKind,
    /// What is counted.
    pub unit: QuotaUnit,
}

impl Terms {
    /// Returns the terms of a policy, or `None` where it limits nothing.
    #[must_use]
    pub fn of(policy: &QuotaPolicy) -> Option<Self> {
        let has_no_token_bound = matches!(policy.quota, Quota::AiTokens { total: 0, .. });
        if policy.quota.is_unlimited() || has_no_token_bound {
            return None;
        }
        Some(Self {
            limit: policy.quota.limit(),
            length_ms: policy.window.millis(),
            stops_on_quota_reach: policy.stops_on_quota_reach,
            version: policy.version,
            kind: policy.window_kind(),
            unit: policy.quota.unit(),
        })
    }

    /// Returns how much of the limit all reserves together are.
    #[must_use]
    pub fn reserve_total(&self) -> u64 {
        reserve_total(self.limit, self.length_ms)
    }
}

/// Windows shorter than this have a larger reserve: a round trip is a larger part of them.
const SHORT_WINDOW_MS: u64 = 10_000;
/// The part of a limit that the members hold without asking, in percent.
const RESERVE_PERCENT: u64 = 10;
/// The same for short windows.
const RESERVE_PERCENT_SHORT: u64 = 30;

/// Returns how much of `limit` all reserves together are.
#[must_use]
pub fn reserve_total(limit: u64, length_ms: u64) -> u64 {
    let percent = if length_ms < SHORT_WINDOW_MS { RESERVE_PERCENT_SHORT } else { RESERVE_PERCENT };
    u64::try_from(u128::from(limit) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}
