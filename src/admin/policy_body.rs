//! Throttling policies in the form of the Admin v4 contract, checked on the way in.

use portcullis_model::policy::Burst;
use portcullis_model::{PolicyId, PolicyLevel, QuotaPolicy, Refused, TenantDomain, Window};
use serde::{Deserialize, Serialize};

use crate::limit_body::{LimitBody, time_unit};

/// Characters in a policy's name (contract).
const NAME_CHARS_MAX: usize = 60;
/// Characters in a policy's display name (contract).
const DISPLAY_NAME_CHARS_MAX: usize = 512;
/// Characters in a policy's description (contract).
const DESCRIPTION_CHARS_MAX: usize = 1024;
/// Attributes of one policy, roles of its permissions, and properties of its monetization plan.
const LIST_MAX: usize = 100;

/// A policy of any level. Which fields a level has is decided by [`PolicyBody::into_policy`] and [`PolicyBody::of`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_id: Option<String>,
    policy_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_deployed: Option<bool>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(flatten)]
    other: OtherFields,
    default_limit: LimitBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_time_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst_limit: Option<BurstBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_on_quota_reach: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditional_groups: Option<Vec<serde_json::Value>>,
}

/// Fields of the contract that nothing here acts on; kept as they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OtherFields {
    #[serde(rename = "graphQLMaxComplexity", skip_serializing_if = "Option::is_none")]
    graphql_max_complexity: Option<u32>,
    #[serde(rename = "graphQLMaxDepth", skip_serializing_if = "Option::is_none")]
    graphql_max_depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monetization: Option<MonetizationBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriber_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_attributes: Option<Vec<AttributeBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<PermissionsBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MonetizationBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    monetization_plan: Option<String>,
    properties: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AttributeBody {
    name: String,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionsBody {
    permission_type: String,
    roles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BurstBody {
    rate_limit_count: Option<i64>,
    rate_limit_time_unit: Option<String>,
}

impl PolicyBody {
    /// Checks the fields and returns the policy; its id and version are the state's to give.
    pub(crate) fn into_policy(self, tenant: TenantDomain, level: PolicyLevel) -> Result<QuotaPolicy, Refused> {
        check_name(&self.policy_name)?;
        check_length("displayName", self.display_name.as_deref(), DISPLAY_NAME_CHARS_MAX)?;
        check_length("description", self.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
        let (quota, window) = self.default_limit.read(level)?;
        let is_plan = level == PolicyLevel::Subscription;
        let burst = match (is_plan, &self.burst_limit) {
            (true, _) => burst("", self.rate_limit_count, self.rate_limit_time_unit.as_deref())?,
            (false, Some(body)) => burst("burstLimit.", body.rate_limit_count, body.rate_limit_time_unit.as_deref())?,
            (false, None) => None,
        };
        let other = if is_plan { self.other.checked()? } else { OtherFields::default() };
        let other_fields = serde_json::to_string(&other)
            .map_err(|error| Refused::invalid("policy", format!("cannot be stored: {error}")))?;
        Ok(QuotaPolicy {
            id: PolicyId::from_random([0; 16]),
            tenant,
            level,
            display_name: self.display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| self.policy_name.clone()),
            name: self.policy_name,
            description: self.description.unwrap_or_default(),
            quota,
            window,
            burst,
            stops_on_quota_reach: !is_plan || self.stop_on_quota_reach.unwrap_or(false),
            billing_plan: billing_plan(self.billing_plan)?,
            other_fields,
            version: 0,
        })
    }

    /// Returns a policy in the contract's form.
    pub(crate) fn of(policy: &QuotaPolicy) -> Self {
        let kind = match policy.level {
            PolicyLevel::Subscription => "SubscriptionThrottlePolicy",
            PolicyLevel::Application => "ApplicationThrottlePolicy",
            PolicyLevel::Advanced => "AdvancedThrottlePolicy",
            PolicyLevel::Custom => "CustomRule",
        };
        let body = Self {
            policy_id: Some(policy.id.to_string()),
            policy_name: policy.name.clone(),
            display_name: Some(policy.display_name.clone()),
            description: Some(policy.description.clone()),
            is_deployed: Some(true),
            kind: Some(kind.to_owned()),
            default_limit: LimitBody::of(policy.quota, policy.window),
            ..Self::default()
        };
        let count = policy.burst.map_or(0, |burst| i64::try_from(burst.count).unwrap_or(i64::MAX));
        let unit = policy.burst.map(|burst| burst.window.unit.as_contract().to_owned());
        match policy.level {
            PolicyLevel::Subscription => Self {
                other: OtherFields::of(policy),
                rate_limit_count: Some(count),
                rate_limit_time_unit: unit,
                stop_on_quota_reach: Some(policy.stops_on_quota_reach),
                billing_plan: Some(policy.billing_plan.clone()),
                ..body
            },
            PolicyLevel::Application => {
                let burst_limit =
                    policy.burst.map(|_| BurstBody { rate_limit_count: Some(count), rate_limit_time_unit: unit });
                Self { burst_limit, ..body }
            }
            PolicyLevel::Advanced | PolicyLevel::Custom => Self { conditional_groups: Some(Vec::new()), ..body },
        }
    }
}

impl OtherFields {
    fn checked(self) -> Result<Self, Refused> {
        let attributes = self.custom_attributes.as_ref().map_or(0, Vec::len);
        let roles = self.permissions.as_ref().map_or(0, |permissions| permissions.roles.len());
        let properties = self.monetization.as_ref().map_or(0, |plan| plan.properties.len());
        for (field, count) in
            [("customAttributes", attributes), ("permissions.roles", roles), ("monetization.properties", properties)]
        {
            if count > LIST_MAX {
                return Err(Refused::invalid(field, format!("must be at most {LIST_MAX}")));
            }
        }
        if let Some(permissions) = &self.permissions
            && !matches!(permissions.permission_type.as_str(), "ALLOW" | "DENY")
        {
            return Err(Refused::invalid("permissions.permissionType", "must be ALLOW or DENY"));
        }
        Ok(self)
    }

    /// Returns what a policy was stored with, with the contract's defaults where nothing was.
    fn of(policy: &QuotaPolicy) -> Self {
        let kept: Self = serde_json::from_str(&policy.other_fields).unwrap_or_default();
        Self {
            graphql_max_complexity: kept.graphql_max_complexity.or(Some(0)),
            graphql_max_depth: kept.graphql_max_depth.or(Some(0)),
            subscriber_count: kept.subscriber_count.or(Some(0)),
            custom_attributes: kept.custom_attributes.or_else(|| Some(Vec::new())),
            ..kept
        }
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    let is_plain = name.chars().all(|one| one.is_ascii_alphanumeric() || "_.-".contains(one));
    if is_plain && (1..=NAME_CHARS_MAX).contains(&name.len()) {
        return Ok(());
    }
    let reason = format!("must be 1 to {NAME_CHARS_MAX} letters, digits, underscores, dots or hyphens");
    Err(Refused::invalid("policyName", reason))
}

fn check_length(field: &str, text: Option<&str>, max: usize) -> Result<(), Refused> {
    match text.map_or(0, |text| text.chars().count()) {
        length if length > max => {
            Err(Refused::invalid(field, format!("must be at most {max} characters; it has {length}")))
        }
        _ => Ok(()),
    }
}

/// Returns the second limit; a count of zero, or none, means that there is none.
fn burst(path: &str, count: Option<i64>, unit: Option<&str>) -> Result<Option<Burst>, Refused> {
    let count = match count.unwrap_or(0) {
        0 => return Ok(None),
        count => u64::try_from(count)
            .map_err(|_| Refused::invalid(&format!("{path}rateLimitCount"), "must be 0 (none) or more"))?,
    };
    let unit = time_unit(&format!("{path}rateLimitTimeUnit"), unit.unwrap_or_default())?;
    Ok(Some(Burst { count, window: Window { length: 1, unit } }))
}

fn billing_plan(plan: Option<String>) -> Result<String, Refused> {
    match plan {
        None => Ok("FREE".to_owned()),
        Some(plan) if plan.is_empty() => Ok("FREE".to_owned()),
        Some(plan) if matches!(plan.as_str(), "FREE" | "COMMERCIAL") => Ok(plan),
        Some(_) => Err(Refused::invalid("billingPlan", "must be FREE or COMMERCIAL")),
    }
}
