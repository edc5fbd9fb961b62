//! What gateways are told, in the original's structs.

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_model::port::KeyVerdict;
use portcullis_model::{Api, ApiId, DeployedApi, Operation, OperationAuth, PolicyLevel, Quota, QuotaPolicy, Timestamp};

use super::codec::{Field, Fields};
use super::contract::{info, template};
use crate::claims::subject;

/// The original's number for a token of the wrong kind: an application's where a user's is asked for, or the other way.
pub(super) const WRONG_LEVEL: u32 = 900_905;
/// The original's number for a token that lacks the scopes of what is called.
pub(super) const LACKS_SCOPE: u32 = 900_910;
/// The name of the policy that limits nothing.
const UNLIMITED: &str = "Unlimited";
/// What the original counts the calls of a whole API under.
const API_LEVEL: &str = "api_level_throttling_key";
/// `applicableLevel` of a policy that all users of an API share.
const API_LEVEL_POLICY: &str = "apiLevel";

/// Returns what says that a key is not good.
pub(super) fn refused(code: u32) -> Fields {
    let code = i32::try_from(code).unwrap_or_default();
    Fields::default().with(info::AUTHORIZED, Field::Bool(false)).with(info::STATUS, Field::Int(code))
}

/// Returns what says what a key is good for. `issued_at` is when the key was issued, where that is known.
pub(super) fn authorized(
    view: &View<Access>,
    verdict: &KeyVerdict,
    api: ApiId,
    issued_at: Timestamp,
    is_for_node: bool,
) -> Fields {
    let tables = view.read::<Apimgtdb>();
    let plan = tables.policies.get(&(verdict.tenant.clone(), PolicyLevel::Subscription, verdict.plan.clone()));
    let mut told = about_caller(verdict, issued_at);
    told = about_plan(told, plan.map(AsRef::as_ref));
    if let Some(api) = tables.apis.get(&api) {
        told = about_api(told, api);
    }
    if let Some(assertion) = &verdict.assertion {
        told = told.with_text(info::END_USER_TOKEN, assertion.token.as_str());
    }
    if is_for_node && let Ok(text) = serde_json::to_string(verdict) {
        told = told.with_text(info::VERDICT, text);
    }
    told
}

fn about_caller(verdict: &KeyVerdict, issued_at: Timestamp) -> Fields {
    let owner = if verdict.tenant.is_super() {
        verdict.application_owner.to_string()
    } else {
        subject(&verdict.tenant, &verdict.application_owner)
    };
    let validity = verdict.expires_at.0.saturating_sub(issued_at.0);
    Fields::default()
        .with(info::AUTHORIZED, Field::Bool(true))
        .with_text(info::SUBSCRIBER, owner)
        .with_text(info::TIER, verdict.plan.as_str())
        .with_text(info::TYPE, verdict.key_type.as_contract())
        .with_text(info::END_USER, subject(&verdict.tenant, &verdict.end_user))
        .with_text(info::APPLICATION_NAME, verdict.application_name.as_str())
        .with(info::STATUS, Field::Int(0))
        .with_text(info::APPLICATION_ID, verdict.application.to_string())
        .with_text(info::APPLICATION_TIER, verdict.application_policy.as_str())
        .with_text(info::CONSUMER_KEY, verdict.client.0.as_str())
        .with(info::SCOPES, Field::TextSet(verdict.scopes.clone()))
        .with(info::VALIDITY_PERIOD, Field::Long(number(validity)))
        .with(info::ISSUED_TIME, Field::Long(number(issued_at.0)))
        .with_text(info::SUBSCRIBER_TENANT, verdict.tenant.0.as_str())
}

fn about_plan(told: Fields, plan: Option<&QuotaPolicy>) -> Fields {
    let burst = plan.and_then(|plan| plan.burst);
    let is_content_aware = plan.is_some_and(|plan| matches!(plan.quota, Quota::Bandwidth { .. }));
    let spikes = i32::try_from(burst.map_or(0, |burst| burst.count)).unwrap_or(i32::MAX);
    let told = told
        .with(info::IS_CONTENT_AWARE, Field::Bool(is_content_aware))
        .with(info::SPIKE_ARREST_LIMIT, Field::Int(spikes))
        .with(info::STOPS_ON_QUOTA, Field::Bool(plan.is_none_or(|plan| plan.stops_on_quota_reach)));
    match burst {
        Some(burst) => told.with_text(info::SPIKE_ARREST_UNIT, burst.window.unit.as_contract()),
        None => told,
    }
}

fn about_api(told: Fields, api: &Api) -> Fields {
    told.with_text(info::API_NAME, api.name.as_str())
        .with_text(info::API_PUBLISHER, api.provider.0.as_str())
        .with_text(info::API_TIER, api.api_policy.as_deref().unwrap_or(UNLIMITED))
        .with(info::THROTTLING_DATA, Field::Texts(vec![API_LEVEL.to_owned()]))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Returns why a good key may not call an operation, by the original's number; `None` where it may. Of what is not said
/// nothing is asked.
pub(super) fn objection(
    served: Option<&DeployedApi>,
    verdict: &KeyVerdict,
    level: &str,
    verb: &str,
    resource: &str,
) -> Option<u32> {
    let is_wrong_level = (level == OperationAuth::Application.as_contract() && verdict.is_user_token)
        || (level == OperationAuth::ApplicationUser.as_contract() && !verdict.is_user_token);
    if is_wrong_level {
        return Some(WRONG_LEVEL);
    }
    let mut operations = served?.operations.iter();
    let called = operations.find(|one| one.verb.eq_ignore_ascii_case(verb) && one.target == resource)?;
    let lacks = !called.scopes.is_empty() && !called.scopes.iter().any(|scope| verdict.scopes.contains(scope));
    lacks.then_some(LACKS_SCOPE)
}

/// Returns what can be called of an API.
pub(super) fn templates(served: &DeployedApi) -> Vec<Fields> {
    let of_operation = |operation: &Operation| {
        let policy = served.api_policy.as_ref().unwrap_or(&operation.policy);
        Fields::default()
            .with_text(template::URI_TEMPLATE, operation.target.as_str())
            .with_text(template::HTTP_VERB, operation.verb.as_str())
            .with_text(template::AUTH_TYPE, operation.auth.as_contract())
            .with_text(template::THROTTLING_TIER, policy.as_str())
            .with(template::THROTTLING_CONDITIONS, Field::Texts(vec!["_default".to_owned()]))
            .with_text(template::APPLICABLE_LEVEL, API_LEVEL_POLICY)
    };
    served.operations.iter().map(of_operation).collect()
}
