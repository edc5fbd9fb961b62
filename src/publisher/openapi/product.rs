//! Puts the definition of a product together from those of its APIs.

use portcullis_model::Api;
use serde_json::{Map, Value, json};

use super::write;

/// Returns the definition of a product: of each API's document the operations that the product has, and what they may
/// refer to. Where two documents name a component alike, that of the first one stays.
#[must_use]
pub fn join(product: &Api, sources: &[(Vec<String>, Value)]) -> Value {
    let mut document = write::generate(&Api { operations: Vec::new(), ..product.clone() });
    let (mut paths, mut components) = (Map::new(), Map::new());
    for (operations, source) in sources {
        for (path, item) in source.get("paths").and_then(Value::as_object).into_iter().flatten() {
            take_item(&mut paths, operations, path, item);
        }
        for (kind, named) in source.get("components").and_then(Value::as_object).into_iter().flatten() {
            let Some(named) = named.as_object().filter(|_| kind != "securitySchemes") else { continue };
            let Some(all) = components.entry(kind.clone()).or_insert_with(|| json!({})).as_object_mut() else {
                continue;
            };
            for (name, component) in named {
                all.entry(name.clone()).or_insert_with(|| component.clone());
            }
        }
    }
    document["paths"] = Value::Object(paths);
    document["components"] = Value::Object(components);
    write::with_operations(document, product)
}

fn take_item(paths: &mut Map<String, Value>, operations: &[String], path: &str, item: &Value) {
    let Some(item) = item.as_object() else { return };
    let is_meant = |verb: &str| operations.iter().any(|key| *key == format!("{} {path}", verb.to_ascii_uppercase()));
    let verbs: Vec<_> = item.iter().filter(|(verb, _)| is_meant(verb)).collect();
    if verbs.is_empty() {
        return;
    }
    let Some(taken) = paths.entry(path.to_owned()).or_insert_with(|| json!({})).as_object_mut() else { return };
    for (verb, operation) in verbs {
        taken.insert(verb.clone(), operation.clone());
    }
    if let Some(parameters) = item.get("parameters") {
        taken.entry("parameters").or_insert_with(|| parameters.clone());
    }
}
