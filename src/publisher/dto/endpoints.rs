//! The endpoints of an API (`endpointConfig`): read into what gateways need, and the document kept as it was sent but
//! for its secrets, which are sealed on the way in and blank on the way out.

use portcullis_database::ClusterKey;
use portcullis_model::api::{Endpoint, EndpointConfig, EndpointStrategy};
use portcullis_model::dynamic_endpoint::{self, DynamicEndpoints};
use portcullis_model::lambda::{self, LambdaEndpoint};
use portcullis_model::mediation::own_answer::{MOCKED, SEQUENCE_BACKEND};
use portcullis_model::{ApiKind, BackendCare, BackendProof, BackendProofs};
use serde_json::{Map, Value};
use url::Url;

use super::fields::name_of_type;
use crate::fault::FieldFault;

/// Endpoints of one kind.
const ENDPOINTS_MAX: usize = 64;
const URL_CHARS_MAX: usize = 2_048;
/// The fields of the document that are secrets, wherever they are in it.
const SECRETS: [&str; 6] = ["password", "clientSecret", "apiKeyValue", "secretKey", "amznSecretKey", "refreshToken"];
/// How deep the document may be nested.
const DEPTH_MAX: usize = 16;

/// Reads `endpointConfig`. A blank secret keeps the one in `previous`.
pub fn read(
    mut map: Map<String, Value>,
    api: ApiKind,
    previous: &EndpointConfig,
    key: &ClusterKey,
    faults: &mut Vec<FieldFault>,
) -> EndpointConfig {
    let previous: Value = serde_json::from_str(&previous.document).unwrap_or_default();
    let kind = map.get("endpoint_type").and_then(Value::as_str).unwrap_or("http").to_owned();
    let strategy = match kind.as_str() {
        "ws" if api == ApiKind::Ws => EndpointStrategy::Single,
        "http" | "https" | "address" | "service" => EndpointStrategy::Single,
        // The API answers itself.
        SEQUENCE_BACKEND if matches!(api, ApiKind::Http | ApiKind::Soap | ApiKind::Product) => EndpointStrategy::Single,
        mocked if MOCKED.contains(&mocked) && matches!(api, ApiKind::Http | ApiKind::Product) => {
            EndpointStrategy::Single
        }
        // Where that is says its region.
        lambda::KIND if api == ApiKind::Http => EndpointStrategy::Single,
        "load_balance" => EndpointStrategy::RoundRobin,
        "failover" => EndpointStrategy::Failover,
        // Over WebSocket no policy could say where a call goes.
        dynamic_endpoint::KIND if api != ApiKind::Ws => EndpointStrategy::Single,
        other => {
            let reason = format!(
                "is {other}; http, address, load_balance, failover and default endpoints are served, and awslambda for APIs of HTTP"
            );
            faults.push(FieldFault::new("endpointConfig.endpoint_type", reason));
            EndpointStrategy::Single
        }
    };
    let is_dynamic = kind == dynamic_endpoint::KIND;
    let is_lambda = kind == lambda::KIND;
    let mut side = |endpoints: &str, failovers: &str| {
        if is_dynamic {
            return unnamed(&map, endpoints);
        }
        if is_lambda {
            return Vec::new();
        }
        let mut found = read_endpoints(&map, api, endpoints, faults);
        if strategy == EndpointStrategy::Failover {
            found.extend(read_endpoints(&map, api, failovers, faults));
        }
        found
    };
    let mut production = side("production_endpoints", "production_failovers");
    let mut sandbox = side("sandbox_endpoints", "sandbox_failovers");
    if seal_secrets(&mut map, &previous, key, 0).is_err() {
        faults.push(FieldFault::new("endpointConfig", format!("is nested more than {DEPTH_MAX} deep")));
    }
    let document = Value::Object(map);
    check_proofs(&document, api, faults);
    if let Some(Ok(LambdaEndpoint { url, .. })) = LambdaEndpoint::of_document(&document).filter(|_| is_lambda) {
        // Functions are the same for keys of both types, as in WSO2.
        production = vec![Endpoint { url, timeout_ms: Some(lambda::TIMEOUT_MS) }];
        sandbox.clone_from(&production);
    }
    let (care, mut bad) = BackendCare::of_document(&document);
    if let Some((_, of_dynamic)) = DynamicEndpoints::of_document(&document) {
        bad.retain(|bad| !bad.place.starts_with("production_endpoints") && !bad.place.starts_with("sandbox_endpoints"));
        bad.extend(of_dynamic);
    }
    if api == ApiKind::Ws && care.production.iter().chain(&care.sandbox).any(|care| care.has_http2) {
        faults.push(FieldFault::new("endpointConfig", "http2 is for calls; WebSockets are opened over HTTP/1.1"));
    }
    if api == ApiKind::Ws && care.sharing.session.is_some_and(|session| session.is_soap) {
        let reason = "soap is for messages of SOAP; clients of WebSockets stay by transport";
        faults.push(FieldFault::new("endpointConfig.sessionManagement", reason));
    }
    faults.extend(bad.into_iter().map(|bad| FieldFault::new(format!("endpointConfig.{}", bad.place), bad.reason)));
    EndpointConfig { production, sandbox, strategy, document: document.to_string() }
}

/// Returns what stands for backends that policies name: one where the side is there, or where neither is.
fn unnamed(map: &Map<String, Value>, side: &str) -> Vec<Endpoint> {
    let is_there = |name: &str| map.get(name).is_some_and(|value| !value.is_null());
    if !is_there(side) && ["production_endpoints", "sandbox_endpoints"].into_iter().any(is_there) {
        return Vec::new();
    }
    let timeout_ms = map.get(side).and_then(|item| item.get("config")).and_then(timeout_of);
    vec![Endpoint { url: dynamic_endpoint::URL.to_owned(), timeout_ms }]
}

/// Checks how gateways prove themselves to the backends.
fn check_proofs(document: &Value, api: ApiKind, faults: &mut Vec<FieldFault>) {
    let (proofs, bad) = BackendProofs::of_document(document);
    faults.extend(bad.into_iter().map(|bad| FieldFault::new(format!("endpointConfig.{}", bad.place), bad.reason)));
    let needs_call =
        |proof: &Option<BackendProof>| matches!(proof, Some(BackendProof::Digest(_) | BackendProof::Signature { .. }));
    if api == ApiKind::Ws && (needs_call(&proofs.production) || needs_call(&proofs.sandbox)) {
        let reason = "DIGEST and aws are for calls; WebSockets have BASIC, OAUTH and apikey";
        faults.push(FieldFault::new("endpointConfig.endpoint_security", reason));
    }
}

fn read_endpoints(map: &Map<String, Value>, api: ApiKind, name: &str, faults: &mut Vec<FieldFault>) -> Vec<Endpoint> {
    let place = format!("endpointConfig.{name}");
    let items: Vec<&Value> = match map.get(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    };
    if items.len() > ENDPOINTS_MAX {
        faults.push(FieldFault::new(place, format!("at most {ENDPOINTS_MAX} are accepted")));
        return Vec::new();
    }
    let mut endpoints = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        match read_endpoint(item, api) {
            Ok(endpoint) => endpoints.extend(endpoint),
            Err(reason) => faults.push(FieldFault::new(format!("{place}[{number}]"), reason)),
        }
    }
    endpoints
}

/// Reads one endpoint; an object without a URL, as clients send for a side that is not used, is none.
pub(super) fn read_endpoint(item: &Value, api: ApiKind) -> Result<Option<Endpoint>, String> {
    let (text, config) = match item {
        Value::String(text) => (text.as_str(), None),
        Value::Object(map) => match map.get("url") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => (text.as_str(), map.get("config")),
            Some(other) => return Err(format!("url must be a text, not {}", name_of_type(other))),
        },
        other => return Err(format!("must be an object with a url, not {}", name_of_type(other))),
    };
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > URL_CHARS_MAX {
        return Err(format!("url has more than {URL_CHARS_MAX} characters"));
    }
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    let (plain, secure) = if api == ApiKind::Ws { ("ws", "wss") } else { ("http", "https") };
    if ![plain, secure].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(format!("`{text}` must be an absolute {plain} or {secure} URL"));
    }
    Ok(Some(Endpoint { url: text.to_owned(), timeout_ms: config.and_then(timeout_of) }))
}

/// Returns the time after which a call is given up (`actionDuration`, a number or its text).
fn timeout_of(config: &Value) -> Option<u64> {
    let duration = config.get("actionDuration")?;
    duration.as_u64().or_else(|| duration.as_str()?.trim().parse().ok()).filter(|millis| *millis > 0)
}

struct TooDeep;

fn seal_secrets(map: &mut Map<String, Value>, previous: &Value, key: &ClusterKey, depth: usize) -> Result<(), TooDeep> {
    if depth > DEPTH_MAX {
        return Err(TooDeep);
    }
    for (name, value) in map.iter_mut() {
        let before = previous.get(name).unwrap_or(&Value::Null);
        if SECRETS.contains(&name.as_str()) {
            match value {
                Value::String(secret) if !secret.is_empty() => {
                    *secret = key.seal(secret.as_bytes()).to_text();
                }
                Value::String(_) | Value::Null if before.is_string() => *value = before.clone(),
                _ => {}
            }
            continue;
        }
        seal_inside(value, before, key, depth + 1)?;
    }
    Ok(())
}

fn seal_inside(value: &mut Value, before: &Value, key: &ClusterKey, depth: usize) -> Result<(), TooDeep> {
    if depth > DEPTH_MAX {
        return Err(TooDeep);
    }
    match value {
        Value::Object(map) => seal_secrets(map, before, key, depth),
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                seal_inside(item, before.get(number).unwrap_or(&Value::Null), key, depth + 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Writes `endpointConfig`: the document as it was sent, its secrets blank; `null` where there is none.
#[must_use]
pub fn write(endpoints: &EndpointConfig) -> Value {
    let mut document: Value = serde_json::from_str(&endpoints.document).unwrap_or_default();
    blank_secrets(&mut document);
    document
}

fn blank_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if SECRETS.contains(&name.as_str()) && value.is_string() {
                    *value = Value::String(String::new());
                } else {
                    blank_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(document: Value, previous: &EndpointConfig) -> (EndpointConfig, Vec<FieldFault>) {
        let Value::Object(map) = document else { panic!("an object is meant") };
        let mut faults = Vec::new();
        let endpoints = read(map, ApiKind::Http, previous, &ClusterKey::new([7; 32]), &mut faults);
        (endpoints, faults)
    }

    #[test]
    fn a_password_is_sealed_in_blank_out_and_kept_when_sent_blank() {
        let document = |password: &str| {
            json!({
                "endpoint_type": "http",
                "production_endpoints": {"url": "https://backend.example/api"},
                "endpoint_security": {
                    "production": {"enabled": true, "type": "BASIC", "username": "u", "password": password},
                },
            })
        };
        let (first, faults) = parse(document("s3cret"), &EndpointConfig::default());
        assert_eq!(faults, []);
        assert!(!first.document.contains("s3cret"));
        assert_eq!(write(&first), document(""));
        let (second, _) = parse(write(&first), &first);
        assert_eq!(second.document, first.document);
        let kept: Value = serde_json::from_str(&second.document).unwrap();
        let text = kept["endpoint_security"]["production"]["password"].as_str().unwrap();
        let sealed = portcullis_model::Sealed::of_text(text).unwrap();
        assert_eq!(ClusterKey::new([7; 32]).open(&sealed).unwrap().as_slice(), b"s3cret");
    }

    #[test]
    fn a_secret_that_was_never_sent_is_asked_for() {
        let (_, faults) = parse(
            json!({
                "endpoint_type": "http",
                "production_endpoints": {"url": "https://backend.example/api"},
                "endpoint_security": {"production": {"enabled": true, "type": "BASIC", "username": "u", "password": ""}},
            }),
            &EndpointConfig::default(),
        );
        assert_eq!(faults[0].place, "endpointConfig.endpoint_security.production.password");
    }

    #[test]
    fn failover_endpoints_follow_the_first_and_keep_their_order() {
        let (endpoints, faults) = parse(
            json!({
                "endpoint_type": "failover",
                "production_endpoints": {"url": "http://a.example", "config": {"actionDuration": "3000"}},
                "production_failovers": [{"url": "http://b.example"}, {"url": "http://c.example"}],
                "sandbox_endpoints": {},
            }),
            &EndpointConfig::default(),
        );
        assert_eq!(faults, []);
        let urls: Vec<&str> = endpoints.production.iter().map(|one| one.url.as_str()).collect();
        assert_eq!(urls, ["http://a.example", "http://b.example", "http://c.example"]);
        assert_eq!(endpoints.production[0].timeout_ms, Some(3000));
        assert_eq!((endpoints.strategy, endpoints.sandbox.len()), (EndpointStrategy::Failover, 0));
    }

    #[test]
    fn a_websocket_api_has_websocket_endpoints() {
        for (url, is_good) in [("ws://b.example/x", true), ("wss://b.example", true), ("http://b.example", false)] {
            let Value::Object(map) = json!({"endpoint_type": "ws", "production_endpoints": {"url": url}}) else {
                panic!()
            };
            let mut faults = Vec::new();
            read(map, ApiKind::Ws, &EndpointConfig::default(), &ClusterKey::new([7; 32]), &mut faults);
            assert_eq!(faults.is_empty(), is_good, "{url}: {faults:?}");
        }
    }

    #[test]
    fn an_endpoint_that_gateways_cannot_call_is_refused() {
        let (_, faults) = parse(
            json!({"endpoint_type": "ftp", "production_endpoints": [{"url": "ftp://x"}, {"url": "not a url"}, 7]}),
            &EndpointConfig::default(),
        );
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
