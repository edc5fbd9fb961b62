//! Reads the `x-wso2-…` extensions at the top of a document into fields of the REST contract. What they mean is
//! checked where those fields are read.

use serde_json::{Map, Value, json};

/// Returns the fields that the document's extensions set.
#[must_use]
pub fn fields_of(document: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    set(
        "context",
        document.get("x-wso2-basePath").and_then(Value::as_str).map(|path| json!(context_of(document, path))),
    );
    set("endpointConfig", endpoint_config(document));
    set("corsConfiguration", cors(document));
    set("authorizationHeader", document.get("x-wso2-auth-header").filter(|one| one.is_string()).cloned());
    set("transport", document.get("x-wso2-transports").filter(|one| one.is_array()).cloned());
    set("apiThrottlingPolicy", document.get("x-wso2-throttling-tier").or(document.get("x-throttling-tier")).cloned());
    set("securityScheme", security_scheme(document));
    if let Some(cache) = document.get("x-wso2-response-cache") {
        set("responseCachingEnabled", cache.get("enabled").cloned());
        set("cacheTimeout", cache.get("cacheTimeoutInSeconds").cloned());
    }
    fields
}

/// Returns the context in a base path, which ends with the version: `/pizza/1.0.0`, `/pizza/{version}`.
fn context_of(document: &Value, path: &str) -> String {
    let version = document.pointer("/info/version").and_then(Value::as_str).unwrap_or_default();
    let path = path.trim_end_matches('/');
    let ends = ["{version}", version];
    let end = ends.iter().filter(|end| !end.is_empty()).find_map(|end| path.strip_suffix(&format!("/{end}")));
    end.filter(|context| !context.is_empty()).unwrap_or(path).to_owned()
}

fn endpoint_config(document: &Value) -> Option<Value> {
    let mut config = Map::new();
    for (extension, endpoints, failovers) in [
        ("x-wso2-production-endpoints", "production_endpoints", "production_failovers"),
        ("x-wso2-sandbox-endpoints", "sandbox_endpoints", "sandbox_failovers"),
    ] {
        let Some(given) = document.get(extension) else { continue };
        let kind = given.get("type").and_then(Value::as_str).unwrap_or("http");
        let urls = given.get("urls").and_then(Value::as_array).into_iter().flatten();
        let mut urls: Vec<Value> = urls.map(|url| json!({"url": url})).collect();
        if urls.is_empty() {
            continue;
        }
        let kind = match kind {
            "load_balance" | "loadbalance" => "load_balance",
            "failover" => "failover",
            other => other,
        };
        config.insert("endpoint_type".to_owned(), json!(kind));
        match kind {
            "load_balance" => {
                config.insert(endpoints.to_owned(), Value::Array(urls));
            }
            "failover" => {
                let rest = urls.split_off(1);
                config.insert(endpoints.to_owned(), urls.remove(0));
                config.insert(failovers.to_owned(), Value::Array(rest));
            }
            _ => {
                config.insert(endpoints.to_owned(), urls.remove(0));
            }
        }
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// Reads `x-wso2-cors`, in the original's two spellings.
fn cors(document: &Value) -> Option<Value> {
    let given = document.get("x-wso2-cors")?.as_object()?;
    let names = [
        ("corsConfigurationEnabled", "corsConfigurationEnabled"),
        ("accessControlAllowOrigins", "access-control-allow-origins"),
        ("accessControlAllowCredentials", "access-control-allow-credentials"),
        ("accessControlAllowHeaders", "access-control-allow-headers"),
        ("accessControlAllowMethods", "access-control-allow-methods"),
    ];
    let mut cors = Map::new();
    for (field, other) in names {
        if let Some(value) = given.get(field).or_else(|| given.get(other)) {
            cors.insert(field.to_owned(), value.clone());
        }
    }
    // Whoever writes the settings into a definition means them, unless he switches them off by name.
    cors.entry("corsConfigurationEnabled").or_insert(json!(true));
    Some(Value::Object(cors))
}

fn security_scheme(document: &Value) -> Option<Value> {
    let mut schemes: Vec<Value> = Vec::new();
    if let Some(application) = document.get("x-wso2-application-security") {
        let types = application.get("security-types").and_then(Value::as_array).into_iter().flatten();
        schemes.extend(types.cloned());
        if application["optional"] != true {
            schemes.push(json!("oauth_basic_auth_api_key_mandatory"));
        }
    }
    if let Some(mutual_tls) = document.get("x-wso2-mutual-ssl").and_then(Value::as_str) {
        schemes.push(json!("mutualssl"));
        if mutual_tls == "mandatory" {
            schemes.push(json!("mutualssl_mandatory"));
        }
    }
    (!schemes.is_empty()).then_some(Value::Array(schemes))
}
