//! Subscriptions: which application may call which API, and by which plan.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, ApplicationId, SubscriptionId};
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// A subscription of an application to an API. There is at most one for each pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The id.
    pub id: SubscriptionId,
    /// The tenant of the application.
    pub tenant: TenantDomain,
    /// Who subscribes.
    pub application: ApplicationId,
    /// To what.
    pub api: ApiId,
    /// Name of the business plan.
    pub plan: String,
    /// Whether calls are let through.
    pub state: SubscriptionState,
    /// The user who subscribed.
    pub subscriber: Username,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether a subscription lets calls through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubscriptionState {
    /// Calls pass.
    Unblocked,
    /// No calls pass.
    Blocked,
    /// Only calls with sandbox keys pass.
    ProdOnlyBlocked,
    /// Waits for a decision.
    OnHold,
    /// Refused.
    Rejected,
}

impl SubscriptionState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Unblocked, Self::Blocked, Self::ProdOnlyBlocked, Self::OnHold, Self::Rejected];

    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Unblocked => "UNBLOCKED",
            Self::Blocked => "BLOCKED",
            Self::ProdOnlyBlocked => "PROD_ONLY_BLOCKED",
            Self::OnHold => "ON_HOLD",
            Self::Rejected => "REJECTED",
        }
    }
}

/// The text names no subscription state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subscription state")]
pub struct UnknownSubscriptionState;

impl FromStr for SubscriptionState {
    type Err = UnknownSubscriptionState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_contract() == text).ok_or(UnknownSubscriptionState)
    }
}
