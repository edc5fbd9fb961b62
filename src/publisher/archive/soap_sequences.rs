//! The folder `SoapToRest` of archives: how calls of an API of the type SOAPTOREST become messages, as the original keeps it, a
//! sequence for each operation and way. Here that is two policies of the operation.

use portcullis_http::zip::Files;
use serde_json::{Map, Value, json};

use super::project::refuse;
use crate::design::soap_sequence;
use crate::fault::PublisherError;

const FOLDER: &str = "SoapToRest";
const CALL: &str = "jsonToSOAP";
const ANSWER: &str = "soapToJSON";

/// Has the operations of an API do what the sequences of its archive say, but for those that say themselves what is done.
///
/// # Errors
/// A sequence that is not understood, or one of no operation.
pub(super) fn take_sequences(fields: &mut Map<String, Value>, files: &Files, root: &str) -> Result<(), PublisherError> {
    let mut left: Vec<&String> = files.keys().filter(|name| name.starts_with(&format!("{root}{FOLDER}/in/"))).collect();
    for operation in fields.get_mut("operations").and_then(Value::as_array_mut).into_iter().flatten() {
        // What is no object is refused where the operations are read.
        let Some(operation) = operation.as_object_mut() else { continue };
        let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (verb, target) = (text("verb").to_lowercase(), text("target"));
        let name = |way: &str| format!("{root}{FOLDER}/{way}/{}_{verb}.xml", target.trim_start_matches('/'));
        let Some(call) = files.get(&name("in")) else { continue };
        left.retain(|other| **other != name("in"));
        let policies = operation.entry("operationPolicies").or_insert(Value::Null);
        let request = policies["request"].as_array().cloned().unwrap_or_default();
        if request.iter().any(|policy| policy["policyName"] == CALL) {
            continue;
        }
        let named = |way: &str, error: PublisherError| refuse(&name(way), error.to_string());
        let read = |way: &str, bytes: &Vec<u8>| {
            String::from_utf8(bytes.clone()).map_err(|_| refuse(&name(way), "is not UTF-8"))
        };
        let parameters = soap_sequence::read(&read("in", call)?).map_err(|error| named("in", error))?;
        if let Some(answer) = files.get(&name("out")) {
            soap_sequence::check_out(&read("out", answer)?).map_err(|error| named("out", error))?;
        }
        let policy = |name: &str, parameters: &Value| json!({"policyName": name, "policyVersion": "v1", "parameters": parameters});
        let response = policies["response"].as_array().cloned().unwrap_or_default();
        if !policies.is_object() {
            *policies = json!({"fault": []});
        }
        policies["request"] = request.into_iter().chain([policy(CALL, &parameters)]).collect();
        policies["response"] = [policy(ANSWER, &json!({}))].into_iter().chain(response).collect();
    }
    match left.first() {
        None => Ok(()),
        Some(lost) => Err(refuse(lost, "belongs to no operation of api.yaml")),
    }
}

/// Writes the sequences of an API that was written as the REST contract has it, for the original to read. What is in folders
/// of its own path has none: the original has no such.
pub(super) fn add_sequences(files: &mut Files, body: &Value, root: &str) {
    for operation in body["operations"].as_array().into_iter().flatten() {
        let text = |name: &str| operation[name].as_str().unwrap_or_default();
        let (verb, target) = (text("verb").to_lowercase(), text("target").trim_start_matches('/'));
        let mut steps = operation["operationPolicies"]["request"].as_array().into_iter().flatten();
        let Some(step) = steps.find(|step| step["policyName"] == CALL) else { continue };
        if target.contains('/') {
            continue;
        }
        let mut add = |way: &str, content: String| {
            files.insert(format!("{root}/{FOLDER}/{way}/{target}_{verb}.xml"), content.into_bytes());
        };
        add("in", soap_sequence::write(&step["parameters"]));
        add("out", soap_sequence::OUT.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str =
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><a>$1</a></s:Body></s:Envelope>";

    fn api(policies: &Value) -> Value {
        json!({"operations": [{"verb": "POST", "target": "/getPrice", "operationPolicies": policies}]})
    }

    fn taken(body: Value, files: &Files) -> Result<Value, PublisherError> {
        let Value::Object(mut fields) = body else { panic!("an object") };
        take_sequences(&mut fields, files, "a/").map(|()| Value::Object(fields))
    }

    #[test]
    fn sequences_become_policies_and_policies_sequences() {
        let parameters = json!({"soapAction": "urn:a", "soapVersion": "1.1", "envelope": ENVELOPE, "arguments": "$.b"});
        let policies = json!({
            "fault": [], "request": [{"policyName": CALL, "policyVersion": "v1", "parameters": parameters}],
            "response": [{"policyName": ANSWER, "policyVersion": "v1", "parameters": {}}],
        });
        let whole = api(&policies);
        let mut files = Files::new();
        add_sequences(&mut files, &whole, "a");
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a/SoapToRest/in/getPrice_post.xml", "a/SoapToRest/out/getPrice_post.xml"]);
        for bare in [api(&Value::Null), api(&json!({"request": [], "response": [], "fault": []})), whole.clone()] {
            assert_eq!(taken(bare, &files).unwrap(), whole);
        }
        files.insert("a/SoapToRest/in/other_post.xml".to_owned(), Vec::new());
        assert!(taken(api(&Value::Null), &files).unwrap_err().to_string().contains("other_post.xml"));
        files.clear();
        files.insert("a/SoapToRest/in/_.xml".to_owned(), b"<enrich/>".to_vec());
        for wrong in [json!("POST /getPrice"), json!(7), json!([]), Value::Null] {
            let refused = taken(json!({"operations": [wrong]}), &files).unwrap_err();
            assert!(refused.to_string().contains("no operation"), "{refused}");
        }
        files.clear();
        files.insert("a/SoapToRest/in/getPrice_post.xml".to_owned(), b"<enrich/>".to_vec());
        assert!(taken(api(&Value::Null), &files).unwrap_err().to_string().contains("enrich"));
    }
}
