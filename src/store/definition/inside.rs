//! Takes out of the inside of a definition what subscribers are not to see: where backends are, how gateways call them, and
//! the scripts of mocks. What stands at the top is not its concern.

use serde_json::{Map, Value};

/// Extensions that tell of backends, of the original and of gateways whose exports are imported here.
const OF_BACKENDS: [&str; 4] = ["x-wso2-", "x-amazon-apigateway-", "x-amzn-", "x-google-backend"];
const SCRIPT: &str = "x-mediation-script";

type Object = Map<String, Value>;

/// Hides it in an OpenAPI document, of whatever version.
pub(super) fn hide(document: &mut Object) {
    hide_extensions(document);
    each(document, "paths", hide_item);
    each(document, "webhooks", hide_item);
    let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) else { return };
    each(components, "pathItems", hide_item);
    each(components, "callbacks", hide_callback);
    each(components, "responses", |response| each(response, "links", hide_link));
    each(components, "links", hide_link);
}

/// Hides it in an AsyncAPI document: channels name servers, and those are the gateways alone.
pub(super) fn hide_of_channels(document: &mut Object) {
    hide_extensions(document);
    each(document, "channels", hide_channel);
    each(document, "operations", hide_extensions);
    let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) else { return };
    components.shift_remove("servers");
    components.shift_remove("serverVariables");
    each(components, "channels", hide_channel);
    each(components, "operations", hide_extensions);
}

fn hide_extensions(object: &mut Object) {
    object.retain(|name, _| !OF_BACKENDS.iter().any(|one| name.starts_with(one)));
}

/// Hides it in what has servers of its own: a path, or an operation.
fn hide_place(place: &mut Object) {
    hide_extensions(place);
    place.shift_remove("servers");
}

fn hide_item(item: &mut Object) {
    hide_place(item);
    item.values_mut().filter_map(Value::as_object_mut).for_each(hide_operation);
}

fn hide_operation(operation: &mut Object) {
    hide_place(operation);
    operation.shift_remove(SCRIPT);
    each(operation, "callbacks", hide_callback);
    each(operation, "responses", |response| each(response, "links", hide_link));
}

fn hide_callback(callback: &mut Object) {
    callback.values_mut().filter_map(Value::as_object_mut).for_each(hide_item);
}

fn hide_link(link: &mut Object) {
    link.shift_remove("server");
}

fn hide_channel(channel: &mut Object) {
    hide_place(channel);
    channel.values_mut().filter_map(Value::as_object_mut).for_each(hide_extensions);
}

/// Has something done with each object in the map of a name.
fn each(parent: &mut Object, name: &str, act: impl FnMut(&mut Object)) {
    let map = parent.get_mut(name).and_then(Value::as_object_mut);
    map.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut).for_each(act);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Object {
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
        hide(&mut document);
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
        hide_of_channels(&mut document);
        assert_eq!(
            Value::Object(document),
            json!({
                "asyncapi": "2.6.0", "channels": { "rooms": { "subscribe": {} } },
                "components": { "messages": { "one": { "payload": {} } } },
            })
        );
    }
}
