//! AsyncAPI documents 2.0 to 2.6 and 3.0, JSON or YAML: their channels are the topics of APIs of the types WS, SSE and
//! WEBSUB.

use std::sync::Arc;

use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::limit::{API_DESCRIPTION_CHARS_MAX, API_NAME_CHARS_MAX, API_OPERATIONS_MAX};
use portcullis_model::{Api, ApiKind};
use serde_json::{Map, Value, json};

use super::{Design, Language, check_size, refuse};
use crate::dto::operations::{UNLIMITED, check_target};
use crate::dto::scopes::SCOPES_MAX;
use crate::fault::{FieldFault, PublisherError};
use crate::openapi::document::parse_text;
use crate::openapi::extract::{OauthSchemes, oauth_schemes, operation_of, scopes_of};

const ACCEPTED: &str = "AsyncAPI 2.0 to 2.6 and 3.0 are accepted";
/// The protocols that gateways carry, and the type of API that they make.
const PROTOCOLS: [(&str, ApiKind); 6] = [
    ("ws", ApiKind::Ws),
    ("wss", ApiKind::Ws),
    ("sse", ApiKind::Sse),
    ("websub", ApiKind::Websub),
    ("http", ApiKind::Sse),
    ("https", ApiKind::Sse),
];

/// Says whether a definition is an AsyncAPI document.
pub(crate) fn is_asyncapi(text: &str) -> bool {
    // Most definitions are none, and need not be read to know that.
    text.contains("asyncapi") && parse_text(text).is_ok_and(|document| document.get("asyncapi").is_some())
}

/// Reads a document.
///
/// # Errors
/// [`PublisherError::Definition`] with what is wrong and where.
pub(crate) fn read(text: &str) -> Result<(Design, Value), PublisherError> {
    check_size(text.len())?;
    let text = text.trim_start_matches('\u{feff}');
    let document = parse_text(text)?;
    let version = check_version(&document)?;
    let mut faults = check_shape(&document, version);
    let schemes = oauth_schemes(&document);
    let operations = match version {
        Version::V2 => channels(&document, &schemes, &mut faults),
        Version::V3 => actions(&document, &schemes, &mut faults),
    };
    if operations.len() > API_OPERATIONS_MAX {
        let reason = format!("there are {} operations; at most {API_OPERATIONS_MAX} are accepted", operations.len());
        faults.push(FieldFault::new("channels", reason));
    }
    let scopes = scopes_of(&schemes, &operations);
    if scopes.len() > SCOPES_MAX {
        faults.push(FieldFault::new("components.securitySchemes", format!("at most {SCOPES_MAX} scopes are accepted")));
    }
    if !faults.is_empty() {
        return Err(PublisherError::Definition(faults));
    }
    let kind = kind_of(&document).unwrap_or(ApiKind::Ws);
    let design = Design {
        language: Language::Asyncapi,
        text: Arc::from(text),
        kind,
        operations,
        scopes,
        fields: fields_of(&document),
    };
    Ok((design, document))
}

/// The shapes that documents have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

fn check_version(document: &Value) -> Result<Version, PublisherError> {
    let Some(fields) = document.as_object() else {
        return Err(refuse("", "the document must be an object with `asyncapi`, `info` and `channels`"));
    };
    if fields.contains_key("openapi") || fields.contains_key("swagger") {
        return Err(refuse("", format!("this is an OpenAPI document; {ACCEPTED}")));
    }
    let Some(version) = fields.get("asyncapi") else {
        return Err(refuse("asyncapi", format!("the version of AsyncAPI must be there; {ACCEPTED}")));
    };
    let version = plain(version);
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    match parts[..] {
        [2, 0..=6] | [2, 0..=6, _] => Ok(Version::V2),
        [3, 0] | [3, 0, _] => Ok(Version::V3),
        _ => Err(refuse("asyncapi", format!("is {version}; {ACCEPTED}"))),
    }
}

fn check_shape(document: &Value, version: Version) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    for place in ["/info/title", "/info/version"] {
        if document.pointer(place).is_none_or(|value| plain(value).trim().is_empty()) {
            faults.push(FieldFault::new(place[1..].replace('/', "."), "must be there"));
        }
    }
    let names: &[&str] = match version {
        Version::V2 => &["channels"],
        Version::V3 => &["channels", "operations"],
    };
    for name in names {
        match document.get(*name) {
            Some(Value::Object(_)) => {}
            None => faults.push(FieldFault::new(*name, "must be there")),
            Some(_) => faults.push(FieldFault::new(*name, "must be an object")),
        }
    }
    faults
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a channel's name as the target of operations.
pub(crate) fn target_of(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

/// Reads the operations of AsyncAPI 2: what clients may do with each channel.
fn channels(document: &Value, schemes: &OauthSchemes<'_>, faults: &mut Vec<FieldFault>) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (name, channel) in document.get("channels").and_then(Value::as_object).into_iter().flatten() {
        let target = target_of(name);
        if let Err(reason) = check_target(&target) {
            faults.push(FieldFault::new(format!("channels.{name}"), reason));
        }
        for verb in ["subscribe", "publish"] {
            let Some(said) = channel.get(verb) else { continue };
            match read_operation(document, schemes, &target, verb, said) {
                Ok(operation) => operations.push(operation),
                Err(reason) => faults.push(FieldFault::new(format!("channels.{name}.{verb}"), reason)),
            }
        }
    }
    operations
}

/// Reads the operations of AsyncAPI 3, which are told from the API's side: what it sends is what its clients subscribe to.
fn actions(document: &Value, schemes: &OauthSchemes<'_>, faults: &mut Vec<FieldFault>) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for (name, said) in document.get("operations").and_then(Value::as_object).into_iter().flatten() {
        let mut fault = |reason: String| faults.push(FieldFault::new(format!("operations.{name}"), reason));
        let verb = match said.get("action").and_then(Value::as_str) {
            Some("send") => "subscribe",
            Some("receive") => "publish",
            _ => {
                fault("`action` must be send or receive".to_owned());
                continue;
            }
        };
        let reference = said.pointer("/channel/$ref").and_then(Value::as_str).unwrap_or_default();
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.starts_with("/channels/"));
        let Some(channel) = pointer.and_then(|pointer| document.pointer(pointer)) else {
            fault("`channel` must refer to one of the channels".to_owned());
            continue;
        };
        let own_name = reference.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
        let target = target_of(channel.get("address").and_then(Value::as_str).unwrap_or(&own_name));
        let read = check_target(&target).and_then(|()| read_operation(document, schemes, &target, verb, said));
        match read {
            Ok(one) if operations.iter().any(|known| known.verb == one.verb && known.target == one.target) => {}
            Ok(one) => operations.push(one),
            Err(reason) => fault(reason),
        }
    }
    operations
}

fn read_operation(
    document: &Value,
    schemes: &OauthSchemes<'_>,
    target: &str,
    verb: &str,
    said: &Value,
) -> Result<Operation, String> {
    let mut operation = operation_of(document, schemes, target, verb, said)?;
    if operation.scopes.is_empty() && operation.auth != OperationAuth::None {
        let scopes = said.get("x-scopes").and_then(Value::as_array).into_iter().flatten();
        operation.scopes = scopes.filter_map(Value::as_str).map(str::to_owned).collect();
    }
    Ok(operation)
}

/// Returns the servers of a document: address and protocol.
pub(crate) fn servers(document: &Value) -> Vec<(String, String)> {
    let all = document.get("servers").and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(_, server)| {
        let text = |name: &str| server.get(name).and_then(Value::as_str);
        let protocol = text("protocol").unwrap_or_default().to_ascii_lowercase();
        let address = match (text("url"), text("host")) {
            (Some(url), _) if url.contains("://") => url.to_owned(),
            (Some(url), _) => format!("{protocol}://{url}"),
            (None, Some(host)) => format!("{protocol}://{host}{}", text("pathname").unwrap_or_default()),
            (None, None) => return None,
        };
        Some((address, protocol))
    })
    .collect()
}

/// Returns the type of API that the servers' protocol makes.
pub(crate) fn kind_of(document: &Value) -> Option<ApiKind> {
    let protocols = servers(document);
    let known = |(_, protocol): &(String, String)| PROTOCOLS.iter().find(|(name, _)| name == protocol);
    protocols.iter().find_map(known).map(|(_, kind)| *kind)
}

fn fields_of(document: &Value) -> Map<String, Value> {
    let text = |place: &str| document.pointer(place).map(plain).unwrap_or_default().trim().to_owned();
    let mut fields = Map::new();
    let title = text("/info/title");
    let name: String = title.chars().filter(|one| one.is_alphanumeric() || " -_.".contains(*one)).collect();
    fields.insert("name".to_owned(), json!(name.chars().take(API_NAME_CHARS_MAX).collect::<String>().trim()));
    fields.insert("version".to_owned(), json!(text("/info/version")));
    let description: String = text("/info/description").chars().take(API_DESCRIPTION_CHARS_MAX).collect();
    if !description.is_empty() {
        fields.insert("description".to_owned(), json!(description));
    }
    // Parts of addresses in braces are for whoever calls to fill in; a gateway cannot.
    // Of WebSub the server is the hub, which is the gateway itself.
    let is_hub = kind_of(document) == Some(ApiKind::Websub);
    if let Some((url, _)) = servers(document).into_iter().filter(|_| !is_hub).find(|(url, _)| !url.contains('{')) {
        let endpoint = json!({"url": url});
        let kind = if kind_of(document) == Some(ApiKind::Ws) { "ws" } else { "http" };
        let config = json!({"endpoint_type": kind, "production_endpoints": endpoint, "sandbox_endpoints": endpoint});
        fields.insert("endpointConfig".to_owned(), config);
    }
    fields
}

/// Makes a document for an API.
#[must_use]
pub(crate) fn generate(api: &Api) -> Value {
    let mut info = json!({"title": api.name, "version": api.version});
    if !api.description.is_empty() {
        info["description"] = json!(api.description);
    }
    let protocol = match api.kind {
        ApiKind::Ws => "ws",
        ApiKind::Websub => "websub",
        _ => "sse",
    };
    let endpoints = [("production", &api.endpoints.production), ("sandbox", &api.endpoints.sandbox)];
    let servers: Map<String, Value> = endpoints
        .into_iter()
        .filter_map(|(name, all)| Some((name.to_owned(), json!({"url": all.first()?.url, "protocol": protocol}))))
        .collect();
    let document = json!({"asyncapi": "2.0.0", "info": info, "servers": servers, "channels": {}});
    put_channels(document, api)
}

/// Brings a document in step with the operations of its API.
///
/// # Errors
/// Where its version tells channels and operations apart: then only its publisher knows what is meant.
pub(crate) fn with_operations(document: Value, api: &Api) -> Result<Value, PublisherError> {
    if check_version(&document)? == Version::V3 {
        let reason = "the API's definition is AsyncAPI 3.0; change it by PUT of /apis/{apiId}/asyncapi";
        return Err(PublisherError::field("operations", reason));
    }
    Ok(put_channels(document, api))
}

fn put_channels(mut document: Value, api: &Api) -> Value {
    let mut channels = match document.get_mut("channels").map(Value::take) {
        Some(Value::Object(channels)) => channels,
        _ => Map::new(),
    };
    let has = |name: &str, verb: &str| {
        api.operations.iter().any(|one| one.target == target_of(name) && one.verb.eq_ignore_ascii_case(verb))
    };
    for (name, channel) in &mut channels {
        if let Some(channel) = channel.as_object_mut() {
            channel.retain(|key, _| !matches!(key.as_str(), "subscribe" | "publish") || has(name, key));
        }
    }
    for operation in &api.operations {
        let known = channels.keys().find(|name| target_of(name) == operation.target).cloned();
        let channel = channels.entry(known.unwrap_or_else(|| operation.target.clone())).or_insert_with(|| json!({}));
        let Some(channel) = channel.as_object_mut() else { continue };
        let said = channel.entry(operation.verb.to_ascii_lowercase()).or_insert_with(|| json!({}));
        let Some(said) = said.as_object_mut() else { continue };
        let auth = match operation.auth {
            OperationAuth::Any => None,
            other => Some(json!(other.as_contract())),
        };
        let policy = (operation.policy != UNLIMITED).then(|| json!(operation.policy));
        let scopes = (!operation.scopes.is_empty()).then(|| json!(operation.scopes));
        said.shift_remove("security");
        for (name, value) in [("x-auth-type", auth), ("x-throttling-tier", policy), ("x-scopes", scopes)] {
            said.shift_remove(name);
            said.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    let is_used = |name: &String| api.operations.iter().any(|one| one.target == target_of(name));
    channels.retain(|name, _| is_used(name));
    document["channels"] = Value::Object(channels);
    document
}
