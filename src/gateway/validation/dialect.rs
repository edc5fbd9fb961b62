//! Schemas of OpenAPI 3.0 as JSON Schema has them (2020-12), which those of 3.1 are already.

use serde_json::{Map, Value, json};

/// How deep a document is looked into.
const DEPTH_MAX: usize = 128;

/// Turns the schemas of a document of OpenAPI 3.0 into JSON Schema; leaves one of 3.1 as it is.
pub(super) fn modernise(document: &mut Value) {
    let is_old = document.get("openapi").is_some_and(|version| match version {
        Value::String(text) => text.starts_with("3.0"),
        // Without quotes in YAML.
        other => other.as_f64() == Some(3.0),
    });
    if is_old {
        walk(document, false, 0);
    }
}

/// Goes through a value; `is_schema` says that it is a schema, and not only something that holds some.
fn walk(value: &mut Value, is_schema: bool, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            if is_schema {
                turn(members);
            }
            for (name, inner) in members.iter_mut() {
                match name.as_str() {
                    // What these hold are no schemas, whatever it looks like.
                    "example" | "examples" | "enum" | "default" | "const" => {}
                    "schema" | "items" | "not" | "additionalProperties" => walk(inner, true, depth + 1),
                    "schemas" | "properties" => {
                        for one in inner.as_object_mut().into_iter().flat_map(Map::values_mut) {
                            walk(one, true, depth + 1);
                        }
                    }
                    "allOf" | "anyOf" | "oneOf" => {
                        for one in inner.as_array_mut().into_iter().flatten() {
                            walk(one, true, depth + 1);
                        }
                    }
                    _ => walk(inner, false, depth + 1),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, is_schema, depth + 1)),
        _ => {}
    }
}

/// Turns what one schema says of its own.
fn turn(schema: &mut Map<String, Value>) {
    if schema.contains_key("$ref") {
        // In 3.0 nothing beside a reference counts.
        schema.retain(|name, _| name == "$ref");
        return;
    }
    if schema.shift_remove("nullable") == Some(Value::Bool(true)) {
        if let Some(Value::String(kind)) = schema.get("type") {
            let both = json!([kind, "null"]);
            schema.insert("type".to_owned(), both);
        }
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match schema.get(exclusive) {
            Some(Value::Bool(true)) => {
                schema.shift_remove(exclusive);
                if let Some(number) = schema.shift_remove(bound) {
                    schema.insert(exclusive.to_owned(), number);
                }
            }
            Some(Value::Bool(false)) => {
                schema.shift_remove(exclusive);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_the_versions_is_turned_and_examples_are_left() {
        let mut document = json!({
            "openapi": "3.0.3",
            "components": {"schemas": {"A": {
                "type": "object",
                "example": {"nullable": true, "type": "x"},
                "properties": {
                    "a": {"type": "string", "nullable": true, "enum": ["x"]},
                    "b": {"type": "integer", "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false},
                    "nullable": {"type": "boolean"},
                    "c": {"$ref": "#/components/schemas/A", "nullable": true},
                },
            }}},
        });
        modernise(&mut document);
        let schema = &document["components"]["schemas"]["A"];
        assert_eq!(schema["properties"]["a"], json!({"type": ["string", "null"], "enum": ["x", null]}));
        assert_eq!(schema["properties"]["b"], json!({"type": "integer", "exclusiveMinimum": 1, "maximum": 2}));
        assert_eq!(schema["properties"]["nullable"], json!({"type": "boolean"}));
        assert_eq!(schema["properties"]["c"], json!({"$ref": "#/components/schemas/A"}));
        assert_eq!(schema["example"], json!({"nullable": true, "type": "x"}));
    }
}
