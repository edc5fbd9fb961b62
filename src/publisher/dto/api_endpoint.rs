//! The contract's `APIEndpoint`: an endpoint of an API that has a name.

use portcullis_database::ClusterKey;
use portcullis_model::api::EndpointConfig;
use portcullis_model::api_endpoint::{API_ENDPOINT_NAME_CHARS_MAX, ApiEndpoint};
use portcullis_model::{ApiKind, KeyType, lambda};
use serde_json::{Map, Value, json};

use super::endpoints;
use super::fields::Fields;
use crate::fault::FieldFault;

/// What a body is read against.
pub(crate) struct Reading<'a> {
    pub(crate) id: String,
    pub(crate) kind: ApiKind,
    /// The endpoint as it is, whose secrets a blank one keeps.
    pub(crate) before: Option<&'a ApiEndpoint>,
    /// Seals secrets.
    pub(crate) key: &'a ClusterKey,
}

/// Reads a body.
///
/// # Errors
/// Every fault found.
pub(crate) fn read(body: Map<String, Value>, reading: Reading<'_>) -> Result<ApiEndpoint, Vec<FieldFault>> {
    let mut fields = Fields::new("", body);
    let stages = [("PRODUCTION", KeyType::Production), ("SANDBOX", KeyType::Sandbox)];
    let before = reading.before.map(|before| before.stage);
    let stage = fields.choice("deploymentStage", &stages).or(before).unwrap_or(KeyType::Production);
    let name = fields.text("name", API_ENDPOINT_NAME_CHARS_MAX).unwrap_or_default();
    if name.trim().is_empty() {
        fields.fault("name", format!("must be there, with 1 to {API_ENDPOINT_NAME_CHARS_MAX} characters"));
    }
    let mut faults = Vec::new();
    let usual = EndpointConfig::default();
    let previous = reading.before.map_or(&usual, |before| &before.config);
    let config = match fields.object("endpointConfig") {
        Some(map) if map.get("endpoint_type").and_then(Value::as_str) == Some(lambda::KIND) => {
            let reason = "is awslambda, which is said in the API's own endpointConfig: functions are set by operation";
            faults.push(FieldFault::new("endpointConfig.endpoint_type", reason));
            previous.clone()
        }
        Some(map) => endpoints::read(map, reading.kind, previous, reading.key, &mut faults),
        None => previous.clone(),
    };
    let (place, all) = match stage {
        KeyType::Production => ("endpointConfig.production_endpoints", &config.production),
        KeyType::Sandbox => ("endpointConfig.sandbox_endpoints", &config.sandbox),
    };
    if faults.is_empty() && all.is_empty() {
        faults.push(FieldFault::new(place, format!("must name an endpoint: the stage is {}", stage.as_contract())));
    }
    fields.faults(faults);
    fields.finish()?;
    Ok(ApiEndpoint { id: reading.id, name, stage, config })
}

/// Writes an endpoint, its secrets blank.
pub(crate) fn write(endpoint: &ApiEndpoint) -> Value {
    json!({
        "id": endpoint.id,
        "name": endpoint.name,
        "deploymentStage": endpoint.stage.as_contract(),
        "endpointConfig": endpoints::write(&endpoint.config),
    })
}
