//! Samples: a line for the shell that calls an API, and JSON made from a schema.

use portcullis_portal::calling::{Language, Operation, line};
use serde_json::{Map, Value, json};

use super::{key_header, operations_of};
use crate::dto::api::ApiDto;

/// How deep a schema is followed.
const DEPTH_MAX: usize = 6;
/// Fields of an object that are shown.
const FIELDS_MAX: usize = 30;

/// Returns a line for the shell that calls the operation that is easiest to call, with the key from the variable `KEY`.
pub(super) fn easiest(api: &ApiDto, url: &str) -> String {
    let ease = |one: &&Operation| (one.verb != "GET", one.target.contains('{'));
    let (language, operations) = (Language::of(api.kind), operations_of(api));
    // Nothing in particular is asked for of what has one address alone.
    let operation = operations.iter().min_by_key(ease).filter(|_| !language.is_at_one_address());
    line(language, url, operation, &key_header(api).of_variable())
}

/// Returns what a `$ref` within a document leads to.
pub(super) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str).and_then(|link| link.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => value,
    }
}

/// Returns JSON as a schema describes it.
pub(super) fn of_schema(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(document, schema);
    if let Some(example) = schema.get("example").or_else(|| schema.get("default")) {
        return example.clone();
    }
    if let Some(first) = schema["enum"].get(0).or_else(|| schema["examples"].get(0)) {
        return first.clone();
    }
    if depth == DEPTH_MAX {
        return Value::Null;
    }
    for word in ["allOf", "oneOf", "anyOf"] {
        if let Some(parts) = schema[word].as_array() {
            return of_parts(document, word, parts, depth);
        }
    }
    match schema["type"].as_str() {
        Some("string") => json!("text"),
        Some("integer") => json!(0),
        Some("number") => json!(0.0),
        Some("boolean") => json!(true),
        Some("array") => json!([of_schema(document, &schema["items"], depth + 1)]),
        _ => of_object(document, schema, depth),
    }
}

fn of_parts(document: &Value, word: &str, parts: &[Value], depth: usize) -> Value {
    if word != "allOf" {
        return parts.first().map_or(Value::Null, |first| of_schema(document, first, depth + 1));
    }
    let mut whole = Map::new();
    for part in parts.iter().take(FIELDS_MAX) {
        if let Value::Object(fields) = of_schema(document, part, depth + 1) {
            whole.extend(fields);
        }
    }
    whole.into()
}

fn of_object(document: &Value, schema: &Value, depth: usize) -> Value {
    let Some(properties) = schema["properties"].as_object() else { return json!({}) };
    let shown = properties.iter().take(FIELDS_MAX);
    shown.map(|(name, one)| (name.clone(), of_schema(document, one, depth + 1))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_json_and_one_that_holds_itself_ends() {
        let document = json!({"components": {"schemas": {"Node": {"type": "object", "properties": {
            "name": {"type": "string", "example": "a"}, "next": {"$ref": "#/components/schemas/Node"},
        }}}}});
        let made = of_schema(&document, &json!({"$ref": "#/components/schemas/Node"}), 0);
        assert_eq!((&made["name"], &made["next"]["name"]), (&json!("a"), &json!("a")));
        assert!(made.to_string().len() < 1_000);
    }
}
