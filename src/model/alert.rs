//! Alerts about calls: which kinds there are, and who wants to be told of which.

use serde::{Deserialize, Serialize};

/// Addresses of one subscription.
pub const ALERT_EMAILS_MAX: usize = 10;
/// Subscriptions of one tenant that are looked at.
pub const ALERT_SUBSCRIPTIONS_MAX: usize = 100;

/// A kind of alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// Many more calls than usual.
    MoreTraffic,
    /// Many fewer calls than usual.
    LessTraffic,
    /// Calls are much slower than usual.
    Slow,
    /// Many calls fail.
    Errors,
    /// An application calls more than its plan or policy lets it.
    BeyondPlan,
    /// An application calls from an address from which it did not call lately.
    UnseenAddress,
}

impl AlertKind {
    /// Every kind, in the order of their ids: the first has the id 1.
    pub const ALL: [Self; 6] =
        [Self::MoreTraffic, Self::LessTraffic, Self::Slow, Self::Errors, Self::BeyondPlan, Self::UnseenAddress];

    /// Returns its name, which programs go by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MoreTraffic => "more-traffic",
            Self::LessTraffic => "less-traffic",
            Self::Slow => "slow",
            Self::Errors => "errors",
            Self::BeyondPlan => "beyond-plan",
            Self::UnseenAddress => "unseen-address",
        }
    }

    /// Returns the kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns what its values are.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::MoreTraffic | Self::LessTraffic | Self::BeyondPlan => "calls in five minutes",
            Self::Slow => "microseconds, 95th percentile",
            Self::Errors => "percent of calls",
            Self::UnseenAddress => "addresses",
        }
    }
}

/// What is kept of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSubscription {
    /// The names of the kinds.
    pub kinds: Vec<String>,
    /// Whom to tell.
    pub emails: Vec<String>,
}
