//! Windows and the terms a counter opens with.

use portcullis_model::counter::LimitPart;
use portcullis_model::policy::TimeUnit;
use portcullis_model::policy_rules::PolicyRules;
use portcullis_model::throttle::PolicySource as _;
use portcullis_model::{KeyType, LimitKey, Quota, QuotaPolicy, QuotaUnit, Timestamp, Window, WindowKind};
use serde::{Deserialize, Serialize};

use crate::state::Deployed;

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
    /// Returns the terms of a limit, or `None` where it limits nothing or is gone.
    #[must_use]
    pub fn of(deployed: &Deployed, limit: &LimitKey) -> Option<Self> {
        match limit {
            LimitKey::Policy { tenant, level, name, part } => {
                let policy = deployed.policy(tenant, *level, name)?;
                Self::of_policy(policy, deployed.rules(tenant, *level, name), *part)
            }
            LimitKey::ApiMaximum { environment, api, key_type } => {
                let api = deployed.apis.get(&(environment.clone(), *api))?;
                let per_second = match key_type {
                    KeyType::Production => api.max_tps.production,
                    KeyType::Sandbox => api.max_tps.sandbox,
                };
                Some(Self { version: 0, ..Self::fixed(per_second?, A_SECOND) })
            }
        }
    }

    /// Returns the terms of one of a policy's limits, or `None` where that limits nothing.
    #[must_use]
    pub fn of_policy(policy: &QuotaPolicy, rules: Option<&PolicyRules>, part: LimitPart) -> Option<Self> {
        let kind = rules.map_or(WindowKind::Fixed, |rules| rules.window_kind);
        let stops_on_quota_reach = policy.stops_on_quota_reach;
        let of_quota = |quota: Quota, window: Window, unit: QuotaUnit| {
            let terms = Self::fixed(quota.bound(unit)?, window);
            Some(Self { kind, unit, stops_on_quota_reach, ..terms })
        };
        let terms = match part {
            LimitPart::Quota => of_quota(policy.quota, policy.window, policy.quota.unit()),
            LimitPart::Unit(unit) if unit == policy.quota.unit() => None,
            LimitPart::Unit(unit) => of_quota(policy.quota, policy.window, unit),
            LimitPart::Burst => policy.burst.map(|burst| Self::fixed(burst.count, burst.window)),
            LimitPart::Group(number) => {
                let group = rules?.groups.get(usize::from(number))?;
                of_quota(group.quota, group.window, group.quota.unit())
            }
        };
        terms.map(|terms| Self { version: policy.version, ..terms })
    }

    fn fixed(limit: u64, window: Window) -> Self {
        Self {
            limit,
            length_ms: window.millis(),
            stops_on_quota_reach: true,
            version: 0,
            kind: WindowKind::Fixed,
            unit: QuotaUnit::Requests,
        }
    }

    /// Returns how much of the limit all reserves together are.
    #[must_use]
    pub fn reserve_total(&self) -> u64 {
        reserve_total(self.limit, self.length_ms)
    }
}

/// The window of what an API's backend may get.
const A_SECOND: Window = Window { length: 1, unit: TimeUnit::Second };
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
