//! Subscriptions in the contract.

use std::collections::BTreeMap;

use portcullis_model::{Subscription, SubscriptionId};
use serde::{Deserialize, Serialize};

use super::api::ApiInfoDto;
use super::application::ApplicationInfoDto;

/// A subscription as a caller sends it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionBody {
    /// Who subscribes.
    pub application_id: String,
    /// To what.
    pub api_id: String,
    /// Name of the plan.
    pub throttling_policy: String,
}

/// What a subscription was used for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageDto {
    /// Texts by name.
    pub properties: BTreeMap<String, String>,
}

/// What a subscription is to become.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateSubscriptionBody {
    /// Must be the subscription's.
    pub application_id: Option<String>,
    /// Must be the subscription's.
    pub api_id: Option<String>,
    /// The plan as it is, or is to be where `requestedThrottlingPolicy` is missing.
    pub throttling_policy: Option<String>,
    /// The plan it is to get.
    pub requested_throttling_policy: Option<String>,
    /// Must be the subscription's: only a publisher changes it.
    pub status: Option<StatusWord>,
}

/// The contract's words for the state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StatusWord {
    /// No calls pass.
    Blocked,
    /// Only sandbox calls pass.
    ProdOnlyBlocked,
    /// Calls pass.
    Unblocked,
    /// Waits for a decision.
    OnHold,
    /// Refused.
    Rejected,
    /// Waits for a decision on its plan.
    TierUpdatePending,
    /// Waits for a decision on its end.
    DeletePending,
}

impl StatusWord {
    /// Returns the word.
    pub(crate) fn as_contract(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::ProdOnlyBlocked => "PROD_ONLY_BLOCKED",
            Self::Unblocked => "UNBLOCKED",
            Self::OnHold => "ON_HOLD",
            Self::Rejected => "REJECTED",
            Self::TierUpdatePending => "TIER_UPDATE_PENDING",
            Self::DeletePending => "DELETE_PENDING",
        }
    }
}

/// A subscription.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionDto {
    pub subscription_id: String,
    pub application_id: String,
    pub api_id: String,
    pub api_info: Option<ApiInfoDto>,
    pub application_info: Option<ApplicationInfoDto>,
    pub throttling_policy: String,
    pub requested_throttling_policy: String,
    pub status: &'static str,
    pub redirection_params: Option<String>,
    /// For the `Location` header.
    #[serde(skip)]
    pub id: SubscriptionId,
}

impl SubscriptionDto {
    /// Makes the body.
    pub(crate) fn new(
        subscription: &Subscription,
        api_info: Option<ApiInfoDto>,
        application_info: Option<ApplicationInfoDto>,
    ) -> Self {
        Self {
            subscription_id: subscription.id.to_string(),
            application_id: subscription.application.to_string(),
            api_id: subscription.api.to_string(),
            api_info,
            application_info,
            throttling_policy: subscription.plan.clone(),
            requested_throttling_policy: subscription.plan.clone(),
            status: subscription.state.as_contract(),
            redirection_params: None,
            id: subscription.id,
        }
    }
}
