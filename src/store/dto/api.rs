//! APIs in the DevPortal contract: what a visitor of the Store sees of them, which leaves out where their backends are.

use portcullis_http::time::rfc3339;
use portcullis_model::ai::subtype_of;
use portcullis_model::api::{ApiScope, Security, versioned_context};
use portcullis_model::monetization::Terms;
use portcullis_model::{Api, Lifecycle, QuotaPolicy};
use serde::Serialize;
use serde_json::{Map, Value};

use super::endpoint_urls::EndpointUrlsDto;
use super::name_of_user;

/// Fields of an API that are kept as its publisher sent them.
struct OtherFields(Map<String, Value>);

impl OtherFields {
    fn of(api: &Api) -> Self {
        // What is stored was checked to be an object when it came in.
        Self(serde_json::from_str(&api.other_fields).unwrap_or_default())
    }

    fn or(&self, name: &str, otherwise: Value) -> Value {
        self.0.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(otherwise)
    }

    /// The custom properties that the publisher wants shown, as a list of `{name, value, display}`.
    fn shown_properties(&self) -> Vec<Value> {
        let Some(Value::Array(all)) = self.0.get("additionalProperties") else { return Vec::new() };
        all.iter().filter(|one| one.get("display").and_then(Value::as_bool).unwrap_or(false)).cloned().collect()
    }
}

/// An API in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiInfoDto {
    pub id: String,
    pub name: String,
    pub description: String,
    pub context: String,
    pub version: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub created_time: String,
    pub provider: String,
    pub life_cycle_status: &'static str,
    pub thumbnail_uri: Option<String>,
    pub avg_rating: String,
    pub throttling_policies: Vec<String>,
    pub advertise_info: Value,
    pub business_information: Value,
    pub is_subscription_available: bool,
    pub monetization_label: Option<String>,
    pub gateway_vendor: Value,
    pub additional_properties: Vec<Value>,
    pub monetized_info: bool,
    pub egress: bool,
    pub subtype: &'static str,
}

/// What a list shows of an API besides the API.
pub(crate) struct Looks {
    /// Whether it has a picture.
    pub has_thumbnail: bool,
    /// What subscribers think of it, 0.0 to 5.0.
    pub avg_rating: String,
}

impl ApiInfoDto {
    /// Makes the body.
    pub(crate) fn new(api: &Api, looks: Looks) -> Self {
        let other = OtherFields::of(api);
        Self {
            id: api.id.to_string(),
            name: api.name.clone(),
            description: api.description.clone(),
            context: api.context.clone(),
            version: api.version.clone(),
            kind: api.kind.as_contract(),
            created_time: api.created_at.to_string(),
            provider: name_of_user(&api.tenant, &api.provider),
            life_cycle_status: api.lifecycle.as_contract(),
            thumbnail_uri: looks.has_thumbnail.then(|| format!("/apis/{}/thumbnail", api.id)),
            avg_rating: looks.avg_rating,
            throttling_policies: api.plans.clone(),
            advertise_info: other.or("advertiseInfo", no_advertisement()),
            business_information: other.or("businessInformation", no_business_information()),
            is_subscription_available: takes_subscriptions(api),
            monetization_label: None,
            gateway_vendor: other.or("gatewayVendor", DEFAULT_VENDOR.into()),
            additional_properties: other.shown_properties(),
            monetized_info: api.is_monetized(),
            egress: other.or("egress", Value::Bool(false)) == Value::Bool(true),
            subtype: subtype_of(api),
        }
    }
}

const DEFAULT_VENDOR: &str = "wso2";

fn no_advertisement() -> Value {
    serde_json::json!({
        "advertised": false,
        "apiExternalProductionEndpoint": null,
        "apiExternalSandboxEndpoint": null,
        "originalDevPortalUrl": null,
        "apiOwner": null,
        "vendor": "WSO2",
    })
}

fn no_business_information() -> Value {
    serde_json::json!({
        "businessOwner": null,
        "businessOwnerEmail": null,
        "technicalOwner": null,
        "technicalOwnerEmail": null,
    })
}

fn takes_subscriptions(api: &Api) -> bool {
    matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped)
}

/// A scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ScopeDto {
    /// The name in tokens.
    pub key: String,
    pub name: String,
    pub roles: Vec<String>,
    pub description: String,
}

impl From<&ApiScope> for ScopeDto {
    fn from(scope: &ApiScope) -> Self {
        Self {
            key: scope.name.clone(),
            name: scope.display_name.clone(),
            roles: scope.roles.iter().map(|role| role.0.clone()).collect(),
            description: scope.description.clone(),
        }
    }
}

/// An API with everything that its subscribers need.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiDto {
    pub id: String,
    pub name: String,
    pub description: String,
    pub context: String,
    pub version: String,
    pub provider: String,
    pub api_definition: Option<String>,
    pub wsdl_uri: Option<String>,
    pub life_cycle_status: &'static str,
    pub is_default_version: bool,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub transport: Vec<&'static str>,
    pub operations: Vec<OperationDto>,
    pub authorization_header: Option<String>,
    pub api_key_header: Value,
    pub security_scheme: Vec<&'static str>,
    pub tags: Vec<String>,
    pub tiers: Vec<TierDto>,
    pub has_thumbnail: bool,
    pub additional_properties: Vec<Value>,
    pub monetization: MonetizationDto,
    #[serde(rename = "endpointURLs")]
    pub endpoint_urls: Vec<EndpointUrlsDto>,
    pub business_information: Value,
    pub environment_list: Vec<&'static str>,
    pub scopes: Vec<ScopeDto>,
    pub avg_rating: String,
    pub subscriptions: usize,
    pub advertise_info: Value,
    pub is_subscription_available: bool,
    pub categories: Vec<String>,
    pub key_managers: Value,
    pub created_time: String,
    pub last_updated_time: String,
    pub gateway_vendor: Value,
    pub async_transport_protocols: Value,
    pub egress: bool,
    pub subtype: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperationDto {
    /// Operations are told apart by verb and target.
    pub id: Option<String>,
    pub target: String,
    pub verb: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierDto {
    pub tier_name: String,
    pub tier_plan: String,
    pub monetization_attributes: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct MonetizationDto {
    pub enabled: bool,
}

/// What an API's body is made of besides the API.
pub(crate) struct ApiParts<'a> {
    /// The plans that exist, in the API's order.
    pub plans: &'a [&'a QuotaPolicy],
    /// Where it is called.
    pub endpoint_urls: Vec<EndpointUrlsDto>,
    /// Its definition, as subscribers may see it.
    pub definition: Option<String>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Its picture and ratings.
    pub looks: Looks,
}

impl ApiDto {
    /// Makes the body.
    pub(crate) fn new(api: &Api, parts: ApiParts<'_>) -> Self {
        let other = OtherFields::of(api);
        let tiers = parts.plans.iter().map(|plan| TierDto {
            tier_name: plan.name.clone(),
            tier_plan: plan.billing_plan.clone(),
            monetization_attributes: Terms::of(plan).map(|terms| serde_json::json!(terms.properties())),
        });
        let operations = api.operations.iter().map(|one| OperationDto {
            id: None,
            target: one.target.clone(),
            verb: one.verb.clone(),
        });
        Self {
            id: api.id.to_string(),
            name: api.name.clone(),
            description: api.description.clone(),
            context: versioned_context(&api.context, &api.version),
            version: api.version.clone(),
            provider: name_of_user(&api.tenant, &api.provider),
            api_definition: parts.definition,
            wsdl_uri: None,
            life_cycle_status: api.lifecycle.as_contract(),
            is_default_version: api.is_default_version,
            kind: api.kind.as_contract(),
            transport: transports(api),
            operations: operations.collect(),
            authorization_header: api.authorization_header.clone(),
            api_key_header: other.or("apiKeyHeader", Value::Null),
            security_scheme: security_scheme(api.security),
            tags: api.tags.clone(),
            tiers: tiers.collect(),
            has_thumbnail: parts.looks.has_thumbnail,
            additional_properties: other.shown_properties(),
            monetization: MonetizationDto { enabled: api.is_monetized() },
            endpoint_urls: parts.endpoint_urls,
            business_information: other.or("businessInformation", no_business_information()),
            environment_list: environments(api),
            scopes: api.scopes.iter().map(ScopeDto::from).collect(),
            avg_rating: parts.looks.avg_rating,
            subscriptions: parts.subscriptions,
            advertise_info: other.or("advertiseInfo", no_advertisement()),
            is_subscription_available: takes_subscriptions(api),
            categories: api.categories.clone(),
            key_managers: other.or("keyManagers", serde_json::json!(["all"])),
            created_time: rfc3339(api.created_at),
            last_updated_time: rfc3339(api.updated_at),
            gateway_vendor: other.or("gatewayVendor", DEFAULT_VENDOR.into()),
            async_transport_protocols: other.or("asyncTransportProtocols", serde_json::json!([])),
            egress: other.or("egress", Value::Bool(false)) == Value::Bool(true),
            subtype: subtype_of(api),
        }
    }
}

fn transports(api: &Api) -> Vec<&'static str> {
    [(api.has_http, "http"), (api.has_https, "https")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect()
}

fn environments(api: &Api) -> Vec<&'static str> {
    let has = [(!api.endpoints.production.is_empty(), "PRODUCTION"), (!api.endpoints.sandbox.is_empty(), "SANDBOX")];
    has.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
}

fn security_scheme(security: Security) -> Vec<&'static str> {
    let has_token = security.has_oauth2 || security.has_basic_auth || security.has_api_key;
    let words = [
        (security.has_oauth2, "oauth2"),
        (security.has_basic_auth, "basic_auth"),
        (security.has_api_key, "api_key"),
        (has_token && security.is_token_mandatory, "oauth_basic_auth_api_key_mandatory"),
        (security.has_mutual_tls, "mutualssl"),
        (security.has_mutual_tls && security.is_mutual_tls_mandatory, "mutualssl_mandatory"),
    ];
    words.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
}
