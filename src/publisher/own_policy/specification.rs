//! The specification of an operation policy, as the original's `policySpecFile` has it.

use std::collections::BTreeSet;

use portcullis_model::mediation::step::Kind;
use portcullis_model::mediation::{Flow, PARAMETER_CHARS_MAX, VERSION};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{FieldFault, PublisherError};
use crate::openapi::document::parse_text;

/// Bytes of a specification.
pub(crate) const SPECIFICATION_BYTES_MAX: usize = 256 << 10;
const NAME_CHARS_MAX: usize = 255;
const TEXT_CHARS_MAX: usize = 4_096;
const ATTRIBUTES_MAX: usize = 50;
/// Values among which a parameter may be.
const ALLOWED_VALUES_MAX: usize = 200;
/// The gateway for which definitions are understood.
const GATEWAY: &str = "Synapse";

/// What is said of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Specification {
    #[serde(default = "mediation")]
    pub(crate) category: String,
    pub(crate) name: String,
    #[serde(default = "first_version")]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) applicable_flows: Vec<String>,
    #[serde(default)]
    pub(crate) supported_gateways: Vec<String>,
    #[serde(default)]
    pub(crate) supported_api_types: Vec<Value>,
    #[serde(default)]
    pub(crate) policy_attributes: Vec<Attribute>,
}

/// A parameter of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attribute {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) validation_regex: Option<String>,
    #[serde(rename = "type", default = "text")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) default_value: Option<Value>,
    #[serde(default)]
    pub(crate) allowed_values: Option<Vec<Value>>,
}

fn mediation() -> String {
    "Mediation".to_owned()
}

fn first_version() -> String {
    VERSION.to_owned()
}

fn text() -> String {
    "String".to_owned()
}

impl Attribute {
    /// Returns what holds where it is not set.
    pub(crate) fn default_text(&self) -> Option<String> {
        match self.default_value.as_ref()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Says whether it can be set to a text.
    pub(crate) fn allows(&self, text: &str) -> bool {
        let allowed = self.allowed_values.as_deref().unwrap_or_default();
        allowed.is_empty()
            || allowed.iter().any(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned) == text)
    }
}

impl Specification {
    /// Reads a specification, JSON or YAML, alone or under `data`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, PublisherError> {
        let whole = |reason: String| PublisherError::field("policySpecFile", reason);
        if text.len() > SPECIFICATION_BYTES_MAX {
            return Err(whole(format!("may have at most {SPECIFICATION_BYTES_MAX} bytes")));
        }
        let mut value = parse_text(text).map_err(|error| whole(error.to_string()))?;
        if let Some(data) = value.get_mut("data").filter(|data| data.is_object()) {
            value = data.take();
        }
        if let Some(version) = value.get_mut("version").filter(|version| version.is_number()) {
            *version = Value::String(version.to_string());
        }
        let mut read: Self = serde_json::from_value(value).map_err(|error| whole(error.to_string()))?;
        if read.display_name.is_empty() {
            read.display_name.clone_from(&read.name);
        }
        let faults = read.faults();
        if faults.is_empty() { Ok(read) } else { Err(PublisherError::Fields(faults)) }
    }

    /// Returns the flows that it fits.
    pub(crate) fn flows(&self) -> impl Iterator<Item = Flow> + '_ {
        Flow::ALL.into_iter().filter(|flow| self.applicable_flows.iter().any(|name| name == flow.as_contract()))
    }

    fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |place: &str, reason: String| faults.push(FieldFault::new(place, reason));
        for (place, name) in [("name", &self.name), ("version", &self.version)] {
            let is_plain = |one: char| one.is_alphanumeric() || "-_.".contains(one);
            if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
                fault(place, format!("must have 1 to {NAME_CHARS_MAX} letters, digits and any of - _ ."));
            }
        }
        for (place, text) in [("displayName", &self.display_name), ("description", &self.description)] {
            if text.chars().count() > TEXT_CHARS_MAX {
                fault(place, format!("may have at most {TEXT_CHARS_MAX} characters"));
            }
        }
        if let Some(kind) = Kind::of(&self.name, &self.version) {
            let reason = "comes with the program; give yours another name or version";
            fault("name", format!("{} {} {reason}", kind.name, kind.version));
        }
        if self.category != "Mediation" {
            fault("category", "must be Mediation".to_owned());
        }
        let known = |name: &String| Flow::ALL.iter().any(|flow| flow.as_contract() == name);
        if self.applicable_flows.is_empty() || !self.applicable_flows.iter().all(known) {
            fault("applicableFlows", "must name request, response or fault, and nothing else".to_owned());
        }
        if !self.supported_gateways.iter().any(|name| name.eq_ignore_ascii_case(GATEWAY)) {
            fault(
                "supportedGateways",
                format!("must name {GATEWAY}: definitions for other gateways are not understood"),
            );
        }
        if self.policy_attributes.len() > ATTRIBUTES_MAX {
            fault("policyAttributes", format!("may be {ATTRIBUTES_MAX} at most"));
        }
        let mut seen = BTreeSet::new();
        for (number, attribute) in self.policy_attributes.iter().enumerate() {
            let is_plain = |one: char| one.is_alphanumeric() || "-_.".contains(one);
            if attribute.name.is_empty() || !attribute.name.chars().all(is_plain) || !seen.insert(&attribute.name) {
                let place = format!("policyAttributes[{number}].name");
                fault(&place, "must be there, once, of letters, digits and any of - _ .".to_owned());
            }
            if attribute.allowed_values.as_ref().is_some_and(|values| values.len() > ALLOWED_VALUES_MAX) {
                let place = format!("policyAttributes[{number}].allowedValues");
                fault(&place, format!("may be {ALLOWED_VALUES_MAX} at most"));
            }
            if attribute.default_text().is_some_and(|text| text.chars().count() > PARAMETER_CHARS_MAX) {
                let place = format!("policyAttributes[{number}].defaultValue");
                fault(&place, format!("may have at most {PARAMETER_CHARS_MAX} characters"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_is_read_in_both_forms_with_its_defaults() {
        let yaml = "type: operation_policy_specification\nversion: v4.1.0\ndata:\n  category: Mediation\n  name: stamp\n  version: 2\n  applicableFlows: [request]\n  supportedGateways: [Synapse]\n  policyAttributes:\n  - name: who\n    required: true\n    allowedValues: [a, 1]\n";
        let read = Specification::parse(yaml).unwrap();
        assert_eq!((&*read.version, &*read.display_name), ("2", "stamp"));
        let who = &read.policy_attributes[0];
        assert!(who.allows("a") && who.allows("1") && !who.allows("b"));
        assert_eq!(read.flows().collect::<Vec<_>>(), [Flow::Request]);
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let wrong = r#"{"name": "addHeader", "category": "Other", "applicableFlows": ["in"], "supportedGateways": ["ChoreoConnect"],
            "policyAttributes": [{"name": "a"}, {"name": "a"}]}"#;
        let Err(PublisherError::Fields(faults)) = Specification::parse(wrong) else { panic!() };
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.place).collect();
        let long = "x".repeat(PARAMETER_CHARS_MAX + 1);
        let wrong_too = serde_json::json!({"name": "own", "applicableFlows": ["request"], "supportedGateways": ["Synapse"],
            "policyAttributes": [{"name": "a", "defaultValue": long, "allowedValues": vec![1; ALLOWED_VALUES_MAX + 1]}]});
        let Err(PublisherError::Fields(too)) = Specification::parse(&wrong_too.to_string()) else { panic!() };
        let too: Vec<&str> = too.iter().map(|fault| &*fault.place).collect();
        assert_eq!(too, ["policyAttributes[0].allowedValues", "policyAttributes[0].defaultValue"]);
        let all = ["name", "category", "applicableFlows", "supportedGateways", "policyAttributes[1].name"];
        assert_eq!(places, all);
    }
}
