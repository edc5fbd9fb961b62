//! Definitions as subscribers see them: the gateway's addresses in, the publisher's own extensions out.

use portcullis_http::contract::hidden::hide_backends;
use portcullis_model::Api;
use serde_json::{Map, Value, json};

use crate::dto::endpoint_urls::EndpointUrlsDto;
use crate::settings::GatewayUrls;

/// Returns a definition as subscribers may see it, or `None` where it is neither JSON nor YAML with an object in it.
/// `endpoint` is where the API is called; servers are left out where it is not deployed.
pub(crate) fn for_subscribers(
    text: &str,
    api: &Api,
    endpoint: Option<&EndpointUrlsDto>,
    gateway: &GatewayUrls,
) -> Option<Value> {
    let mut document = parse(text).filter(|document| !document.contains_key("asyncapi"))?;
    // They tell where backends are and how the gateway treats calls.
    document.retain(|name, _| !name.starts_with("x-wso2-") && !name.starts_with("x-throttling"));
    hide_backends(&mut document, &[]);
    if document.contains_key("openapi") {
        fill_openapi(&mut document, api, endpoint, gateway);
    } else if document.contains_key("swagger") {
        fill_swagger(&mut document, api, endpoint, gateway);
    }
    Some(Value::Object(document))
}

/// Returns the AsyncAPI document of an API of channels as subscribers may see it: what its publisher wrote, or what the API
/// says where there is none.
pub(crate) fn asyncapi_for_subscribers(text: &str, api: &Api, endpoint: Option<&EndpointUrlsDto>) -> Value {
    let written = parse(text).filter(|document| document.contains_key("asyncapi"));
    let mut document = written.unwrap_or_else(|| asyncapi_of(api));
    document.retain(|name, _| !name.starts_with("x-wso2-") && !name.starts_with("x-throttling"));
    hide_backends(&mut document, &[]);
    let is_newer = document.get("asyncapi").and_then(Value::as_str).is_some_and(|version| version.starts_with('3'));
    let server = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let server = if is_newer {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            json!({ "host": host, "pathname": path, "protocol": scheme })
        } else {
            json!({ "url": url, "protocol": scheme })
        };
        (scheme.to_owned(), server)
    };
    let servers: Map<String, Value> = addresses(endpoint).into_iter().map(server).collect();
    document.insert("servers".to_owned(), Value::Object(servers));
    Value::Object(document)
}

/// Makes the AsyncAPI document of an API that was made without one.
fn asyncapi_of(api: &Api) -> Map<String, Value> {
    let mut channels: Map<String, Value> = Map::new();
    for operation in &api.operations {
        let channel = channels.entry(operation.target.clone()).or_insert_with(|| json!({}));
        channel[operation.verb.to_ascii_lowercase()] = json!({});
    }
    let mut document = Map::new();
    document.insert("asyncapi".to_owned(), "2.0.0".into());
    document.insert("info".to_owned(), json!({ "title": api.name, "version": api.version }));
    document.insert("servers".to_owned(), json!({}));
    document.insert("channels".to_owned(), Value::Object(channels));
    document
}

/// Parses JSON or YAML with an object in it.
pub(crate) fn parse(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(document)) => Some(document),
        Ok(_) => None,
        Err(_) => match serde_saphyr::from_str(text) {
            Ok(Value::Object(document)) => Some(document),
            Ok(_) | Err(_) => None,
        },
    }
}

fn addresses(endpoint: Option<&EndpointUrlsDto>) -> Vec<&str> {
    let Some(endpoint) = endpoint else { return Vec::new() };
    let urls = &endpoint.urls;
    [&urls.https, &urls.http, &urls.wss, &urls.ws].into_iter().filter_map(Option::as_deref).collect()
}

fn fill_openapi(
    document: &mut Map<String, Value>,
    api: &Api,
    endpoint: Option<&EndpointUrlsDto>,
    gateway: &GatewayUrls,
) {
    let servers: Vec<Value> = addresses(endpoint).into_iter().map(|url| json!({ "url": url })).collect();
    if servers.is_empty() {
        document.remove("servers");
    } else {
        document.insert("servers".to_owned(), Value::Array(servers));
    }
    if !api.security.has_oauth2 {
        return;
    }
    let flow = json!({ "authorizationUrl": format!("{}/authorize", gateway.https), "scopes": scopes(api) });
    let scheme = json!({ "type": "oauth2", "flows": { "implicit": flow } });
    let Some(components) = child(document, "components") else { return };
    if let Some(schemes) = child(components, "securitySchemes") {
        schemes.insert("default".to_owned(), scheme);
    }
    document.entry("security").or_insert_with(|| json!([{ "default": [] }]));
}

fn fill_swagger(
    document: &mut Map<String, Value>,
    api: &Api,
    endpoint: Option<&EndpointUrlsDto>,
    gateway: &GatewayUrls,
) {
    let addresses = addresses(endpoint);
    for name in ["host", "basePath", "schemes"] {
        document.remove(name);
    }
    if let Some((_, rest)) = addresses.first().and_then(|url| url.split_once("://")) {
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let schemes: Vec<&str> = addresses.iter().filter_map(|url| url.split_once("://")).map(|(one, _)| one).collect();
        document.insert("host".to_owned(), host.into());
        document.insert("basePath".to_owned(), path.into());
        document.insert("schemes".to_owned(), schemes.into());
    }
    if !api.security.has_oauth2 {
        return;
    }
    let authorize = format!("{}/authorize", gateway.https);
    let scheme = json!({ "type": "oauth2", "authorizationUrl": authorize, "flow": "implicit", "scopes": scopes(api) });
    if let Some(schemes) = child(document, "securityDefinitions") {
        schemes.insert("default".to_owned(), scheme);
    }
    document.entry("security").or_insert_with(|| json!([{ "default": [] }]));
}

fn scopes(api: &Api) -> Map<String, Value> {
    api.scopes.iter().map(|scope| (scope.name.clone(), scope.description.clone().into())).collect()
}

/// Returns the object under a name, made where it is missing; `None` where something else is there.
fn child<'a>(parent: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    parent.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journeys::nouns::{api, gateway};
    use portcullis_model::Environment;

    fn seen(text: &str, is_deployed: bool) -> Value {
        let pizza = api(1, "Pizza");
        let default = Environment::default_of(&pizza.tenant);
        let endpoint = EndpointUrlsDto::new(&pizza, &default, &gateway().at(&default.vhosts[0]));
        for_subscribers(text, &pizza, is_deployed.then_some(&endpoint), &gateway()).unwrap()
    }

    #[test]
    fn the_gateway_is_the_server_and_the_backend_is_not_told() {
        let text = "openapi: 3.0.1\nservers:\n  - url: http://backend:9000\nx-wso2-production-endpoints:\n  urls: [http://backend:9000]\npaths: {}\n";
        let document = seen(text, true);
        assert_eq!(
            document["servers"],
            json!([{ "url": "https://localhost:8243/pizza/1.0.0" }, { "url": "http://localhost:8280/pizza/1.0.0" }])
        );
        assert!(!document.to_string().contains("backend"), "{document}");
        assert_eq!(document["components"]["securitySchemes"]["default"]["type"], "oauth2");
        assert!(seen(text, false).get("servers").is_none());
    }

    #[test]
    fn a_swagger_document_gets_host_and_base_path() {
        let document = seen(r#"{"swagger": "2.0", "host": "backend:9000", "paths": {}}"#, true);
        assert_eq!((&document["host"], &document["basePath"]), (&json!("localhost:8243"), &json!("/pizza/1.0.0")));
        assert_eq!(document["schemes"], json!(["https", "http"]));
    }
}
