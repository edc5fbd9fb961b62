//! Takes out of a definition what nobody outside is to see: where backends are, how gateways call them, and the scripts of
//! mocks. Names that people chose, of headers, properties and schemas, and data such as examples stay as they are, whatever
//! they are called.

use serde_json::{Map, Value};

/// Extensions that tell of backends, of the original and of gateways whose exports are imported here.
const OF_BACKENDS: [&str; 4] = ["x-wso2-", "x-amazon-apigateway-", "x-amzn-", "x-google-backend"];
/// The extension that holds the script of a mock.
const SCRIPT: &str = "x-mediation-script";
/// Fields of documents, paths, operations, channels and links that say where something is served.
const ADDRESSES: [&str; 3] = ["servers", "server", "serverVariables"];
/// Fields that hold data, which is not looked into.
const DATA: [&str; 7] = ["example", "examples", "default", "enum", "const", "value", "security"];
/// Fields that hold parts by names which people chose.
const NAMED: [&str; 30] = [
    "$defs",
    "callbacks",
    "channels",
    "content",
    "correlationIds",
    "definitions",
    "dependentSchemas",
    "encoding",
    "flows",
    "headers",
    "links",
    "mapping",
    "messageTraits",
    "messages",
    "operationTraits",
    "operations",
    "parameters",
    "pathItems",
    "paths",
    "patternProperties",
    "properties",
    "replies",
    "requestBodies",
    "responses",
    "schemas",
    "scopes",
    "securityDefinitions",
    "securitySchemes",
    "variables",
    "webhooks",
];

/// Hides it in an OpenAPI or AsyncAPI document, of whatever version; and the extensions whose names begin with one of
/// `also`.
pub fn hide_backends(document: &mut Map<String, Value>, also: &[&str]) {
    document.retain(|name, _| {
        let is_hidden = |begin: &&str| name.starts_with(begin);
        name != SCRIPT && !ADDRESSES.contains(&name.as_str()) && !OF_BACKENDS.iter().chain(also).any(is_hidden)
    });
    for (name, part) in document.iter_mut().filter(|(name, _)| !DATA.contains(&name.as_str())) {
        match part {
            // Extensions stand beside paths, which begin with a slash.
            Value::Object(named) if name == "callbacks" || name == "paths" => {
                if name == "paths" {
                    named.retain(|name, _| {
                        name.starts_with('/') || !OF_BACKENDS.iter().any(|one| name.starts_with(one))
                    });
                }
                hide_named(named, also, name == "callbacks");
            }
            Value::Object(named) if NAMED.contains(&name.as_str()) => hide_named(named, also, false),
            part => hide_in(part, also),
        }
    }
}

/// Hides it in parts that have names; of callbacks each is itself a map of paths.
fn hide_named(named: &mut Map<String, Value>, also: &[&str], are_callbacks: bool) {
    for part in named.values_mut() {
        match part {
            Value::Object(paths) if are_callbacks => hide_named(paths, also, false),
            part => hide_in(part, also),
        }
    }
}

fn hide_in(part: &mut Value, also: &[&str]) {
    match part {
        Value::Object(part) => hide_backends(part, also),
        Value::Array(parts) => parts.iter_mut().for_each(|part| hide_in(part, also)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn backends_are_told_at_no_place_of_a_document() {
        let backend = json!([{ "url": "https://backend.internal" }]);
        let endpoints = json!({ "urls": ["https://backend.internal"] });
        let link = json!({ "next": { "operationId": "get", "server": { "url": "https://backend.internal" } } });
        let operation = json!({
            "servers": backend, "x-mediation-script": "backend.internal", "x-wso2-production-endpoints": endpoints,
            "x-amazon-apigateway-integration": { "uri": "https://backend.internal" }, "x-auth-type": "None",
            "responses": { "200": { "description": "ok", "links": link } },
            "callbacks": { "done": { "{$request.body#/url}": { "post": { "servers": backend } } } },
        });
        let item = json!({ "servers": backend, "x-wso2-sandbox-endpoints": endpoints, "get": operation });
        let mut document = object(&json!({
            "openapi": "3.1.0", "x-google-backend": { "address": "https://backend.internal" },
            "paths": { "/menu": item },
            "webhooks": { "made": item },
            "components": {
                "pathItems": { "menu": item }, "callbacks": { "done": { "{$url}": item } }, "links": link,
                "responses": { "ok": { "links": link } },
                "schemas": { "Cluster": { "properties": { "servers": { "type": "array" } } } },
            },
        }));
        hide_backends(&mut document, &[]);
        let text = Value::Object(document.clone()).to_string();
        assert!(!text.contains("backend.internal"), "{text}");
        assert_eq!(document["paths"]["/menu"]["get"]["x-auth-type"], "None");
        assert_eq!(document["paths"]["/menu"]["get"]["responses"]["200"]["links"]["next"]["operationId"], "get");
        assert_eq!(document["components"]["schemas"]["Cluster"]["properties"]["servers"]["type"], "array");
    }

    #[test]
    fn channels_tell_of_no_server_but_the_gateway() {
        let broker = json!({ "url": "broker.internal:9092", "protocol": "kafka" });
        let mut document = object(&json!({
            "asyncapi": "2.6.0",
            "channels": { "rooms": { "servers": ["broker"], "subscribe": { "x-wso2-endpoint": "broker.internal" } } },
            "components": { "servers": { "broker": broker }, "messages": { "one": { "payload": {} } } },
        }));
        hide_backends(&mut document, &[]);
        assert_eq!(
            Value::Object(document),
            json!({
                "asyncapi": "2.6.0", "channels": { "rooms": { "subscribe": {} } },
                "components": { "messages": { "one": { "payload": {} } } },
            })
        );
    }

    #[test]
    fn names_that_people_chose_stay_and_schemes_are_looked_into() {
        let chosen = json!({
            "x-amzn-trace-id": {"schema": {"type": "string", "properties": {"x-wso2-a": {"type": "object", "default": {"servers": 1}}}}},
            "servers": {"schema": {"example": {"x-wso2-b": 1, "server": "b"}}},
        });
        let whole = json!({
            "openapi": "3.0.3",
            "paths": {"/menu": {"get": {"responses": {"200": {"headers": chosen}}}}},
            "components": {"headers": chosen, "schemas": {"x-wso2-c": {"properties": {"server": {"type": "string"}}}}},
        });
        let mut document = object(&whole);
        let scheme = json!({"type": "apiKey", "x-amazon-apigateway-authorizer": {"uri": "https://backend.internal"}});
        document["components"]["securitySchemes"] = json!({"x-amzn-own": scheme});
        document["paths"]["x-wso2-paths"] = json!("backend.internal");
        document["paths"]["/menu"]["get"]["x-throttling-tier"] = json!("Gold");
        hide_backends(&mut document, &["x-throttling"]);
        let text = Value::Object(document.clone()).to_string();
        assert!(!text.contains("backend.internal") && !text.contains("Gold"), "{text}");
        let schemes = document["components"].as_object_mut().unwrap().shift_remove("securitySchemes");
        assert_eq!(schemes, Some(json!({"x-amzn-own": {"type": "apiKey"}})));
        assert_eq!(Value::Object(document), whole);
    }
}
