//! Endpoints of an API that have a name of their own: which of them its calls go to is chosen by id.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{Api, EndpointConfig, EndpointStrategy};
use crate::oauth::KeyType;

/// Endpoints of one API.
pub const API_ENDPOINTS_MAX: usize = 50;
/// Characters of a name.
pub const API_ENDPOINT_NAME_CHARS_MAX: usize = 255;
/// Under which name they are kept among the other fields of their API.
const FIELD: &str = "apiEndpoints";
const SECURITY: &str = "endpoint_security";

/// An endpoint with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiEndpoint {
    /// The id.
    pub id: String,
    /// The name, unique in the API.
    pub name: String,
    /// The keys with which it is called.
    pub stage: KeyType,
    /// Where it is; what is there for the other keys is not used.
    pub config: EndpointConfig,
}

/// Returns the field of an API that names the endpoint for keys of a type (`primaryProductionEndpointId`).
#[must_use]
pub fn primary_field(stage: KeyType) -> &'static str {
    match stage {
        KeyType::Production => "primaryProductionEndpointId",
        KeyType::Sandbox => "primarySandboxEndpointId",
    }
}

/// Returns the id that means what `endpointConfig` says, as in the original.
#[must_use]
pub fn usual_id(stage: KeyType) -> &'static str {
    match stage {
        KeyType::Production => "default_production_endpoint",
        KeyType::Sandbox => "default_sandbox_endpoint",
    }
}

/// Returns the endpoints among the other fields of an API.
#[must_use]
pub fn endpoints_among(fields: &Map<String, Value>) -> Vec<ApiEndpoint> {
    let kept = fields.get(FIELD).cloned();
    kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
}

/// Puts endpoints among the other fields of an API.
pub fn set_endpoints(fields: &mut Map<String, Value>, endpoints: &[ApiEndpoint]) {
    if endpoints.is_empty() {
        hide_endpoints(fields);
    } else {
        fields.insert(FIELD.to_owned(), json!(endpoints));
    }
}

/// Takes the endpoints, which hold secrets, out of the other fields of an API.
pub fn hide_endpoints(fields: &mut Map<String, Value>) {
    fields.shift_remove(FIELD);
}

/// Returns the id of the endpoint that an API's other fields choose for keys of a type; `None` for what `endpointConfig`
/// says.
#[must_use]
pub fn primary_of(fields: &Map<String, Value>, stage: KeyType) -> Option<&str> {
    let id = fields.get(primary_field(stage))?.as_str()?;
    Some(id).filter(|id| !id.is_empty() && *id != usual_id(stage))
}

/// Returns where calls of an API go: to the endpoints that it chose, and for keys for which it chose none to where
/// `endpointConfig` says.
#[must_use]
pub fn served_endpoints(api: &Api) -> EndpointConfig {
    // Most APIs have none: their fields are not even read.
    if !api.other_fields.contains(FIELD) {
        return api.endpoints.clone();
    }
    let Ok(Value::Object(fields)) = serde_json::from_str(&api.other_fields) else { return api.endpoints.clone() };
    let all = endpoints_among(&fields);
    let chosen = |stage| {
        let id = primary_of(&fields, stage)?;
        all.iter().find(|one| one.stage == stage && one.id == id).map(|one| &one.config)
    };
    let (production, sandbox) = (chosen(KeyType::Production), chosen(KeyType::Sandbox));
    let (from, to) = (production.unwrap_or(&api.endpoints), sandbox.unwrap_or(&api.endpoints));
    if production.is_none() && sandbox.is_none() {
        return api.endpoints.clone();
    }
    let strategy = match (from.production.len(), to.sandbox.len()) {
        (0 | 1, 2..) => to.strategy,
        (0, 1) => EndpointStrategy::Single,
        _ => from.strategy,
    };
    EndpointConfig {
        production: from.production.clone(),
        sandbox: to.sandbox.clone(),
        strategy,
        document: joined(&from.document, &to.document).to_string(),
    }
}

/// Joins what is said for production keys in one document with what is said for sandbox keys in another. What is said
/// for both is the first one's, where that says anything.
fn joined(production: &str, sandbox: &str) -> Value {
    let read = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let (mut from, mut to) = (read(production), read(sandbox));
    let security = |document: &mut Map<String, Value>, side: &str| {
        document.get_mut(SECURITY).and_then(|security| security.get_mut(side)).map(Value::take)
    };
    let proofs = [("production", security(&mut from, "production")), ("sandbox", security(&mut to, "sandbox"))];
    from.retain(|name, _| !name.starts_with("sandbox") && name != SECURITY);
    let is_first = !from.is_empty();
    to.retain(|name, _| {
        name.starts_with("sandbox") || (!is_first && name != SECURITY && !name.starts_with("production"))
    });
    from.extend(to);
    let proofs: Map<String, Value> =
        proofs.into_iter().filter_map(|(side, proof)| Some((side.to_owned(), proof?))).collect();
    if !proofs.is_empty() {
        from.insert(SECURITY.to_owned(), Value::Object(proofs));
    }
    Value::Object(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_is_what_was_chosen_for_it_with_its_own_security() {
        let first = json!({
            "endpoint_type": "load_balance",
            "production_endpoints": [{"url": "http://a"}],
            "sandbox_endpoints": {"url": "http://no"},
            "endpoint_security": {"production": {"type": "BASIC"}, "sandbox": {"type": "no"}},
        });
        let second = json!({
            "endpoint_type": "http",
            "production_endpoints": {"url": "http://no"},
            "sandbox_endpoints": {"url": "http://b"},
            "endpoint_security": {"sandbox": {"type": "OAUTH"}},
        });
        let wanted = json!({
            "endpoint_type": "load_balance",
            "production_endpoints": [{"url": "http://a"}],
            "sandbox_endpoints": {"url": "http://b"},
            "endpoint_security": {"production": {"type": "BASIC"}, "sandbox": {"type": "OAUTH"}},
        });
        assert_eq!(joined(&first.to_string(), &second.to_string()), wanted);
        let alone = joined("", &second.to_string());
        assert_eq!(alone["endpoint_type"], "http");
        assert_eq!(alone["production_endpoints"], Value::Null);
    }
}
