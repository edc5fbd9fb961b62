//! Throttling policies in the contract.

use std::collections::BTreeMap;

use portcullis_model::monetization::Terms;
use portcullis_model::policy::DataUnit;
use portcullis_model::{PolicyLevel, PolicyRules, Quota, QuotaPolicy};
use serde::Serialize;

/// A policy of the application or subscription level.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyDto {
    pub name: String,
    pub description: String,
    pub policy_level: &'static str,
    pub attributes: BTreeMap<String, String>,
    pub request_count: u64,
    pub data_unit: Option<&'static str>,
    pub unit_time: u32,
    pub time_unit: &'static str,
    pub rate_limit_count: u64,
    pub rate_limit_time_unit: Option<&'static str>,
    pub quota_policy_type: Option<&'static str>,
    /// What pages say; no field of the contract.
    #[serde(skip)]
    pub counts_events: bool,
    pub tier_plan: String,
    pub stop_on_quota_reach: bool,
    pub monetization_attributes: Option<BTreeMap<String, String>>,
    pub throttling_policy_permissions: Option<PermissionDto>,
}

/// Who may choose a plan.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PermissionDto {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub roles: Vec<String>,
}

impl PolicyDto {
    /// Returns the limit as people read it.
    pub(crate) fn limit(&self) -> String {
        if self.request_count >= portcullis_model::policy::UNLIMITED {
            return "no limit".to_owned();
        }
        let what = match self.data_unit {
            Some(unit) => unit,
            None if self.counts_events => "events",
            None => "calls",
        };
        match self.unit_time {
            1 => format!("{} {what} per {}", self.request_count, self.time_unit),
            length => format!("{} {what} per {length} {}", self.request_count, self.time_unit),
        }
    }

    /// Shows a policy with its rules.
    pub(crate) fn new(policy: &QuotaPolicy, rules: Option<&PolicyRules>) -> Self {
        let (request_count, data_unit, quota_policy_type) = match policy.quota {
            Quota::Requests(count) => (count, None, Some("REQUESTCOUNT")),
            Quota::Bandwidth { amount, unit } => (amount, Some(name_of_unit(unit)), Some("BANDWIDTHVOLUME")),
            // The contract has no word for the other types.
            Quota::Events(count) => (count, None, None),
            Quota::AiTokens { requests, .. } => (requests, None, None),
        };
        Self {
            name: policy.name.clone(),
            description: policy.description.clone(),
            policy_level: name_of_level(policy.level),
            attributes: BTreeMap::new(),
            request_count,
            data_unit,
            unit_time: policy.window.length,
            time_unit: policy.window.unit.as_contract(),
            rate_limit_count: policy.burst.map_or(0, |burst| burst.count),
            rate_limit_time_unit: policy.burst.map(|burst| burst.window.unit.as_contract()),
            quota_policy_type,
            counts_events: matches!(policy.quota, Quota::Events(_)),
            tier_plan: policy.billing_plan.clone(),
            stop_on_quota_reach: policy.stops_on_quota_reach,
            monetization_attributes: Terms::of(policy).map(|terms| terms.properties()),
            throttling_policy_permissions: rules.and_then(|rules| rules.permission.as_ref()).map(|permission| {
                PermissionDto {
                    kind: if permission.is_allowed { "allow" } else { "deny" },
                    roles: permission.roles.iter().map(|role| role.0.clone()).collect(),
                }
            }),
        }
    }
}

fn name_of_unit(unit: DataUnit) -> &'static str {
    match unit {
        DataUnit::Kb => "KB",
        DataUnit::Mb => "MB",
        DataUnit::Gb => "GB",
    }
}

fn name_of_level(level: PolicyLevel) -> &'static str {
    match level {
        PolicyLevel::Subscription => "subscription",
        PolicyLevel::Application => "application",
        PolicyLevel::Advanced => "api",
        PolicyLevel::Custom => "global",
    }
}
