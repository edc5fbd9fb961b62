//! Throttling policies: how much, in which window, for whom.

use serde::{Deserialize, Serialize};

use crate::id::PolicyId;
use crate::tenant::TenantDomain;

/// The level a policy applies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyLevel {
    /// A business plan: application × API version.
    Subscription,
    /// Application × end user.
    Application,
    /// A whole API, or one of its operations.
    Advanced,
    /// A custom rule.
    Custom,
}

/// The number that stands for no limit, as in the original's `Unlimited` tiers.
pub const UNLIMITED: u64 = 2_147_483_647;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaPolicy {
    /// The id.
    pub id: PolicyId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The level.
    pub level: PolicyLevel,
    /// The name, unique per tenant and level.
    pub name: String,
    /// The name people read.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// How much.
    pub quota: Quota,
    /// In which window.
    pub window: Window,
    /// A second, shorter limit, if any.
    pub burst: Option<Burst>,
    /// Whether calls past the quota are refused; `false` lets them pass and counts them.
    pub stops_on_quota_reach: bool,
    /// `FREE` or `COMMERCIAL`.
    pub billing_plan: String,
    /// Every other field of the REST contract, as a JSON object.
    pub other_fields: String,
    /// Grows by one with each change: a counter's limit is that of the version it was opened with.
    pub version: u64,
}

/// How much a policy grants per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quota {
    /// Requests.
    Requests(u64),
    /// Request and response bytes.
    Bandwidth {
        /// The amount in `unit`.
        amount: u64,
        /// The unit.
        unit: DataUnit,
    },
    /// Frames or events of asynchronous APIs.
    Events(u64),
    /// Tokens of AI models.
    AiTokens {
        /// Requests.
        requests: u64,
        /// Prompt and completion together.
        total: u64,
        /// Prompt alone; zero for no bound.
        prompt: u64,
        /// Completion alone; zero for no bound.
        completion: u64,
    },
}

/// A unit of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataUnit {
    /// 1 024 bytes.
    Kb,
    /// 1 048 576 bytes.
    Mb,
    /// 1 073 741 824 bytes.
    Gb,
}

impl DataUnit {
    /// Returns how many bytes one unit is.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::Kb => 1 << 10,
            Self::Mb => 1 << 20,
            Self::Gb => 1 << 30,
        }
    }
}

/// What a quota counts, and so what a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QuotaUnit {
    /// One for each request.
    Requests,
    /// Bytes of request and response bodies.
    Bytes,
    /// One for each frame or event.
    Events,
    /// Tokens of AI models, prompt and completion together.
    Tokens,
    /// Prompt tokens alone.
    PromptTokens,
    /// Completion tokens alone.
    CompletionTokens,
}

impl QuotaUnit {
    /// Says whether what a call costs is known before it is made.
    #[must_use]
    pub fn is_known_before(self) -> bool {
        matches!(self, Self::Requests | Self::Events)
    }

    /// The word people read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Events => "events",
            Self::Tokens => "tokens",
            Self::PromptTokens => "prompt tokens",
            Self::CompletionTokens => "completion tokens",
        }
    }
}

/// How windows follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowKind {
    /// Each begins with the whole limit, as in the original.
    #[default]
    Fixed,
    /// What was used in the window before counts by the part of it that lies less than a window's length back: no
    /// stretch of a window's length has more than the limit, as far as use was even.
    Sliding,
}

impl WindowKind {
    /// The name in `windowKind`, a field of ours beside the contract's.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sliding => "sliding",
        }
    }

    /// Returns the kind that a text names, whatever its case.
    #[must_use]
    pub fn from_contract(text: &str) -> Option<Self> {
        [Self::Fixed, Self::Sliding].into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_contract()))
    }
}

impl Quota {
    /// Returns what is counted.
    #[must_use]
    pub fn unit(self) -> QuotaUnit {
        match self {
            Self::Requests(_) => QuotaUnit::Requests,
            Self::Bandwidth { .. } => QuotaUnit::Bytes,
            Self::Events(_) => QuotaUnit::Events,
            Self::AiTokens { .. } => QuotaUnit::Tokens,
        }
    }

    /// Returns the limit in the unit that is counted (requests, bytes, events, total tokens).
    #[must_use]
    pub fn limit(self) -> u64 {
        match self {
            Self::Requests(count) | Self::Events(count) => count,
            Self::Bandwidth { amount, unit } => amount.saturating_mul(unit.bytes()),
            Self::AiTokens { total, .. } => total,
        }
    }

    /// Returns the bound on `unit`, or `None` where this quota does not bound it.
    #[must_use]
    pub fn bound(self, unit: QuotaUnit) -> Option<u64> {
        let count = match (self, unit) {
            (Self::Requests(count), QuotaUnit::Requests) | (Self::Events(count), QuotaUnit::Events) => count,
            (Self::Bandwidth { .. }, QuotaUnit::Bytes) => return Some(self.limit()),
            (Self::AiTokens { requests, .. }, QuotaUnit::Requests) => requests,
            (Self::AiTokens { total, .. }, QuotaUnit::Tokens) => total,
            (Self::AiTokens { prompt, .. }, QuotaUnit::PromptTokens) => prompt,
            (Self::AiTokens { completion, .. }, QuotaUnit::CompletionTokens) => completion,
            _ => return None,
        };
        let is_token_count = matches!(self, Self::AiTokens { .. });
        let is_bound = count < UNLIMITED && !(is_token_count && count == 0);
        is_bound.then_some(count)
    }

    /// Says whether this quota limits nothing.
    #[must_use]
    pub fn is_unlimited(self) -> bool {
        matches!(self, Self::Requests(count) | Self::Events(count) if count >= UNLIMITED)
    }
}

/// A window: `length` times `unit`, aligned to the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// How many units; 1 or more.
    pub length: u32,
    /// The unit.
    pub unit: TimeUnit,
}

/// A unit of time in policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of 24 hours.
    Day,
    /// Seven days.
    Week,
    /// Thirty days, as in the original.
    Month,
    /// 365 days.
    Year,
}

impl TimeUnit {
    /// Returns the unit's length in milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        const SECOND: u64 = 1000;
        const DAY: u64 = 86_400 * SECOND;
        match self {
            Self::Second => SECOND,
            Self::Minute => 60 * SECOND,
            Self::Hour => 3600 * SECOND,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Second => "sec",
            Self::Minute => "min",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the unit a contract's text names (`sec`, `seconds`, `min`, `minutes`, …), whatever its case.
    #[must_use]
    pub fn from_contract(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" | "seconds" => Self::Second,
            "min" | "minute" | "minutes" => Self::Minute,
            "hour" | "hours" => Self::Hour,
            "day" | "days" => Self::Day,
            "week" | "weeks" => Self::Week,
            "month" | "months" => Self::Month,
            "year" | "years" => Self::Year,
            _ => return None,
        })
    }
}

impl Window {
    /// Returns the window's length in milliseconds, at least one.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::from(self.length).saturating_mul(self.unit.millis()).max(1)
    }
}

/// A second, shorter limit (spike arrest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// Requests per `window`.
    pub count: u64,
    /// The window.
    pub window: Window,
}
