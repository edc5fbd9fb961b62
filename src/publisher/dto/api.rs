//! Reads the body of `POST /apis`, `PUT /apis/{id}` and the properties of an import into the model's API. Fields of
//! the contract that the model does not know are checked for their type and kept as they are.

use portcullis_database::ClusterKey;
use portcullis_model::ai;
use portcullis_model::api::{EndpointConfig, MaxTps, Security, Visibility};
use portcullis_model::api_endpoint::{ApiEndpoint, endpoints_among, primary_field, set_endpoints, usual_id};
use portcullis_model::graphql::{costs_of, hide_costs, set_costs};
use portcullis_model::lambda::{self, LambdaEndpoint};
use portcullis_model::limit::{API_DESCRIPTION_CHARS_MAX, API_OPERATIONS_MAX};
use portcullis_model::mediation::own_answer::{IMPLEMENTATION, MOCKED, keep_own_answers};
use portcullis_model::monetization;
use portcullis_model::user::Role;
use portcullis_model::websub::FIELD as WEBSUB_FIELD;
use portcullis_model::{Api, ApiId, ApiKind, KeyType, Lifecycle, TenantDomain, Timestamp, Username};
use serde_json::{Map, Value};

use super::api_body::kept_fields;
use super::fields::{Fields, name_of_type};
use super::identity::read_identity;
use super::security::read_security;
use super::{cors, endpoints, operations, policies, scopes, websub};
use crate::fault::FieldFault;

const NAMES_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 255;
/// Bytes of all the fields together that are kept without being understood.
const OTHER_FIELDS_BYTES_MAX: usize = 1 << 20;
/// Fields that only the system writes.
const READ_ONLY: [&str; 14] = [
    "id",
    "provider",
    "lifeCycleStatus",
    "hasThumbnail",
    "isRevision",
    "revisionedApiId",
    "revisionId",
    "workflowStatus",
    "createdTime",
    "lastUpdatedTime",
    "lastUpdatedTimestamp",
    "wsdlInfo",
    "wsdlUrl",
    "isLatestRevision",
];

/// The types of the contract's fields that are kept without being understood.
const KEPT_TYPES: &[(&str, &str)] = &[
    ("responseCachingEnabled", "true or false"),
    ("enableSchemaValidation", "true or false"),
    ("enableSubscriberVerification", "true or false"),
    ("egress", "true or false"),
    ("cacheTimeout", "a number"),
    ("audience", "a text"),
    ("apiKeyHeader", "a text"),
    ("accessControl", "a text"),
    ("subscriptionAvailability", "a text"),
    ("endpointImplementationType", "a text"),
    ("gatewayVendor", "a text"),
    ("gatewayType", "a text"),
    ("audiences", "a list"),
    ("visibleTenants", "a list"),
    ("visibleOrganizations", "a list"),
    ("mediationPolicies", "a list"),
    ("subscriptionAvailableTenants", "a list"),
    ("accessControlRoles", "a list"),
    ("organizationPolicies", "a list"),
    ("asyncTransportProtocols", "a list"),
    ("apiPolicies", "an object"),
    ("monetization", "an object"),
    ("businessInformation", "an object"),
    ("subtypeConfiguration", "an object"),
    ("serviceInfo", "an object"),
    ("advertiseInfo", "an object"),
];

/// Returns an API of which nothing is said yet.
#[must_use]
pub fn blank(id: ApiId, tenant: TenantDomain, provider: Username) -> Api {
    Api {
        id,
        tenant,
        updated_by: provider.clone(),
        provider,
        name: String::new(),
        context: String::new(),
        version: String::new(),
        description: String::new(),
        kind: ApiKind::Http,
        lifecycle: Lifecycle::Created,
        is_default_version: false,
        operations: Vec::new(),
        endpoints: EndpointConfig::default(),
        plans: Vec::new(),
        api_policy: None,
        has_http: true,
        has_https: true,
        security: Security::default(),
        authorization_header: None,
        max_tps: MaxTps::default(),
        visibility: Visibility::Public,
        visible_roles: Vec::new(),
        cors: None,
        scopes: Vec::new(),
        tags: Vec::new(),
        categories: Vec::new(),
        other_fields: "{}".to_owned(),
        revisions_made: 0,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

/// What a body is read against.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What holds where the body says nothing.
    pub base: Api,
    /// The endpoints as they are, whose secrets a blank one keeps.
    pub previous: &'a EndpointConfig,
    /// Seals secrets.
    pub key: &'a ClusterKey,
    /// Whether name, version, context and protocol are set: not in an update, where they stay.
    pub sets_identity: bool,
}

/// Reads a body.
///
/// # Errors
/// Every fault found; nothing is half read then.
pub fn read(body: Map<String, Value>, reading: Reading<'_>) -> Result<Api, Vec<FieldFault>> {
    let mut fields = Fields::new("", body);
    for name in READ_ONLY {
        fields.take(name);
    }
    let mut api = reading.base;
    if reading.sets_identity {
        read_identity(&mut fields, &mut api);
    } else {
        for name in ["name", "version", "context", "type"] {
            fields.take(name);
        }
    }
    read_texts(&mut fields, &mut api);
    read_security(&mut fields, &mut api);
    let mut faults = Vec::new();
    if let Some(map) = fields.object("endpointConfig") {
        api.endpoints = endpoints::read(map, api.kind, reading.previous, reading.key, &mut faults);
    }
    if let Some(items) = fields.list("scopes", scopes::SCOPES_MAX) {
        api.scopes = scopes::read(items, &mut faults);
    }
    let mut kept_operations = kept_operations(&api);
    let costs = costs_of(&api);
    if let Some(items) = fields.list("operations", API_OPERATIONS_MAX) {
        let nothing = Map::new();
        let before = if lambda::are_of_functions(reading.previous) { &kept_operations } else { &nothing };
        let functions = lambda::calls_functions(&api).then_some(before);
        let read = operations::read(items, api.kind, functions, &mut faults);
        api.operations = read.operations;
        kept_operations = read.others;
    }
    limit_functions(&mut api.endpoints, &kept_operations);
    let kept_before = kept_fields(&api);
    let named = endpoints_among(&kept_before);
    check_primaries(&mut fields, &named);
    let websub = fields.object(WEBSUB_FIELD);
    let websub = websub::read(&api, websub, &kept_before, reading.key, &mut faults);
    let max_tps = fields.object("maxTps");
    api.max_tps = read_max_tps(max_tps.clone(), &mut faults);
    let cors_sent = fields.object("corsConfiguration");
    if let Some(map) = cors_sent.clone() {
        api.cors = cors::read(map, &mut faults);
    }
    if let Some(document) = fields.rest().get("apiPolicies") {
        policies::check("apiPolicies", document, api.kind, &mut faults);
    }
    fields.faults(faults);
    check_kept_types(&mut fields);
    check_implementation(&mut fields, api.kind);
    check_subtype(&mut fields, api.kind);
    let mut others = fields.finish()?;
    others.retain(|_, value| !value.is_null());
    keep(&mut others, "operations", Some(kept_operations).filter(|kept| !kept.is_empty()));
    keep(&mut others, "maxTps", max_tps);
    keep(&mut others, WEBSUB_FIELD, websub);
    // They have a path of their own.
    hide_costs(&mut others);
    set_costs(&mut others, &costs);
    keep(&mut others, "corsConfiguration", cors_sent.filter(|_| api.cors.is_none()));
    // Endpoints with names have paths of their own; a body neither shows nor changes them.
    set_endpoints(&mut others, &named);
    keep_own_answers(&mut others, &kept_before);
    // Whether it is billed has a scope of its own; a body shows it, and does not change it.
    monetization::take_over(&mut others, &kept_before);
    api.other_fields = Value::Object(others).to_string();
    check_size(&api.other_fields)?;
    Ok(api)
}

/// Sets how long the functions may take that carry out operations, where the endpoints are those of functions.
fn limit_functions(endpoints: &mut EndpointConfig, operations: &Map<String, Value>) {
    let document: Value = serde_json::from_str(&endpoints.document).unwrap_or_default();
    if LambdaEndpoint::of_document(&document).is_some() {
        for endpoint in endpoints.production.iter_mut().chain(&mut endpoints.sandbox) {
            endpoint.timeout_ms = Some(lambda::timeout_ms(operations.values()));
        }
    }
}

/// Checks the size of what is kept without being understood.
///
/// # Errors
/// Where it is too large.
pub(crate) fn check_size(other_fields: &str) -> Result<(), Vec<FieldFault>> {
    if other_fields.len() <= OTHER_FIELDS_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("the fields besides the definition have more than {OTHER_FIELDS_BYTES_MAX} bytes");
    Err(vec![FieldFault::new("", reason)])
}

/// Checks that the endpoints that an API chooses are there, each for the keys that it is for.
fn check_primaries(fields: &mut Fields, named: &[ApiEndpoint]) {
    for stage in [KeyType::Production, KeyType::Sandbox] {
        let name = primary_field(stage);
        let reason = match fields.rest().get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(id)) if id.is_empty() || id == usual_id(stage) => continue,
            Some(Value::String(id)) if named.iter().any(|one| one.id == *id && one.stage == stage) => continue,
            Some(Value::String(id)) => format!("there is no endpoint {id} of the stage {}", stage.as_contract()),
            Some(other) => format!("must be a text, not {}", name_of_type(other)),
        };
        fields.fault(name, reason);
    }
}

/// Checks by what calls are answered: a backend, or mocks, which APIs of HTTP alone have.
fn check_implementation(fields: &mut Fields, kind: ApiKind) {
    let Some(said) = fields.rest().get(IMPLEMENTATION).and_then(Value::as_str) else { return };
    let reason = match said {
        "" | "ENDPOINT" => return,
        _ if MOCKED.contains(&said) && kind == ApiKind::Http => return,
        _ if MOCKED.contains(&said) => format!("is {said}, which is for APIs of HTTP"),
        _ => format!("is {said}; ENDPOINT, {} are accepted", MOCKED.join(", ")),
    };
    fields.fault(IMPLEMENTATION, reason);
}

/// Refuses subtypes that there are none of. What is known of the provider of an AI API is put beside it before.
fn check_subtype(fields: &mut Fields, kind: ApiKind) {
    let reason = match ai::subtype_among(fields.rest()) {
        ai::USUAL => return,
        ai::AI_API if kind == ApiKind::Http => return,
        ai::AI_API => format!("subtype is {}, which is for APIs of HTTP", ai::AI_API),
        said => format!("subtype is {said}; {} and {} are accepted", ai::USUAL, ai::AI_API),
    };
    fields.fault(ai::SUBTYPE, reason);
}

/// Returns what was kept of the operations, which stays where a body does not name them.
fn kept_operations(api: &Api) -> Map<String, Value> {
    match kept_fields(api).shift_remove("operations") {
        Some(Value::Object(kept)) => kept,
        _ => Map::new(),
    }
}

fn keep(others: &mut Map<String, Value>, name: &str, value: Option<Map<String, Value>>) {
    if let Some(value) = value {
        others.insert(name.to_owned(), Value::Object(value));
    }
}

fn read_texts(fields: &mut Fields, api: &mut Api) {
    if let Some(description) = fields.text("description", API_DESCRIPTION_CHARS_MAX) {
        api.description = description;
    }
    if let Some(flag) = fields.flag("isDefaultVersion") {
        api.is_default_version = flag;
    }
    let mut names = |name: &str| fields.texts(name, NAMES_MAX, NAME_CHARS_MAX).map(without_repeats);
    api.plans = names("policies").unwrap_or_else(|| std::mem::take(&mut api.plans));
    api.tags = names("tags").unwrap_or_else(|| std::mem::take(&mut api.tags));
    api.categories = names("categories").unwrap_or_else(|| std::mem::take(&mut api.categories));
    if let Some(roles) = names("visibleRoles") {
        api.visible_roles = roles.into_iter().map(Role).collect();
    }
    let choices =
        [("PUBLIC", Visibility::Public), ("PRIVATE", Visibility::Private), ("RESTRICTED", Visibility::Restricted)];
    if let Some(visibility) = fields.choice("visibility", &choices) {
        api.visibility = visibility;
    }
    if let Some(policy) = fields.text("apiThrottlingPolicy", NAME_CHARS_MAX) {
        api.api_policy = Some(policy).filter(|policy| !policy.is_empty());
    }
    read_transports(fields, api);
}

/// Reads over what an API is served: plainly, over TLS, or both. A WebSocket API may name them `ws` and `wss`.
fn read_transports(fields: &mut Fields, api: &mut Api) {
    let Some(transports) = fields.texts("transport", 8, 16) else { return };
    let (plain, secure): (&[&str], &[&str]) =
        if api.kind == ApiKind::Ws { (&["http", "ws"], &["https", "wss"]) } else { (&["http"], &["https"]) };
    for other in transports.iter().filter(|one| !plain.contains(&one.as_str()) && !secure.contains(&one.as_str())) {
        let accepted = [plain, secure].concat().join(", ");
        fields.fault("transport", format!("has {other}; {accepted} are accepted"));
    }
    if transports.is_empty() {
        fields.fault("transport", "is empty; name http, https, or both");
    }
    api.has_http = transports.iter().any(|one| plain.contains(&one.as_str()));
    api.has_https = transports.iter().any(|one| secure.contains(&one.as_str()));
}

fn without_repeats(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

fn read_max_tps(sent: Option<Map<String, Value>>, faults: &mut Vec<FieldFault>) -> MaxTps {
    let mut fields = Fields::new("maxTps.", sent.unwrap_or_default());
    let mut side = |name: &str, unit: &str| {
        let limit = fields.number(name).filter(|limit| *limit > 0);
        let unit_sent = fields.text(unit, 16);
        if limit.is_some() && unit_sent.is_some_and(|unit| unit != "SECOND") {
            fields.fault(unit, "SECOND is accepted");
        }
        limit
    };
    let max_tps =
        MaxTps { production: side("production", "productionTimeUnit"), sandbox: side("sandbox", "sandboxTimeUnit") };
    fields.finish_into(faults);
    max_tps
}

fn check_kept_types(fields: &mut Fields) {
    for (name, wanted) in KEPT_TYPES {
        let is = fields.rest().get(*name).map(name_of_type);
        if let Some(is) = is
            && is != *wanted
            && is != "null"
        {
            fields.fault(name, format!("must be {wanted}, not {is}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the places of the faults of a body that changes an API of which something is kept.
    fn places(body: Value, kept: &Value, endpoints: &Value) -> Vec<String> {
        let Value::Object(body) = body else { panic!("an object is meant") };
        let id = ApiId::from_random([1; 16]);
        let new = blank(id, TenantDomain::super_tenant(), Username("admin".to_owned()));
        let base = Api { other_fields: kept.to_string(), ..new };
        let previous = EndpointConfig { document: endpoints.to_string(), ..EndpointConfig::default() };
        let reading = Reading { base, previous: &previous, key: &ClusterKey::new([7; 32]), sets_identity: false };
        let faults = read(body, reading).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn a_subtype_is_one_that_there_is() {
        let of = |subtype: &str| json!({"subtypeConfiguration": {"subtype": subtype}});
        assert_eq!(places(of("OTHER"), &json!({}), &Value::Null), ["subtypeConfiguration"]);
        for said in ["AIAPI", "DEFAULT", ""] {
            assert!(places(of(said), &json!({}), &Value::Null).is_empty(), "{said}");
        }
    }

    #[test]
    fn a_function_is_refused_where_it_is_new_to_an_api_of_functions() {
        let lambda = json!({
            "endpoint_type": "awslambda", "access_method": "stored", "amznAccessKey": "AKID", "amznSecretKey": "key",
            "amznRegion": "eu-west-1",
        });
        let kept = json!({"operations": {"GET /menu": {"amznResourceName": "../x"}}});
        let body = |endpoints: &Value| {
            let operation = json!({"target": "/menu", "verb": "GET", "amznResourceName": "../x"});
            json!({"endpointConfig": endpoints, "operations": [operation]})
        };
        let refused = ["operations[0].amznResourceName"];
        assert_eq!(places(body(&lambda), &json!({}), &lambda), refused);
        assert_eq!(places(body(&lambda), &kept, &json!({"endpoint_type": "http"})), refused, "it was none before");
        assert!(places(body(&lambda), &kept, &lambda).is_empty());
        assert!(places(body(&Value::Null), &json!({}), &Value::Null).is_empty());
    }
}
