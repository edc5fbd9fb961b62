//! Writes an API as the contract has it: every field WSO2's clients read, with the original's defaults for those that
//! nobody set.

use portcullis_model::ai;
use portcullis_model::api::Visibility;
use portcullis_model::api_endpoint::hide_endpoints;
use portcullis_model::graphql::hide_costs;
use portcullis_model::mediation::own_answer::hide_own_answers;
use portcullis_model::product::hide_parts;
use portcullis_model::{Api, ApiKind, Revision};
use serde_json::{Map, Value, json};

use super::security::security_schemes;
use super::{cors, endpoints, operations, scopes, websub};
use crate::own_policy::apply::hide_steps;

/// Returns the body of an API; of a revision of it, if one is given.
#[must_use]
pub fn write(api: &Api, revision: Option<&Revision>) -> Value {
    let mut others = kept_fields(api);
    hide_parts(&mut others);
    hide_endpoints(&mut others);
    hide_own_answers(&mut others);
    hide_costs(&mut others);
    ai::set_provider(&mut others, None);
    let kept_operations = others.shift_remove("operations");
    let kept_max_tps = others.shift_remove("maxTps");
    let mut body = contract_fields(api, revision);
    let operations = operations::write(&api.operations, kept_operations.as_ref().and_then(Value::as_object));
    body.insert("operations".to_owned(), operations);
    body.insert("maxTps".to_owned(), max_tps(api, kept_max_tps));
    body.extend(others);
    websub::hide_secret(&mut body);
    if let Some(flows) = body.get_mut("apiPolicies") {
        hide_steps(flows);
    }
    if let Some(map) = properties_map(&body) {
        body.insert("additionalPropertiesMap".to_owned(), map);
    }
    Value::Object(body)
}

/// Returns the summary of an API that lists have.
#[must_use]
pub fn write_summary(api: &Api, has_thumbnail: bool) -> Value {
    let others = kept_fields(api);
    let kept = |name: &str| others.get(name).cloned().unwrap_or(Value::Null);
    let business = others.get("businessInformation").cloned().unwrap_or_default();
    json!({
        "id": api.id.to_string(),
        "name": api.name,
        "description": some_text(&api.description),
        "context": api.context,
        "additionalProperties": others.get("additionalProperties").cloned().unwrap_or_else(|| json!([])),
        "additionalPropertiesMap": properties_map(&others).unwrap_or_else(|| json!({})),
        "version": api.version,
        "provider": provider_of(api),
        "type": api.kind.as_contract(),
        "subtype": ai::subtype_among(&others),
        "audience": kept("audience"),
        "audiences": others.get("audiences").cloned().unwrap_or_else(|| json!([])),
        "lifeCycleStatus": api.lifecycle.as_contract(),
        "workflowStatus": "APPROVED",
        "hasThumbnail": has_thumbnail,
        "securityScheme": security_schemes(api.security),
        "createdTime": api.created_at.0.to_string(),
        "updatedTime": api.updated_at.0.to_string(),
        "updatedBy": api.updated_by.0,
        "gatewayVendor": others.get("gatewayVendor").cloned().unwrap_or_else(|| json!("wso2")),
        "gatewayType": others.get("gatewayType").cloned().unwrap_or_else(|| json!("wso2/synapse")),
        "advertiseOnly": others.get("advertiseInfo").is_some_and(|info| info["advertised"] == json!(true)),
        "monetizedInfo": others.get("monetization").is_some_and(|info| info["enabled"] == json!(true)),
        "businessOwner": business.get("businessOwner"),
        "businessOwnerEmail": business.get("businessOwnerEmail"),
        "TechnicalOwner": business.get("technicalOwner"),
        "TechnicalOwnerEmail": business.get("technicalOwnerEmail"),
        "egress": others.get("egress").cloned().unwrap_or_else(|| json!(false)),
    })
}

/// Returns the provider as the original writes it: with the tenant's domain, but for the first tenant.
#[must_use]
pub fn provider_of(api: &Api) -> String {
    if api.tenant.is_super() { api.provider.0.clone() } else { format!("{}@{}", api.provider, api.tenant) }
}

/// Returns the fields that are kept without being understood.
#[must_use]
pub fn kept_fields(api: &Api) -> Map<String, Value> {
    match serde_json::from_str(&api.other_fields) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn some_text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

fn contract_fields(api: &Api, revision: Option<&Revision>) -> Map<String, Value> {
    let roles: Vec<&str> = api.visible_roles.iter().map(|role| role.0.as_str()).collect();
    let visibility = match api.visibility {
        Visibility::Public => "PUBLIC",
        Visibility::Private => "PRIVATE",
        Visibility::Restricted => "RESTRICTED",
    };
    let mut transport = Vec::new();
    let (plain, secure) = if api.kind == ApiKind::Ws { ("ws", "wss") } else { ("http", "https") };
    transport.extend(api.has_http.then_some(plain));
    transport.extend(api.has_https.then_some(secure));
    let first = json!({
        "id": revision.map_or_else(|| api.id.to_string(), |one| one.id.to_string()),
        "name": api.name,
        "description": some_text(&api.description),
        "context": api.context,
        "version": api.version,
        "provider": provider_of(api),
        "lifeCycleStatus": api.lifecycle.as_contract(),
        "wsdlInfo": null,
        "wsdlUrl": null,
        "responseCachingEnabled": false,
        "cacheTimeout": 300,
        "hasThumbnail": false,
        "isDefaultVersion": api.is_default_version,
        "isRevision": revision.is_some(),
        "revisionedApiId": revision.map(|_| api.id.to_string()),
        "revisionId": revision.map_or(0, |one| one.number),
        "enableSchemaValidation": false,
        "enableSubscriberVerification": false,
        "type": api.kind.as_contract(),
        "audience": null,
        "audiences": [],
        "transport": transport,
        "tags": api.tags,
        "policies": api.plans,
        "organizationPolicies": [],
        "apiThrottlingPolicy": api.api_policy,
        "authorizationHeader": api.authorization_header.as_deref().unwrap_or("Authorization"),
        "apiKeyHeader": "ApiKey",
        "securityScheme": security_schemes(api.security),
        "maxTps": null,
        "visibility": visibility,
        "visibleRoles": roles,
        "visibleTenants": [],
        "visibleOrganizations": [],
        "mediationPolicies": [],
        "apiPolicies": null,
    });
    let second = json!({
        "subscriptionAvailability": "CURRENT_TENANT",
        "subscriptionAvailableTenants": [],
        "additionalProperties": [],
        "additionalPropertiesMap": {},
        "monetization": null,
        "accessControl": "NONE",
        "accessControlRoles": [],
        "businessInformation": {
            "businessOwner": null, "businessOwnerEmail": null, "technicalOwner": null, "technicalOwnerEmail": null,
        },
        "corsConfiguration": cors::write(api.cors.as_ref()),
        "websubSubscriptionConfiguration": {
            "enable": false, "secret": "", "signingAlgorithm": "SHA1", "signatureHeader": "x-hub-signature",
        },
        "workflowStatus": "APPROVED",
        "createdTime": api.created_at.0.to_string(),
        "lastUpdatedTimestamp": api.updated_at.0.to_string(),
        "lastUpdatedTime": api.updated_at.0.to_string(),
        "endpointConfig": endpoints::write(&api.endpoints),
        "endpointImplementationType": "ENDPOINT",
        "primaryProductionEndpointId": null,
        "primarySandboxEndpointId": null,
        "subtypeConfiguration": {"subtype": "DEFAULT", "configuration": null},
        "scopes": scopes::write(&api.scopes),
        "operations": [],
        "threatProtectionPolicies": null,
        "categories": api.categories,
        "keyManagers": ["all"],
        "serviceInfo": null,
        "advertiseInfo": {
            "advertised": false, "apiExternalProductionEndpoint": null, "apiExternalSandboxEndpoint": null,
            "originalDevPortalUrl": null, "apiOwner": provider_of(api), "vendor": "WSO2",
        },
        "gatewayVendor": "wso2",
        "gatewayType": "wso2/synapse",
        "asyncTransportProtocols": [],
        "egress": false,
    });
    let mut body = Map::new();
    for part in [first, second] {
        if let Value::Object(part) = part {
            body.extend(part);
        }
    }
    body
}

fn max_tps(api: &Api, kept: Option<Value>) -> Value {
    let mut body = match kept {
        Some(Value::Object(kept)) => kept,
        _ if api.max_tps.production.is_none() && api.max_tps.sandbox.is_none() => return Value::Null,
        _ => Map::new(),
    };
    for (name, limit) in [("production", api.max_tps.production), ("sandbox", api.max_tps.sandbox)] {
        body.insert(name.to_owned(), json!(limit));
    }
    Value::Object(body)
}

/// Returns the additional properties by name, where they are a list of `{name, value, display}`.
fn properties_map(body: &Map<String, Value>) -> Option<Value> {
    let items = body.get("additionalProperties")?.as_array()?;
    let named = items.iter().filter_map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone())));
    Some(Value::Object(named.collect()))
}

#[cfg(test)]
mod tests {
    use portcullis_database::ClusterKey;
    use portcullis_model::api::EndpointConfig;
    use portcullis_model::{ApiId, TenantDomain, Username};

    use super::super::api::{Reading, blank, read};
    use super::*;
    use crate::fault::FieldFault;

    fn parse(body: Value) -> Result<Api, Vec<FieldFault>> {
        let Value::Object(map) = body else { panic!("an object is meant") };
        let base = blank(ApiId::from_random([1; 16]), TenantDomain::super_tenant(), Username("admin".to_owned()));
        let previous = EndpointConfig::default();
        read(map, Reading { base, previous: &previous, key: &ClusterKey::new([7; 32]), sets_identity: true })
    }

    #[test]
    fn fields_the_model_does_not_know_come_back_unchanged() {
        let sent = json!({
            "name": "PizzaShackAPI", "context": "pizzashack", "version": "1.0.0",
            "cacheTimeout": 60,
            "mediationPolicies": [{"name": "json_to_xml_in_message", "type": "in"}],
            "businessInformation": {"businessOwner": "Jane"},
            "additionalProperties": [{"name": "team", "value": "ovens", "display": true}],
            "corsConfiguration": {"corsConfigurationEnabled": false, "accessControlAllowOrigins": ["https://a.example"]},
            "maxTps": {"production": 10, "productionTimeUnit": "SECOND"},
            "operations": [{"target": "/menu", "verb": "GET", "payloadSchema": "x"}],
            "somethingNewer": {"a": [1, 2]},
        });
        let body = write(&parse(sent.clone()).unwrap(), None);
        for name in ["cacheTimeout", "mediationPolicies", "businessInformation", "corsConfiguration", "somethingNewer"]
        {
            assert_eq!(body[name], sent[name], "{name}");
        }
        assert_eq!(body["context"], "/pizzashack");
        assert_eq!(body["operations"][0]["payloadSchema"], "x");
        assert_eq!(body["maxTps"]["productionTimeUnit"], "SECOND");
        assert_eq!(body["additionalPropertiesMap"]["team"]["value"], "ovens");
        let again = write(&parse(body.clone()).unwrap(), None);
        assert_eq!(again, body, "what was read can be sent back");
    }

    #[test]
    fn a_body_neither_turns_billing_on_nor_off() {
        let body = |said: Value| {
            let mut body = json!({"name": "a", "context": "/a", "version": "1", "type": "HTTP"});
            body["monetization"] = said;
            body
        };
        let new = parse(body(json!({"enabled": true}))).unwrap();
        assert!(!new.is_monetized() && write(&new, None)["monetization"].is_null(), "{}", new.other_fields);
        for (is_on, said) in [(true, json!({"enabled": false})), (true, Value::Null), (false, json!({"enabled": true}))]
        {
            let kept = json!({"monetization": {"enabled": is_on, "properties": {"account": "7"}}});
            let base = Api { other_fields: kept.to_string(), ..new.clone() };
            let Value::Object(map) = body(said) else { panic!("an object is meant") };
            let (previous, key) = (EndpointConfig::default(), ClusterKey::new([7; 32]));
            let reading = Reading { base, previous: &previous, key: &key, sets_identity: false };
            let changed = read(map, reading).unwrap();
            assert_eq!(changed.is_monetized(), is_on);
            assert_eq!(write(&changed, None)["monetization"], kept["monetization"]);
        }
    }

    #[test]
    fn wrong_types_long_texts_and_unknown_protocols_are_all_named() {
        let faults = parse(json!({
            "name": "x".repeat(61), "context": "/a b", "version": 1, "type": "ASYNC",
            "policies": "Gold", "responseCachingEnabled": "yes", "maxTps": {"production": -1},
            "subtypeConfiguration": {"subtype": "MCP"},
        }))
        .unwrap_err();
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        places.sort_unstable();
        places.dedup();
        let wanted = [
            "context",
            "maxTps.production",
            "name",
            "policies",
            "responseCachingEnabled",
            "subtypeConfiguration",
            "type",
            "version",
        ];
        assert_eq!(places, wanted, "{faults:?}");
    }

    #[test]
    fn a_token_stays_mandatory_where_there_is_no_other_proof() {
        let api = parse(json!({"name": "a", "context": "/a", "version": "1", "securityScheme": ["oauth2"]})).unwrap();
        assert!(api.security.is_token_mandatory);
        let body = write(&api, None);
        assert_eq!(body["securityScheme"], json!(["oauth2", "oauth_basic_auth_api_key_mandatory"]));
    }
}
