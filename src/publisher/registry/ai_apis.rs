//! AI APIs: which LLM provider they are of, and what plans and policies fit them.

use portcullis_database::{Apimgtdb, assets};
use portcullis_http::contract::llm_provider::LlmProvider;
use portcullis_model::ai::{self, AI_API, Provider, SUBTYPE, routes_in};
use portcullis_model::api_endpoint::{ApiEndpoint, endpoints_among, usual_id};
use portcullis_model::asset::AssetKind;
use portcullis_model::{Api, KeyType, Mediation, PolicyLevel, Quota, TenantDomain};
use serde_json::{Map, Value};

use super::Snapshot;
use crate::dto::api_body::kept_fields;
use crate::fault::PublisherError;

/// Puts into the fields of an API what is known of the provider that they name, and returns the provider. The subtype of
/// an API that is there stays; fields that do not say it leave it as it is.
///
/// # Errors
/// Where the provider is not there, or the subtype is another than it was.
pub(super) fn settle(
    snapshot: &Snapshot,
    tenant: &TenantDomain,
    current: Option<&Api>,
    fields: &mut Map<String, Value>,
) -> Result<Option<LlmProvider>, PublisherError> {
    ai::set_provider(fields, None);
    let before = current.map(kept_fields).unwrap_or_default();
    let is_said = fields.get(SUBTYPE).is_some_and(|said| !said.is_null());
    if let Some(kept) = before.get(SUBTYPE).filter(|_| !is_said) {
        fields.insert(SUBTYPE.to_owned(), kept.clone());
    }
    let (subtype, was) = (ai::subtype_among(fields), ai::subtype_among(&before));
    if current.is_some() && subtype != was {
        let reason = format!("subtype is {subtype}; it cannot change, and is {was}");
        return Err(PublisherError::field(SUBTYPE, reason));
    }
    if subtype != AI_API {
        return Ok(None);
    }
    let named = Named::of(&fields[SUBTYPE]["configuration"])?;
    let all = assets::of_tenant(snapshot.read::<Apimgtdb>(), tenant, AssetKind::LlmProvider);
    let found = LlmProvider::all(all).into_iter().filter(|one| named.fits(one)).min_by_key(|one| !named.is_by_id(one));
    let known = match &found {
        Some(provider) => {
            let configurations = serde_json::from_str(&provider.configurations).unwrap_or_default();
            Some(Provider::new(&provider.name, &provider.api_version, &configurations))
        }
        // One that is gone stays with the APIs that it has.
        None => ai::provider_among(&before).filter(|_| before.get(SUBTYPE) == fields.get(SUBTYPE)),
    };
    let Some(known) = known else {
        let reason = format!("names {named}, which is not there; GET /llm-providers lists the LLM providers that are");
        return Err(PublisherError::field("subtypeConfiguration.configuration", reason));
    };
    ai::set_provider(fields, Some(&known));
    fields.entry("egress").or_insert(Value::Bool(true));
    Ok(found)
}

/// A provider as an API names it.
struct Named {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

impl Named {
    /// Reads it: an object, or one as text, as the original has it.
    fn of(configuration: &Value) -> Result<Self, PublisherError> {
        let wrong = |reason: &str| PublisherError::field("subtypeConfiguration.configuration", reason);
        let read = match configuration {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            other => other.clone(),
        };
        if !read.is_object() {
            return Err(wrong("must be an object, or one as text, that names an LLM provider"));
        }
        let text = |name: &str| read[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let named =
            Self { id: text("llmProviderId"), name: text("llmProviderName"), version: text("llmProviderApiVersion") };
        if named.id.is_none() && named.name.is_none() {
            return Err(wrong("must have llmProviderId, or llmProviderName and llmProviderApiVersion"));
        }
        Ok(named)
    }

    fn is_by_id(&self, provider: &LlmProvider) -> bool {
        self.id.as_deref() == Some(&*provider.id.to_string())
    }

    /// Says whether a provider may be meant. In another cluster it has another id, and the same name and version.
    fn fits(&self, provider: &LlmProvider) -> bool {
        let is_named = self.name.as_deref() == Some(&*provider.name)
            && self.version.as_deref().is_none_or(|version| version == provider.api_version);
        self.is_by_id(provider) || is_named
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = [&self.name, &self.version, &self.id].into_iter().flatten().map(String::as_str);
        write!(f, "the LLM provider {}", said.collect::<Vec<_>>().join(" "))
    }
}

/// Checks that plans and policies fit an API: those of tokens and models are for AI APIs. What it had before is not
/// refused.
///
/// # Errors
/// Where one does not.
pub(super) fn check(snapshot: &Snapshot, api: &Api, current: Option<&Api>) -> Result<(), PublisherError> {
    let is_ai = ai::is_ai(api);
    check_plans(snapshot, api, is_ai, current)?;
    let fields = kept_fields(api);
    let named = endpoints_among(&fields);
    for route in routes_in(&Mediation::of_document(&Value::Object(fields))) {
        if !is_ai {
            let reason = "policies that choose models are for AI APIs (subtypeConfiguration with the subtype AIAPI)";
            return Err(PublisherError::field("apiPolicies", reason));
        }
        for stage in [KeyType::Production, KeyType::Sandbox] {
            let is_there = |id: &str| id == usual_id(stage) || named.iter().any(|one| is_for(one, id, stage));
            if let Some(model) = route.models(stage).iter().find(|model| !is_there(&model.endpoint)) {
                let reason = format!(
                    "a policy has {} at the endpoint {}, and there is none of that id for {} keys",
                    model.name,
                    model.endpoint,
                    stage.as_contract()
                );
                return Err(PublisherError::field("apiPolicies", reason));
            }
        }
    }
    Ok(())
}

fn is_for(endpoint: &ApiEndpoint, id: &str, stage: KeyType) -> bool {
    endpoint.id == id && endpoint.stage == stage
}

fn check_plans(snapshot: &Snapshot, api: &Api, is_ai: bool, current: Option<&Api>) -> Result<(), PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    let is_new = |plan: &&String| current.is_none_or(|current| !current.plans.contains(plan));
    for plan in api.plans.iter().filter(is_new) {
        let key = (api.tenant.clone(), PolicyLevel::Subscription, plan.clone());
        let Some(policy) = database.policies.get(&key) else { continue };
        let reason = match (is_ai, policy.quota) {
            (true, Quota::AiTokens { .. }) => continue,
            (true, quota) if quota.is_unlimited() => continue,
            (true, _) => format!("{plan} is no plan for AI APIs; those of AIAPIQUOTALIMIT and unlimited ones are"),
            (false, Quota::AiTokens { .. }) => format!("{plan} is a plan for AI APIs, and this is none"),
            (false, _) => continue,
        };
        return Err(PublisherError::field("policies", reason));
    }
    Ok(())
}
