//! Throttling policies as the Publisher's contract shows them.

use portcullis_model::monetization::Terms;
use portcullis_model::policy::{DataUnit, PolicyLevel, Quota, QuotaPolicy};
use serde_json::{Value, json};

/// Returns the level that a path's `policyLevel` means: `subscription` or `api`.
#[must_use]
pub fn level_from_contract(text: &str) -> Option<PolicyLevel> {
    match text {
        "subscription" => Some(PolicyLevel::Subscription),
        "api" => Some(PolicyLevel::Advanced),
        _ => None,
    }
}

/// Writes a policy.
#[must_use]
pub fn write(policy: &QuotaPolicy) -> Value {
    let (kind, unit) = match policy.quota {
        Quota::Requests(_) | Quota::Events(_) => ("REQUESTCOUNT", None),
        Quota::Bandwidth { unit, .. } => ("BANDWIDTHVOLUME", Some(unit_name(unit))),
        Quota::AiTokens { .. } => ("AIAPIQUOTA", None),
    };
    let (count, total, prompt, completion) = match policy.quota {
        Quota::Requests(count) | Quota::Events(count) => (count, None, None, None),
        Quota::Bandwidth { amount, .. } => (amount, None, None, None),
        Quota::AiTokens { requests, total, prompt, completion } => {
            (requests, Some(total), Some(prompt), Some(completion))
        }
    };
    json!({
        "name": policy.name,
        "description": policy.description,
        "policyLevel": if policy.level == PolicyLevel::Subscription { "subscription" } else { "api" },
        "displayName": policy.display_name,
        "attributes": {},
        "requestCount": count,
        "dataUnit": unit,
        "totalTokenCount": total,
        "promptTokenCount": prompt,
        "completionTokenCount": completion,
        "unitTime": policy.window.length,
        "timeUnit": policy.window.unit.as_contract(),
        "rateLimitCount": policy.burst.map_or(0, |burst| burst.count),
        "rateLimitTimeUnit": policy.burst.map(|burst| burst.window.unit.as_contract()),
        "quotaPolicyType": kind,
        "tierPlan": policy.billing_plan,
        "stopOnQuotaReach": policy.stops_on_quota_reach,
        "monetizationProperties": Terms::of(policy).map(|terms| terms.properties()).unwrap_or_default(),
    })
}

/// Writes a plan that counts events: also what Admin's contract shows of it.
#[must_use]
pub fn write_whole(policy: &QuotaPolicy) -> Value {
    let kept: Value = serde_json::from_str(&policy.other_fields).unwrap_or_default();
    let mut body = write(policy);
    let amount = |count: u64| json!({"timeUnit": policy.window.unit.as_contract(), "unitTime": policy.window.length, "eventCount": count});
    let limit = match policy.quota {
        Quota::Events(count) => amount(count),
        _ => Value::Null,
    };
    for (name, value) in [
        ("policyId", Value::Null),
        ("uuid", json!(policy.id.to_string())),
        ("policyName", json!(policy.name)),
        ("tenantId", Value::Null),
        ("tenantDomain", json!(policy.tenant.0)),
        ("isDeployed", json!(true)),
        ("billingPlan", json!(policy.billing_plan)),
        ("subscriberCount", kept.get("subscriberCount").cloned().unwrap_or_else(|| json!(0))),
        ("customAttributes", kept.get("customAttributes").cloned().unwrap_or_else(|| json!([]))),
        ("permissions", kept.get("permissions").cloned().unwrap_or_default()),
        (
            "defaultLimit",
            json!({
                "type": "EVENTCOUNTLIMIT", "requestCount": null, "bandwidth": null, "eventCount": limit,
                "aiApiQuota": null,
            }),
        ),
    ] {
        body[name] = value;
    }
    body
}

fn unit_name(unit: DataUnit) -> &'static str {
    match unit {
        DataUnit::Kb => "KB",
        DataUnit::Mb => "MB",
        DataUnit::Gb => "GB",
    }
}
