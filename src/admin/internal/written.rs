//! What is kept, in the original's words.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis_database::Apimgtdb;
use portcullis_database::key_managers::of_tenant as key_managers_of;
use portcullis_model::api::versioned_context;
use portcullis_model::key_manager::RESIDENT_KEY_MANAGER;
use portcullis_model::{Api, Application, ClientId, KeyType, PolicyLevel, QuotaPolicy, Subscription, TenantDomain};
use serde_json::{Value, json};

use super::rest::{Question, fits};
use crate::key_manager_body;
use crate::limit_body::LimitBody;

pub(super) fn apis(question: &Question) -> impl Iterator<Item = Value> {
    let (tables, wanted) = (question.view.read::<Apimgtdb>(), &question.wanted);
    let of_tenant = tables.apis.values().filter(|api| api.tenant == question.tenant);
    let is_wanted = |api: &&Arc<Api>| {
        let context = versioned_context(&api.context, &api.version);
        fits(wanted.api_id.as_deref(), &api.id.to_string())
            && (fits(wanted.context.as_deref(), &context) || fits(wanted.context.as_deref(), &api.context))
            && fits(wanted.version.as_deref(), &api.version)
    };
    of_tenant.filter(is_wanted).map(|api| written_api(api))
}

fn written_api(api: &Api) -> Value {
    let operations: Vec<Value> = api
        .operations
        .iter()
        .map(|operation| {
            json!({
                "urlPattern": operation.target,
                "httpMethod": operation.verb,
                "authScheme": operation.auth.as_contract(),
                "throttlingPolicy": operation.policy,
                "scopes": operation.scopes,
            })
        })
        .collect();
    json!({
        "uuid": api.id.to_string(),
        "provider": api.provider.0,
        "name": api.name,
        "version": api.version,
        "context": versioned_context(&api.context, &api.version),
        "policy": api.api_policy,
        "apiType": api.kind.as_contract(),
        "isDefaultVersion": api.is_default_version,
        "status": api.lifecycle.as_contract(),
        "organization": api.tenant.0,
        "urlMappings": operations,
    })
}

pub(super) fn applications(question: &Question) -> impl Iterator<Item = Value> {
    let tables = question.view.read::<Apimgtdb>();
    let of_tenant = tables.applications.values().filter(|one| one.tenant == question.tenant);
    let is_wanted = |one: &&Arc<Application>| fits(question.wanted.app_id.as_deref(), &one.id.to_string());
    of_tenant.filter(is_wanted).map(|one| {
        json!({
            "uuid": one.id.to_string(),
            "name": one.name,
            "subName": one.owner.0,
            "policy": one.policy,
            "tokenType": one.token_type.as_contract(),
            "groupIds": one.groups,
            "attributes": one.attributes,
            "organization": one.tenant.0,
        })
    })
}

/// Returns the subscriptions to the tenant's APIs, and those of its applications.
pub(super) fn subscriptions(question: &Question) -> impl Iterator<Item = Value> {
    let (tables, wanted) = (question.view.read::<Apimgtdb>(), &question.wanted);
    let is_seen = |one: &&Arc<Subscription>| {
        one.tenant == question.tenant || tables.apis.get(&one.api).is_some_and(|api| api.tenant == question.tenant)
    };
    let is_wanted = |one: &&Arc<Subscription>| {
        fits(wanted.api_id.as_deref(), &one.api.to_string())
            && fits(wanted.app_id.as_deref(), &one.application.to_string())
    };
    tables.subscriptions.values().filter(is_wanted).filter(is_seen).map(|one| {
        json!({
            "subscriptionUUID": one.id.to_string(),
            "apiUUID": one.api.to_string(),
            "applicationUUID": one.application.to_string(),
            "policyId": one.plan,
            "subscriptionState": one.state.as_contract(),
        })
    })
}

/// Returns the callbacks that are subscribed to topics of the tenant's APIs. What they have events signed with is theirs alone.
pub(super) fn webhooks(question: &Question) -> impl Iterator<Item = Value> {
    let tables = question.view.read::<Apimgtdb>();
    tables.webhooks.values().filter_map(|one| {
        let api = tables.apis.get(&one.api).filter(|api| api.tenant == question.tenant)?;
        let application = tables.applications.get(&one.application)?;
        let plan = tables.subscriptions_by_application.get(&(one.application, one.api));
        let plan = plan.and_then(|id| tables.subscriptions.get(id)).map(|subscription| subscription.plan.as_str());
        Some(json!({
            "apiUUID": one.api.to_string(),
            "appID": one.application.to_string(),
            "callbackURL": one.callback,
            "topicName": one.asked_topic,
            "secret": null,
            "expiryTime": one.expires_at.0,
            "tenantDomain": one.tenant.0,
            "apiContext": versioned_context(&api.context, &api.version),
            "apiVersion": api.version,
            "tier": plan,
            "applicationTier": application.policy,
            "apiTier": api.api_policy,
            "subscriberName": application.owner.0,
        }))
    })
}

/// Returns which client calls for which application: the cluster's own clients, and those of other key managers.
pub(super) fn key_mappings(question: &Question) -> impl Iterator<Item = Value> {
    let tables = question.view.read::<Apimgtdb>();
    let managers = key_managers_of(tables, &question.tenant).map(|one| (one.id, one.name.as_str()));
    let managers: std::collections::BTreeMap<_, _> = managers.collect();
    let own = tables.key_mappings.iter().map(|((application, kind), client)| (*application, *kind, client, None));
    let mapped = tables
        .mapped_keys
        .iter()
        .map(|((manager, client), key)| (key.application, key.key_type, client, Some(*manager)));
    own.chain(mapped).filter_map(move |(application, kind, client, manager): (_, KeyType, &ClientId, _)| {
        let owner = tables.applications.get(&application).filter(|one| one.tenant == question.tenant)?;
        let manager = match manager {
            None => RESIDENT_KEY_MANAGER,
            Some(id) => managers.get(&id).copied()?,
        };
        fits(question.wanted.consumer_key.as_deref(), &client.0).then(|| {
            json!({
                "applicationUUID": owner.id.to_string(),
                "consumerKey": client.0,
                "keyType": kind.as_contract(),
                "keyManager": manager,
            })
        })
    })
}

pub(super) fn policies(question: &Question, level: PolicyLevel) -> impl Iterator<Item = Value> {
    let tables = question.view.read::<Apimgtdb>();
    let from = (question.tenant.clone(), level, String::new());
    let rows = tables.policies.range(from..);
    let of_level = rows.take_while(move |((tenant, of, _), _)| *tenant == question.tenant && *of == level);
    let is_wanted = |name: &str| fits(question.wanted.policy_name.as_deref(), name);
    of_level.filter(move |(_, policy)| is_wanted(&policy.name)).map(|(key, policy)| {
        let mut shown = written_policy(policy);
        if let Some(rule) = tables.policy_rules.get(key).and_then(|rules| rules.custom.as_ref()) {
            shown["keyTemplate"] = rule.key_template.as_str().into();
            shown["siddhiQuery"] = rule.siddhi_query.as_str().into();
        }
        shown
    })
}

fn written_policy(policy: &QuotaPolicy) -> Value {
    let limit = LimitBody::of(policy.quota, policy.window);
    let mut shown = json!({
        "uuid": policy.id.to_string(),
        "name": policy.name,
        "tenantDomain": policy.tenant.0,
        "defaultLimit": limit,
        "quotaType": limit.kind(),
    });
    if policy.level == PolicyLevel::Subscription {
        shown["stopOnQuotaReach"] = policy.stops_on_quota_reach.into();
    }
    if let Some(burst) = policy.burst {
        shown["rateLimitCount"] = burst.count.into();
        shown["rateLimitTimeUnit"] = burst.window.unit.as_contract().into();
    }
    shown
}

/// Returns the scopes of the tenant's APIs, each name once, in the order of names.
pub(super) fn scopes(question: &Question) -> impl Iterator<Item = Value> {
    let tables = question.view.read::<Apimgtdb>();
    let apis = tables.apis.values().filter(|api| api.tenant == question.tenant);
    let of_apis =
        apis.flat_map(|api| &api.scopes).map(|one| (&one.name, (&one.display_name, &one.roles, &one.description)));
    let shared = of_tenant(&tables.shared_scopes, &question.tenant);
    let shared = shared.map(|one| (&one.name, (&one.display_name, &one.roles, &one.description)));
    let all: std::collections::BTreeMap<_, _> = of_apis.chain(shared).collect();
    let is_wanted = |name: &str| fits(question.wanted.scope_key.as_deref(), name);
    all.into_iter().filter(move |(name, _)| is_wanted(name)).map(|(name, (display_name, roles, description))| {
        let roles: Vec<&str> = roles.iter().map(|role| role.0.as_str()).collect();
        json!({ "name": name, "displayName": display_name, "roles": roles, "description": description })
    })
}

pub(super) fn key_managers(question: &Question) -> impl Iterator<Item = Value> {
    let resident = json!({ "name": RESIDENT_KEY_MANAGER, "type": "default", "enabled": true, "tokenType": "DIRECT" });
    let others = key_managers_of(question.view.read::<Apimgtdb>(), &question.tenant);
    let all = std::iter::once(resident).chain(others.map(|one| key_manager_body::brief(one)));
    all.map(|mut shown| {
        shown["organization"] = question.tenant.0.as_str().into();
        shown
    })
}

pub(super) fn endpoint_certificates(question: &Question) -> impl Iterator<Item = Value> {
    let all = of_tenant(&question.view.read::<Apimgtdb>().endpoint_certificates, &question.tenant);
    let is_wanted = |alias: &str| fits(question.wanted.alias.as_deref(), alias);
    all.filter(move |one| is_wanted(&one.alias)).map(|one| {
        json!({
            "alias": one.alias,
            "endpoint": one.endpoint,
            "certificate": BASE64_STANDARD.encode(&one.certificate.0),
            "tenantDomain": one.tenant.0,
        })
    })
}

/// Returns the rows of one tenant of a table that is by tenant and then by something else.
pub(super) fn of_tenant<'a, K: 'a, V: 'a>(
    table: impl IntoIterator<Item = (&'a (TenantDomain, K), &'a V)>,
    tenant: &'a TenantDomain,
) -> impl Iterator<Item = &'a V> {
    table.into_iter().filter(move |((of, _), _)| of == tenant).map(|(_, row)| row)
}
