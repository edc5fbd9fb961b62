//! The contract's `EnvironmentProperties`: texts by name, of which two are addresses of backends.

use std::collections::BTreeMap;

use portcullis_model::ApiKind;
use portcullis_model::environment::ENVIRONMENT_TEXT_CHARS_MAX;
use portcullis_model::environment_properties::{ENVIRONMENT_PROPERTIES_MAX, PRODUCTION_ENDPOINT, SANDBOX_ENDPOINT};
use serde_json::Value;

use super::endpoints::read_endpoint;
use crate::fault::FieldFault;

/// Checks properties.
///
/// # Errors
/// Every fault found.
pub(crate) fn check(properties: &BTreeMap<String, String>, kind: ApiKind) -> Result<(), Vec<FieldFault>> {
    let mut faults = Vec::new();
    if properties.len() > ENVIRONMENT_PROPERTIES_MAX {
        let reason =
            format!("{} properties are set; at most {ENVIRONMENT_PROPERTIES_MAX} are accepted", properties.len());
        faults.push(FieldFault::new("", reason));
    }
    for (name, text) in properties {
        if [name, text].iter().any(|one| one.chars().count() > ENVIRONMENT_TEXT_CHARS_MAX) {
            let place: String = name.chars().take(64).collect();
            let reason = format!("name and value have at most {ENVIRONMENT_TEXT_CHARS_MAX} characters each");
            faults.push(FieldFault::new(place, reason));
        }
    }
    for name in [PRODUCTION_ENDPOINT, SANDBOX_ENDPOINT] {
        let text = properties.get(name).filter(|text| !text.is_empty());
        if let Some(Err(reason)) = text.map(|text| read_endpoint(&Value::from(text.as_str()), kind)) {
            faults.push(FieldFault::new(name, reason));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
