//! The operations of an API as the contract has them. What of an operation the model does not know is kept beside it.

use std::collections::BTreeSet;

use portcullis_model::ApiKind;
use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::lambda;
use serde_json::{Map, Value, json};

use super::fields::{Fields, name_of_type};
use super::policies;
use super::scopes::SCOPE_NAME_CHARS_MAX;
use crate::design::asyncapi::target_of;
use crate::fault::FieldFault;
use crate::own_policy::apply::hide_steps;

/// The verbs an operation may have, in the original's order.
pub const VERBS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
/// The verbs of the operations of a WebSocket API: a channel is read, or written to.
const CHANNEL_VERBS: [&str; 2] = ["SUBSCRIBE", "PUBLISH"];
/// The verbs of the operations of an API of server-sent events, or of WebSub.
const STREAM_VERBS: [&str; 1] = ["SUBSCRIBE"];
/// The verbs of the operations of a GraphQL API: the kind of operation; what is called is a field.
const FIELD_VERBS: [&str; 3] = ["QUERY", "MUTATION", "SUBSCRIPTION"];
/// The verbs of the operations of a SOAP API.
const SOAP_VERBS: [&str; 1] = ["POST"];
/// The verbs of `/*` that an API has when its publisher names no operation.
const DEFAULT_VERBS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];
/// The policy of an operation that has none.
pub const UNLIMITED: &str = "Unlimited";
/// Characters in a URI template.
const TARGET_CHARS_MAX: usize = 1_024;
const POLICY_CHARS_MAX: usize = 255;
const OPERATION_SCOPES_MAX: usize = 100;

/// Operations, and by `VERB target` what else of them is kept.
#[derive(Debug, Default)]
pub struct ReadOperations {
    /// What the model knows.
    pub operations: Vec<Operation>,
    /// The rest.
    pub others: Map<String, Value>,
}

/// Returns the operations an API has when its publisher names none.
#[must_use]
pub fn defaults(kind: ApiKind) -> Vec<Operation> {
    let one = |verb: &str| Operation {
        verb: verb.to_owned(),
        target: "/*".to_owned(),
        auth: OperationAuth::Any,
        policy: UNLIMITED.to_owned(),
        scopes: Vec::new(),
    };
    let verbs = if kind == ApiKind::Http { &DEFAULT_VERBS } else { verbs_of(kind) };
    verbs.iter().copied().map(one).collect()
}

/// Returns the verbs that operations of an API may have.
pub(crate) fn verbs_of(kind: ApiKind) -> &'static [&'static str] {
    match kind {
        ApiKind::Ws => &CHANNEL_VERBS,
        ApiKind::Sse | ApiKind::Websub => &STREAM_VERBS,
        ApiKind::Graphql => &FIELD_VERBS,
        ApiKind::Soap => &SOAP_VERBS,
        _ => &VERBS,
    }
}

/// Returns operations as an OpenAPI document can have them: a channel is read by GET and written to by POST; those of
/// GraphQL are all one path.
#[must_use]
pub fn as_http(operations: &[Operation]) -> Vec<Operation> {
    let one = |operation: &Operation| match operation.verb.as_str() {
        "SUBSCRIBE" => Operation { verb: "GET".to_owned(), ..operation.clone() },
        "PUBLISH" => Operation { verb: "POST".to_owned(), ..operation.clone() },
        verb if FIELD_VERBS.contains(&verb) => Operation {
            verb: "POST".to_owned(),
            target: "/*".to_owned(),
            auth: OperationAuth::Any,
            policy: UNLIMITED.to_owned(),
            scopes: Vec::new(),
        },
        _ => operation.clone(),
    };
    let mut all: Vec<Operation> = operations.iter().map(one).collect();
    all.dedup();
    all
}

/// Reads `operations`. Where they are functions of AWS Lambda, `functions` is what is kept of the operations as they were; a
/// function that was named before is not checked again.
pub fn read(
    items: Vec<Value>,
    kind: ApiKind,
    functions: Option<&Map<String, Value>>,
    faults: &mut Vec<FieldFault>,
) -> ReadOperations {
    let mut read = ReadOperations::default();
    let mut seen = BTreeSet::new();
    for (number, item) in items.into_iter().enumerate() {
        let place = format!("operations[{number}]");
        let Value::Object(map) = item else {
            faults.push(FieldFault::new(place, format!("must be an object, not {}", name_of_type(&item))));
            continue;
        };
        let Some((operation, rest)) = read_one(&place, map, kind, functions, faults) else { continue };
        let key = key_of(&operation);
        if !seen.insert(key.clone()) {
            faults.push(FieldFault::new(place, format!("{key} is there twice")));
            continue;
        }
        if !rest.is_empty() {
            read.others.insert(key, Value::Object(rest));
        }
        read.operations.push(operation);
    }
    read
}

fn read_one(
    place: &str,
    map: Map<String, Value>,
    kind: ApiKind,
    functions: Option<&Map<String, Value>>,
    faults: &mut Vec<FieldFault>,
) -> Option<(Operation, Map<String, Value>)> {
    let mut fields = Fields::new(format!("{place}."), map);
    fields.take("id");
    fields.take("usedProductIds");
    let target = fields.text("target", TARGET_CHARS_MAX);
    // The original has channels and topics without a slash too.
    let is_channel = matches!(kind, ApiKind::Ws | ApiKind::Sse | ApiKind::Websub);
    let target = target.map(|target| if is_channel && !target.is_empty() { target_of(&target) } else { target });
    let verb = fields.text("verb", 16).map(|verb| verb.to_ascii_uppercase());
    let auth = fields.text("authType", 64);
    let policy = fields.text("throttlingPolicy", POLICY_CHARS_MAX).filter(|policy| !policy.is_empty());
    let scopes = fields.texts("scopes", OPERATION_SCOPES_MAX, SCOPE_NAME_CHARS_MAX).unwrap_or_default();
    let faults_before = faults.len();
    let rest = fields.finish_into(faults);
    if let Some(policies) = rest.get("operationPolicies") {
        policies::check(&format!("{place}.operationPolicies"), policies, kind, faults);
    }
    let mut fault = |field: &str, reason: String| faults.push(FieldFault::new(format!("{place}.{field}"), reason));
    if let (Some(before), Some(verb), Some(target)) = (functions, &verb, &target) {
        let before = before.get(&format!("{verb} {target}")).and_then(Value::as_object);
        if let Err((field, reason)) = lambda::check_function(&rest, before) {
            fault(field, reason);
        }
    }
    match &target {
        None => fault("target", "must be there".to_owned()),
        Some(target) => {
            let checked = if kind == ApiKind::Graphql { check_field(target) } else { check_target(target) };
            if let Err(reason) = checked {
                fault("target", reason);
            }
        }
    }
    match &verb {
        Some(verb) if verbs_of(kind).contains(&verb.as_str()) => {}
        Some(verb) => fault("verb", format!("is {verb}; one of {} is accepted", verbs_of(kind).join(", "))),
        None => fault("verb", "must be there".to_owned()),
    }
    let auth = match auth.as_deref().map(auth_from_contract) {
        None => OperationAuth::Any,
        Some(Some(auth)) => auth,
        Some(None) => {
            fault("authType", "one of None, Any, Application, Application_User is accepted".to_owned());
            OperationAuth::Any
        }
    };
    if faults.len() > faults_before {
        return None;
    }
    let policy = policy.unwrap_or_else(|| UNLIMITED.to_owned());
    Some((Operation { verb: verb?, target: target?, auth, policy, scopes }, rest))
}

/// Checks a URI template: it begins with a slash, names its parameters in braces, and has no query.
///
/// # Errors
/// What is wrong with it.
pub fn check_target(target: &str) -> Result<(), String> {
    if !target.starts_with('/') {
        return Err(format!("`{target}` must begin with /"));
    }
    if target.chars().count() > TARGET_CHARS_MAX {
        return Err(format!("has more than {TARGET_CHARS_MAX} characters"));
    }
    if let Some(wrong) = target.chars().find(|one| one.is_whitespace() || one.is_control() || matches!(one, '?' | '#'))
    {
        return Err(format!("`{target}` must not have {wrong:?}"));
    }
    let mut is_open = false;
    let mut name_chars = 0;
    for one in target.chars() {
        match one {
            '{' if is_open => return Err(format!("`{target}` has a {{ inside braces")),
            '{' => (is_open, name_chars) = (true, 0),
            '}' if !is_open || name_chars == 0 => {
                return Err(format!("`{target}` has a }} without a parameter's name"));
            }
            '}' => is_open = false,
            '/' if is_open => return Err(format!("`{target}` has a / inside braces")),
            _ => name_chars += 1,
        }
    }
    if is_open { Err(format!("`{target}` has a {{ that is not closed")) } else { Ok(()) }
}

/// Checks the name of a field of GraphQL.
fn check_field(name: &str) -> Result<(), String> {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let is_name = !name.is_empty() && name.chars().all(is_plain) && !name.starts_with(|one: char| one.is_ascii_digit());
    if is_name { Ok(()) } else { Err(format!("`{name}` is not the name of a field of the schema")) }
}

/// Returns the kind of token that a contract's or definition's text names.
#[must_use]
pub fn auth_from_contract(text: &str) -> Option<OperationAuth> {
    let plain: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    Some(match plain.as_str() {
        "none" => OperationAuth::None,
        "any" | "applicationapplicationuser" => OperationAuth::Any,
        "application" => OperationAuth::Application,
        "applicationuser" => OperationAuth::ApplicationUser,
        _ => return None,
    })
}

/// Returns how an operation is named in messages and among the fields kept.
#[must_use]
pub fn key_of(operation: &Operation) -> String {
    format!("{} {}", operation.verb, operation.target)
}

/// Writes `operations`.
#[must_use]
pub fn write(operations: &[Operation], others: Option<&Map<String, Value>>) -> Value {
    let mut whole = write_whole(operations, others);
    for operation in whole.as_array_mut().into_iter().flatten() {
        hide_steps(&mut operation["operationPolicies"]);
    }
    whole
}

/// Writes `operations` with what policies of the tenant's own stand for.
#[must_use]
pub fn write_whole(operations: &[Operation], others: Option<&Map<String, Value>>) -> Value {
    let one = |operation: &Operation| {
        let mut body = json!({
            "id": "",
            "target": operation.target,
            "verb": operation.verb,
            "authType": operation.auth.as_contract(),
            "throttlingPolicy": operation.policy,
            "scopes": operation.scopes,
            "usedProductIds": [],
            "amznResourceName": null,
            "amznResourceTimeout": null,
            "amznResourceContentEncode": null,
            "payloadSchema": null,
            "uriMapping": null,
            "operationPolicies": {"request": [], "response": [], "fault": []},
        });
        let kept = others.and_then(|others| others.get(&key_of(operation))).and_then(Value::as_object);
        if let (Some(body), Some(kept)) = (body.as_object_mut(), kept) {
            body.extend(kept.clone());
        }
        body
    };
    operations.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_template_with_broken_braces_is_refused() {
        for good in ["/*", "/menu", "/order/{orderId}", "/a/{b}.{c}/d", "/"] {
            assert_eq!(check_target(good), Ok(()), "{good}");
        }
        for bad in ["menu", "/order/{id", "/order/id}", "/order/{}", "/{a{b}}", "/{a/b}", "/a?b=c", "/a b"] {
            assert!(check_target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn channels_are_read_and_written_to_and_described_by_verbs_of_http() {
        let mut faults = Vec::new();
        let items = ["SUBSCRIBE", "PUBLISH", "GET"].map(|verb| json!({"target": "/room", "verb": verb}));
        let read = read(items.to_vec(), ApiKind::Ws, None, &mut faults);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].reason.contains("SUBSCRIBE, PUBLISH"), "{faults:?}");
        let verbs: Vec<String> = as_http(&read.operations).into_iter().map(|operation| operation.verb).collect();
        assert_eq!(verbs, ["GET", "POST"]);
        assert_eq!(defaults(ApiKind::Sse)[0].verb, "SUBSCRIBE");
    }

    #[test]
    fn functions_are_checked_where_operations_are_functions_and_only_if_they_are_new() {
        let items = || vec![json!({"target": "/menu", "verb": "get", "amznResourceName": "../x"})];
        let kept = json!({"GET /menu": {"amznResourceName": "../x"}});
        let nothing = Map::new();
        for (functions, faults_wanted) in [(None, 0), (Some(&nothing), 1), (kept.as_object(), 0)] {
            let mut faults = Vec::new();
            let read = read(items(), ApiKind::Http, functions, &mut faults);
            assert_eq!((faults.len(), read.operations.len()), (faults_wanted, 1 - faults_wanted), "{faults:?}");
            assert!(faults.iter().all(|fault| fault.place == "operations[0].amznResourceName"), "{faults:?}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let mut faults = Vec::new();
        let items = vec![
            json!({"target": "/menu", "verb": "get", "payloadSchema": "x"}),
            json!({"target": "/menu", "verb": "GET"}),
            json!({"target": "menu", "verb": "FETCH", "authType": 7}),
        ];
        let read = read(items, ApiKind::Http, None, &mut faults);
        assert_eq!(read.operations.len(), 1);
        assert_eq!(read.others["GET /menu"], json!({"payloadSchema": "x"}));
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["operations[1]", "operations[2].authType", "operations[2].target", "operations[2].verb"]);
    }
}
