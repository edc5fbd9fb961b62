//! The field `mediationPolicies` of archives: sequences of the original's older versions, by name. Those that have an operation
//! policy which does the same become that; what is in the others would silently not be in force.

use serde_json::{Map, Value, json};

use super::project::refuse;
use crate::fault::PublisherError;

const FIELD: &str = "mediationPolicies";
/// The type and the name of a sequence, and the policies that do the same, each with its label.
type Sequence = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
/// The sequences that came with the original.
const KNOWN: [Sequence; 10] = [
    ("in", "json_to_xml_in_message", &[("jsonToXML", "")]),
    ("in", "xml_to_json_in_message", &[("xmlToJson", "")]),
    ("in", "log_in_message", &[("addLogMessage", "log_in_message")]),
    ("in", "debug_in_flow", &[("addLogMessage", "debug_in_flow")]),
    ("out", "json_to_xml_out_message", &[("jsonToXML", "")]),
    ("out", "xml_to_json_out_message", &[("xmlToJson", "")]),
    ("out", "log_out_message", &[("addLogMessage", "log_out_message")]),
    ("out", "debug_out_flow", &[("addLogMessage", "debug_out_flow")]),
    ("fault", "json_fault", &[("jsonFault", "")]),
    ("fault", "debug_json_fault", &[("addLogMessage", "debug_json_fault"), ("jsonFault", "")]),
];

/// Has an API do by its policies what its mediation policies say.
///
/// # Errors
/// One that no operation policy stands for, by name.
pub(super) fn take_policies(fields: &mut Map<String, Value>) -> Result<(), PublisherError> {
    let named = match fields.shift_remove(FIELD) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(named)) => named,
        Some(_) => return Err(refuse(FIELD, "must be a list")),
    };
    for one in &named {
        let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("type").to_ascii_lowercase(), text("name"));
        let known = KNOWN.iter().find(|(flow, known, _)| *known == name && (*flow == kind || kind.is_empty()));
        let Some((flow, _, policies)) = known else {
            let reason = format!(
                "{name:?} ({kind}) is not imported: take it out of api.yaml, and apply operation policies instead"
            );
            return Err(refuse(FIELD, reason));
        };
        let flow = match *flow {
            "in" => "request",
            "out" => "response",
            other => other,
        };
        for (policy, label) in *policies {
            apply(fields, flow, policy, label);
        }
    }
    Ok(())
}

/// Adds a policy to those of all operations, unless it is there.
fn apply(fields: &mut Map<String, Value>, flow: &str, policy: &str, label: &str) {
    let flows = fields.entry("apiPolicies").or_insert(Value::Null);
    if flows.is_null() {
        *flows = json!({});
    }
    // What is no object, or holds no lists, is refused where the fields are read.
    let Some(flows) = flows.as_object_mut() else { return };
    let all = flows.entry(flow).or_insert(Value::Null);
    if all.is_null() {
        *all = json!([]);
    }
    let Some(all) = all.as_array_mut() else { return };
    if all.iter().all(|one| one["policyName"] != *policy) {
        let parameters = if label.is_empty() { json!({}) } else { json!({"label": label}) };
        all.push(json!({"policyName": policy, "policyVersion": "v1", "parameters": parameters}));
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::mediation::Kind;

    use super::*;

    fn taken(fields: Value) -> Result<Value, PublisherError> {
        let Value::Object(mut fields) = fields else { panic!("an object") };
        take_policies(&mut fields).map(|()| Value::Object(fields))
    }

    #[test]
    fn sequences_of_the_original_become_policies_and_others_are_refused_by_name() {
        let stamp = json!({"policyName": "stamp", "policyVersion": "v2"});
        let fields = taken(json!({
            "mediationPolicies": [
                {"name": "json_to_xml_in_message", "type": "in"}, {"name": "debug_json_fault", "type": "FAULT"},
            ],
            "apiPolicies": {"request": [stamp], "response": null},
        }));
        let policy = |name: &str, parameters: Value| json!({"policyName": name, "policyVersion": "v1", "parameters": parameters});
        let wanted = json!({"apiPolicies": {
            "request": [stamp, policy("jsonToXML", json!({}))], "response": null,
            "fault": [policy("addLogMessage", json!({"label": "debug_json_fault"})), policy("jsonFault", json!({}))],
        }});
        assert_eq!(fields.unwrap(), wanted);
        for nothing in [json!({}), json!({"mediationPolicies": null}), json!({"mediationPolicies": []})] {
            assert_eq!(taken(nothing).unwrap(), json!({}));
        }
        for other in [json!({"name": "regex_policy", "type": "in"}), json!({"name": "json_fault", "type": "in"})] {
            let refused = taken(json!({"mediationPolicies": [other]})).unwrap_err().to_string();
            assert!(
                refused.contains("mediationPolicies") && refused.contains(other["name"].as_str().unwrap()),
                "{refused}"
            );
        }
    }

    #[test]
    fn every_policy_that_stands_for_a_sequence_is_one_of_the_program() {
        for (kind, name, policies) in KNOWN {
            for (policy, _) in policies {
                let flows = Kind::named(policy).map(|kind| kind.flows).unwrap_or_default();
                let flow = match kind {
                    "in" => portcullis_model::mediation::Flow::Request,
                    "out" => portcullis_model::mediation::Flow::Response,
                    _ => portcullis_model::mediation::Flow::Fault,
                };
                assert!(flows.contains(&flow), "{name}: {policy}");
            }
        }
    }
}
