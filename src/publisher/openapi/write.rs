//! Writes OpenAPI documents: a new one for an API that was made without, and an existing one brought in step with the
//! API's operations. Descriptions, schemas and whatever else the document holds are left alone.

use portcullis_model::Api;
use portcullis_model::api::Operation;
use serde_json::{Map, Value, json};

use super::check::is_verb;
use super::extract::{oauth_schemes, operation_of};
use crate::dto::operations::as_http;

/// The security scheme by which the original names the scopes of operations.
const SCHEME: &str = "default";

/// Makes a document for an API.
#[must_use]
pub fn generate(api: &Api) -> Value {
    let mut info = json!({"title": api.name, "version": api.version});
    if !api.description.is_empty() {
        info["description"] = json!(api.description);
    }
    let document = json!({
        "openapi": "3.0.1",
        "info": info,
        "servers": [{"url": "/"}],
        "security": [{SCHEME: []}],
        "paths": {},
    });
    with_operations(document, api)
}

/// Sets the version of a document to that of an API.
pub fn set_version(document: &mut Value, version: &str) {
    if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("version".to_owned(), json!(version));
    }
}

/// Brings a document in step with an API: adds the operations it lacks, removes those the API does not have, and sets
/// kind of token, policy and scopes where they differ.
#[must_use]
pub fn with_operations(mut document: Value, api: &Api) -> Value {
    declare_scopes(&mut document, api);
    let operations = as_http(&api.operations);
    let before = document.clone();
    let schemes = oauth_schemes(&before);
    let mut paths = match document.get_mut("paths").map(Value::take) {
        Some(Value::Object(paths)) => paths,
        _ => Map::new(),
    };
    for (path, item) in &mut paths {
        if let Some(item) = item.as_object_mut().filter(|item| path.starts_with('/') && !item.contains_key("$ref")) {
            item.retain(|key, _| !is_verb(key) || has(&operations, path, key));
        }
    }
    for operation in &operations {
        let item = paths.entry(operation.target.clone()).or_insert_with(|| json!({}));
        // A referenced path item is shared: what it says holds for all who refer to it.
        let Some(item) = item.as_object_mut().filter(|item| !item.contains_key("$ref")) else { continue };
        let verb = operation.verb.to_ascii_lowercase();
        let entry = item.entry(verb.clone()).or_insert_with(|| new_operation(&operation.target));
        let is_same = operation_of(&before, &schemes, &operation.target, &verb, entry).is_ok_and(|is| is == *operation);
        if let Some(entry) = entry.as_object_mut().filter(|_| !is_same) {
            entry.insert("x-auth-type".to_owned(), json!(auth_text(operation)));
            entry.insert("x-throttling-tier".to_owned(), json!(operation.policy));
            entry.shift_remove("x-wso2-disable-security");
            entry.shift_remove("x-wso2-throttling-tier");
            entry.shift_remove("x-scope");
            entry.insert("security".to_owned(), json!([{SCHEME: operation.scopes}]));
        }
    }
    paths.retain(|path, item| {
        !path.starts_with('/')
            || item.as_object().is_none_or(|item| item.contains_key("$ref") || item.keys().any(|key| is_verb(key)))
    });
    document["paths"] = Value::Object(paths);
    document
}

fn has(operations: &[Operation], path: &str, verb: &str) -> bool {
    operations.iter().any(|one| one.target == path && one.verb.eq_ignore_ascii_case(verb))
}

fn auth_text(operation: &Operation) -> &'static str {
    match operation.auth {
        portcullis_model::OperationAuth::Any => "Application & Application User",
        other => other.as_contract(),
    }
}

fn new_operation(target: &str) -> Value {
    let parameters: Vec<Value> = target
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut operation = json!({"responses": {"200": {"description": "OK"}}});
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    operation
}

/// Declares the API's scopes and their roles in the scheme the original uses for that.
fn declare_scopes(document: &mut Value, api: &Api) {
    let Some(top) = document.as_object_mut() else { return };
    let Some(components) = top.entry("components").or_insert_with(|| json!({})).as_object_mut() else { return };
    let schemes = components.entry("securitySchemes").or_insert_with(|| json!({}));
    let Some(schemes) = schemes.as_object_mut() else { return };
    // Scopes that only another scheme declares and the API no longer has would come back with the next reading.
    for (_, scheme) in schemes.iter_mut().filter(|(name, scheme)| *name != SCHEME && scheme["type"] == "oauth2") {
        for flow in scheme.get_mut("flows").and_then(Value::as_object_mut).into_iter().flatten().map(|(_, flow)| flow) {
            if let Some(scopes) = flow.get_mut("scopes").and_then(Value::as_object_mut) {
                scopes.retain(|scope, _| api.scopes.iter().any(|one| one.name == *scope));
            }
        }
    }
    let scopes: Map<String, Value> =
        api.scopes.iter().map(|scope| (scope.name.clone(), json!(scope.description))).collect();
    let bindings: Map<String, Value> = api
        .scopes
        .iter()
        .filter(|scope| !scope.roles.is_empty())
        .map(|scope| {
            let roles: Vec<&str> = scope.roles.iter().map(|role| role.0.as_str()).collect();
            (scope.name.clone(), json!(roles.join(",")))
        })
        .collect();
    let flow = json!({"authorizationUrl": "https://test.com", "scopes": scopes, "x-scopes-bindings": bindings});
    schemes.insert(SCHEME.to_owned(), json!({"type": "oauth2", "flows": {"implicit": flow}}));
}
