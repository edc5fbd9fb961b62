//! Throttling policies in the form of the Admin v4 contract, checked on the way in.

use portcullis_model::monetization;
use portcullis_model::policy::Burst;
use portcullis_model::policy_rules::TierPermission;
use portcullis_model::{
    PolicyId, PolicyLevel, PolicyRules, QuotaPolicy, Refused, Role, TenantDomain, Window, WindowKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::condition_body::{self, GroupBody};
use crate::custom_body;
use crate::limit_body::{LimitBody, time_unit};
use crate::messages::RuledPolicy;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    default_limit: Option<LimitBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applicable_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    siddhi_query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
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
    conditional_groups: Option<Vec<GroupBody>>,
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
    /// The policy's name.
    pub(crate) fn name(&self) -> &str {
        &self.policy_name
    }

    /// Checks the fields and returns the policy with its rules; its id and version are the state's to give.
    pub(crate) fn into_policy(
        mut self,
        tenant: TenantDomain,
        level: PolicyLevel,
    ) -> Result<(QuotaPolicy, PolicyRules), Refused> {
        check_name(&self.policy_name)?;
        check_length("displayName", self.display_name.as_deref(), DISPLAY_NAME_CHARS_MAX)?;
        check_length("description", self.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
        let mut rules = self.rules(level)?;
        let (quota, window) = match level {
            PolicyLevel::Custom => {
                let rule = custom_body::read(
                    self.siddhi_query.as_deref(),
                    self.key_template.as_deref(),
                    self.expression.as_deref(),
                    self.default_limit.as_ref(),
                )?;
                rules.custom = Some(rule.rule);
                (rule.quota, rule.window)
            }
            _ => {
                let limit = self.default_limit.as_ref();
                limit.ok_or_else(|| Refused::invalid("defaultLimit", "is missing"))?.read(level, "defaultLimit")?
            }
        };
        let is_plan = level == PolicyLevel::Subscription;
        let burst = match (is_plan, &self.burst_limit) {
            (true, _) => burst("", self.rate_limit_count, self.rate_limit_time_unit.as_deref())?,
            (false, Some(body)) if level == PolicyLevel::Application => {
                burst("burstLimit.", body.rate_limit_count, body.rate_limit_time_unit.as_deref())?
            }
            (false, _) => None,
        };
        let other = if is_plan { std::mem::take(&mut self.other).checked()? } else { OtherFields::default() };
        let other_fields = serde_json::to_string(&other)
            .map_err(|error| Refused::invalid("policy", format!("cannot be stored: {error}")))?;
        let policy = QuotaPolicy {
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
        };
        Ok((policy, rules))
    }

    /// Checks the fields that are rules at `level`, but for a custom rule's own.
    fn rules(&self, level: PolicyLevel) -> Result<PolicyRules, Refused> {
        let window_kind = match self.window_kind.as_deref() {
            None => WindowKind::Fixed,
            Some(kind) => WindowKind::from_contract(kind)
                .ok_or_else(|| Refused::invalid("windowKind", "must be fixed or sliding"))?,
        };
        let rules = PolicyRules { window_kind, ..PolicyRules::default() };
        match level {
            PolicyLevel::Advanced => {
                let is_per_user = match self.applicable_level.as_deref() {
                    None | Some("apiLevel") => false,
                    Some("userLevel") => true,
                    Some(_) => return Err(Refused::invalid("applicableLevel", "must be apiLevel or userLevel")),
                };
                let groups = condition_body::read_groups(self.conditional_groups.as_deref().unwrap_or_default())?;
                Ok(PolicyRules { is_per_user, groups, ..rules })
            }
            PolicyLevel::Subscription => Ok(PolicyRules {
                permission: self.other.permission()?,
                subscriber_count: self.other.subscriber_count.unwrap_or(0),
                graphql_complexity_max: self.other.graphql_max_complexity.unwrap_or(0),
                graphql_depth_max: self.other.graphql_max_depth.unwrap_or(0),
                ..rules
            }),
            PolicyLevel::Application | PolicyLevel::Custom => Ok(rules),
        }
    }

    /// Returns a policy as the contract shows it: also the fields that say nothing of this one.
    pub(crate) fn shown(ruled: &RuledPolicy) -> Value {
        let mut body = json!(Self::of(ruled));
        let of_level: &[&str] = match ruled.policy.level {
            PolicyLevel::Subscription => &["rateLimitTimeUnit", "monetization", "permissions"],
            PolicyLevel::Application => &["burstLimit"],
            PolicyLevel::Advanced | PolicyLevel::Custom => &[],
        };
        let fill = |body: &mut Value, names: &[&str]| {
            for name in names {
                body.as_object_mut().map(|fields| fields.entry(*name).or_insert(Value::Null));
            }
        };
        fill(&mut body, of_level);
        if let Some(limit) = body.get_mut("defaultLimit") {
            fill(limit, &["requestCount", "bandwidth", "eventCount", "aiApiQuota"]);
        }
        body
    }

    /// Returns a policy in the contract's form.
    pub(crate) fn of(ruled: &RuledPolicy) -> Self {
        let (policy, rules) = (ruled.policy.as_ref(), ruled.rules.as_ref());
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
            default_limit: Some(LimitBody::of(policy.quota, policy.window)),
            window_kind: (rules.window_kind != WindowKind::Fixed).then(|| rules.window_kind.as_contract().to_owned()),
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
            PolicyLevel::Advanced => Self {
                applicable_level: rules.is_per_user.then(|| "userLevel".to_owned()),
                conditional_groups: Some(rules.groups.iter().map(GroupBody::of).collect()),
                ..body
            },
            PolicyLevel::Custom => {
                let rule = rules.custom.clone().unwrap_or_else(custom_body::nothing);
                Self {
                    siddhi_query: Some(rule.siddhi_query),
                    key_template: Some(rule.key_template),
                    expression: Some(rule.expression),
                    ..body
                }
            }
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
        if let Some(said) = &self.monetization {
            monetization::read(said.monetization_plan.as_deref(), &said.properties)?;
        }
        if let Some(permissions) = &self.permissions
            && !matches!(permissions.permission_type.as_str(), "ALLOW" | "DENY")
        {
            return Err(Refused::invalid("permissions.permissionType", "must be ALLOW or DENY"));
        }
        Ok(self)
    }

    fn permission(&self) -> Result<Option<TierPermission>, Refused> {
        let Some(body) = &self.permissions else { return Ok(None) };
        if body.roles.is_empty() || body.roles.iter().any(|role| role.trim().is_empty()) {
            return Err(Refused::invalid("permissions.roles", "must name at least one role, none of them empty"));
        }
        let roles = body.roles.iter().map(|role| Role(role.trim().to_owned())).collect();
        Ok(Some(TierPermission { is_allowed: body.permission_type == "ALLOW", roles }))
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
