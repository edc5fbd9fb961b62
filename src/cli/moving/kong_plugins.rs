//! Kong's plugins: what each becomes of an API, or why it is left.

use super::kong::named;
use super::parts::{self, IS_CODE, LOOKS_ON};
use super::source::{Content, Node};
use super::{Api, Level, Plan, Unit};

/// Applies a plugin to an API.
pub(super) fn apply(plan: &mut Plan, api: &mut Api, plugin: &Node) {
    let (name, line) = (named(plugin), plugin.line);
    let what = format!("plugin {name}");
    let nothing = Node { line, content: Content::Nothing };
    let config = plugin.get("config").unwrap_or(&nothing);
    match name.as_str() {
        "key-auth" | "key-auth-enc" => {
            parts::prove(api, "api_key");
            let names = config.texts("key_names");
            if names.iter().any(|name| !name.eq_ignore_ascii_case("apikey")) {
                let why =
                    format!("keys are sent in the header or query parameter apikey here, not in {}", names.join(", "));
                plan.leave(line, what, why);
            }
        }
        "jwt" | "oauth2" | "openid-connect" => {
            parts::prove(api, "oauth2");
            let why = "tokens are this cluster's; those of another server, once it is a key manager (docs/reference/key-managers.md)";
            plan.leave(line, what, why);
        }
        "basic-auth" => {
            parts::prove(api, "basic_auth");
            plan.leave(line, what, "names and passwords are those of users here: portcullis user create");
        }
        "mtls-auth"
        | "hmac-auth"
        | "ldap-auth"
        | "ldap-auth-advanced"
        | "oauth2-introspection"
        | "jwt-signer"
        | "session" => {
            parts::close(
                plan,
                api,
                line,
                &what,
                "callers cannot prove themselves so, or not without certificates and servers being set",
            );
        }
        "acl" => {
            if api.proofs.is_empty() {
                parts::close(plan, api, line, &what, "nobody proves to be in a group");
            }
        }
        "rate-limiting" => rate(plan, api, config, line, &what),
        "cors" => {
            let origins = config.texts("origins");
            let has_credentials = config.flag_of("credentials") == Some(true);
            api.cors = Some(parts::cors(&origins, &config.texts("methods"), &config.texts("headers"), has_credentials));
            parts::leave_unknown(plan, config, &what, &["origins", "methods", "headers", "credentials"]);
        }
        "request-transformer" => transform(plan, api, config, &what, true),
        "response-transformer" => transform(plan, api, config, &what, false),
        "request-termination" => {
            let status = config.number_of("status_code").unwrap_or(503).to_string();
            let message = config.text_of("message").map(|text| serde_json::json!({"message": text}).to_string());
            let content = config.text_of("body").or(message).unwrap_or_default();
            let kind = config.text_of("content_type").unwrap_or_else(|| "application/json".to_owned());
            let parameters =
                [("statusCode", status.as_str()), ("contentType", kind.as_str()), ("content", content.as_str())];
            api.request_policies.push(parts::step("mockResponse", &parameters));
            parts::leave_unknown(plan, config, &what, &["status_code", "message", "body", "content_type"]);
        }
        "proxy-cache" => {
            api.cache_s = Some(config.number_of("cache_ttl").unwrap_or(300));
            parts::leave_unknown(plan, config, &what, &["cache_ttl", "strategy", "memory"]);
        }
        "ip-restriction" | "bot-detection" | "opa" | "forward-auth" | "request-validator" | "oas-validation" => {
            let why =
                "set it by deny policies, conditions of policies or schema validation (docs/reference/throttling.md)";
            parts::hold(plan, api, line, &what, why);
        }
        "prometheus" | "file-log" | "http-log" | "tcp-log" | "udp-log" | "syslog" | "statsd" | "datadog" | "zipkin"
        | "opentelemetry" | "loggly" | "correlation-id" => plan.leave(line, what, LOOKS_ON),
        "pre-function" | "post-function" | "aws-lambda" | "azure-functions" => plan.leave(line, what, IS_CODE),
        _ => plan.leave(line, what, "it is not known here"),
    }
}

/// Limits: the longest time is the quota, and a number a second, or else a minute, is a burst.
fn rate(plan: &mut Plan, api: &mut Api, config: &Node, line: u64, what: &str) {
    let known = [
        "second",
        "minute",
        "hour",
        "day",
        "limit_by",
        "policy",
        "fault_tolerant",
        "hide_client_headers",
        "redis",
        "sync_rate",
        "error_code",
        "error_message",
    ];
    parts::leave_unknown(plan, config, what, &known);
    let units = [("day", Unit::Days), ("hour", Unit::Hour), ("minute", Unit::Min), ("second", Unit::Sec)];
    let given: Vec<(u64, Unit)> =
        units.iter().filter_map(|(name, unit)| Some((config.number_of(name)?, *unit))).collect();
    let Some((requests, unit)) = given.first().copied() else { return };
    let by = config.text_of("limit_by").unwrap_or_else(|| "consumer".to_owned());
    let level = match by.as_str() {
        "consumer" | "credential" if !api.proofs.is_empty() => Level::Plan,
        "service" | "path" => Level::Api,
        _ => {
            let why = "calls are counted by application or all together; by address: portcullis policy custom create --key $clientIp";
            plan.leave(line, format!("{what}: by {by}"), why);
            return;
        }
    };
    let mut burst = given.get(1).copied().filter(|(_, unit)| matches!(unit, Unit::Sec | Unit::Min));
    if level == Level::Api {
        burst = None;
    }
    for (count, unit) in given.iter().skip(1).filter(|one| Some(**one) != burst) {
        plan.leave(
            line,
            format!("{what}: {count} per {unit:?}").to_lowercase(),
            "a plan has a quota and one burst, an API a quota alone",
        );
    }
    parts::limit(plan, api, parts::policy(level, requests, (1, unit), burst, line));
}

fn transform(plan: &mut Plan, api: &mut Api, config: &Node, what: &str, is_request: bool) {
    let mut steps = Vec::new();
    if let Some(verb) = config.text_of("http_method") {
        steps.push(parts::step("changeHTTPMethod", &[("httpMethod", &verb)]));
    }
    parts::leave_unknown(plan, config, what, &["http_method", "add", "remove", "rename"]);
    for (action, fields) in
        config.fields().iter().filter(|(name, _)| matches!(name.as_str(), "add" | "remove" | "rename"))
    {
        for (part, list) in fields.fields() {
            for item in list.items() {
                let text = item.text().unwrap_or_default();
                let (name, value) = text.split_once(':').unwrap_or((&text, ""));
                let step = match (action.as_str(), part.as_str()) {
                    _ if parts::is_template(&text) => None,
                    ("add", "headers") => Some(parts::set_header(name, value)),
                    ("remove", "headers") => Some(parts::remove_header(name)),
                    ("rename", "headers") => {
                        Some(parts::step("renameHeader", &[("currentHeaderName", name), ("updatedHeaderName", value)]))
                    }
                    ("add", "querystring") if is_request => {
                        Some(parts::step("addQueryParam", &[("paramKey", name), ("paramValue", value)]))
                    }
                    ("remove", "querystring") if is_request => {
                        Some(parts::step("removeQueryParam", &[("paramKey", name)]))
                    }
                    _ => None,
                };
                match step {
                    Some(step) => steps.push(step),
                    None => plan.leave(
                        item.line,
                        format!("{what}: {action}.{part} {text}"),
                        "no operation policy does that",
                    ),
                }
            }
        }
    }
    if is_request { api.request_policies.extend(steps) } else { api.response_policies.extend(steps) }
}
