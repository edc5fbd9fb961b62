//! Kong's plugins: what each becomes of an API, or why it is left.

use super::kong_references::{named, refers};
use super::parts::{self, IS_CODE, LOOKS_ON, UNKNOWN};
use super::source::{Content, Node};
use super::{Api, Level, Plan, Unit};

/// Fields of a plugin that are looked at, or say nothing about calls.
const PLUGIN_FIELDS: [&str; 13] = [
    "id",
    "name",
    "instance_name",
    "created_at",
    "updated_at",
    "tags",
    "ws_id",
    "enabled",
    "config",
    "route",
    "service",
    "protocols",
    "run_on",
];
/// Plugins by which callers prove themselves in a way that there is here too.
const PROVED: [&str; 6] = ["key-auth", "key-auth-enc", "jwt", "oauth2", "openid-connect", "basic-auth"];
/// Those by which they do it in a way that there is not.
const CLOSED: [&str; 7] =
    ["mtls-auth", "hmac-auth", "ldap-auth", "ldap-auth-advanced", "oauth2-introspection", "jwt-signer", "session"];
/// Switches of theirs that are so where nobody sets them: `deck gateway dump` writes every one.
const USUAL: [(&str, bool); 6] = [
    ("hide_credentials", true),
    ("key_in_header", true),
    ("key_in_query", true),
    ("key_in_body", false),
    ("run_on_preflight", true),
    ("mandatory_scope", false),
];

/// Says in which turn a plugin is applied: proofs first, for groups and limits look at them.
pub(super) fn turn(name: &str) -> usize {
    if PROVED.contains(&name) {
        0
    } else if CLOSED.contains(&name) {
        1
    } else {
        2
    }
}

/// Says whether a plugin does nothing to calls but to note them.
pub(super) fn looks_on(name: &str) -> bool {
    let known = [
        "prometheus",
        "file-log",
        "http-log",
        "tcp-log",
        "udp-log",
        "kafka-log",
        "syslog",
        "statsd",
        "statsd-advanced",
        "datadog",
        "zipkin",
        "opentelemetry",
        "app-dynamics",
        "loggly",
        "correlation-id",
    ];
    known.contains(&name)
}

/// Applies the plugins that count for a route.
pub(super) fn apply_all(plan: &mut Plan, file: &Node, api: &mut Api, plugins: &[&Node]) {
    for plugin in plugins {
        apply(plan, file, api, plugin);
    }
    let ask: Vec<&&Node> = plugins.iter().filter(|plugin| turn(&named(plugin)) < 2).collect();
    // With `anonymous` at each, any one was enough there too.
    let has_anonymous = |plugin: &&&Node| {
        plugin.get("config").and_then(|config| config.text_of("anonymous")).is_some_and(|text| !text.is_empty())
    };
    if ask.len() > 1 && !ask.iter().all(has_anonymous) {
        let names: Vec<String> = ask.iter().map(|plugin| named(plugin)).collect();
        parts::hold_several_proofs(plan, api, ask[1].line, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Applies a plugin to an API.
fn apply(plan: &mut Plan, file: &Node, api: &mut Api, plugin: &Node) {
    let (name, line) = (named(plugin), plugin.line);
    let what = format!("plugin {name}");
    let nothing = Node { line, content: Content::Nothing };
    let config = plugin.get("config").unwrap_or(&nothing);
    parts::leave_unknown(plan, plugin, &what, &PLUGIN_FIELDS);
    leave_protocols(plan, api, plugin, &what);
    match name.as_str() {
        "key-auth" | "key-auth-enc" => {
            parts::prove(api, "api_key");
            let names = config.texts("key_names");
            if names.iter().any(|name| !name.eq_ignore_ascii_case("apikey")) {
                let why =
                    format!("keys are sent in the header or query parameter apikey here, not in {}", names.join(", "));
                plan.leave(line, &what, why);
            }
            parts::leave_proof_settings(plan, api, config, &what, &["key_names"], &USUAL);
        }
        "jwt" | "oauth2" | "openid-connect" => {
            parts::prove(api, "oauth2");
            let why = "tokens are this cluster's; those of another server, once it is a key manager (docs/reference/key-managers.md)";
            plan.leave(line, &what, why);
            parts::leave_proof_settings(plan, api, config, &what, &[], &USUAL);
        }
        "basic-auth" => {
            parts::prove(api, "basic_auth");
            plan.leave(line, &what, "names and passwords are those of users here: portcullis user create");
            parts::leave_proof_settings(plan, api, config, &what, &[], &USUAL);
        }
        name if CLOSED.contains(&name) => {
            parts::close(
                plan,
                api,
                line,
                &what,
                "callers cannot prove themselves so, or not without certificates and servers being set",
            );
        }
        "acl" => groups(plan, file, api, config, line, &what),
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
        name if looks_on(name) => plan.leave(line, what, LOOKS_ON),
        "pre-function" | "post-function" | "aws-lambda" | "azure-functions" => {
            parts::hold(plan, api, line, &what, IS_CODE);
        }
        _ => parts::hold(plan, api, line, &what, UNKNOWN),
    }
}

/// Says of a plugin that counts for calls by one protocol alone that it counts for all of them here.
fn leave_protocols(plan: &mut Plan, api: &Api, plugin: &Node, what: &str) {
    let protocols = plugin.texts("protocols");
    let is_meant = |one: &str| protocols.iter().any(|protocol| protocol == one);
    let is_served = |one: &str| api.transports.is_empty() || api.transports.iter().any(|transport| transport == one);
    if protocols.is_empty() || ["http", "https"].iter().all(|one| is_meant(one) || !is_served(one)) {
        return;
    }
    let why = format!("it counts for calls by {} alone there, and for all calls here", protocols.join(", "));
    plan.leave(plugin.line, format!("{what}: protocols"), why);
}

/// Applies `acl`: who is in its groups is subscribed. It names them as `allow` and `deny`, once `whitelist` and `blacklist`.
fn groups(plan: &mut Plan, file: &Node, api: &mut Api, config: &Node, line: u64, what: &str) {
    let list = |names: [&str; 2]| -> Vec<String> { names.iter().flat_map(|name| config.texts(name)).collect() };
    let (allow, deny) = (list(["allow", "whitelist"]), list(["deny", "blacklist"]));
    let is_off = |name: &&&str| config.flag_of(name) == Some(false);
    let mut known = vec!["allow", "whitelist", "deny", "blacklist", "hide_groups_header"];
    known.extend(["include_consumer_groups", "always_use_authenticated_groups"].iter().filter(is_off));
    parts::hold_unknown(plan, api, config, what, &known);
    if allow.is_empty() && deny.is_empty() {
        parts::hold(plan, api, line, what, "it names no groups");
    }
    let may = |consumer: &&Node| {
        let apart = file.list("acls").iter().filter(|acl| refers(acl, "consumer", consumer));
        let of: Vec<String> =
            consumer.list("acls").iter().chain(apart).filter_map(|acl| acl.text_of("group")).collect();
        let is_in = |wanted: &[String]| of.iter().any(|group| wanted.contains(group));
        (allow.is_empty() || is_in(&allow)) && !is_in(&deny)
    };
    let names = file.list("consumers").iter().filter(may).map(named).collect();
    parts::only_for(plan, api, line, what, names);
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
    for (name, value) in config.fields().iter().filter(|(name, _)| units.iter().any(|(unit, _)| unit == name)) {
        if value.content != Content::Nothing && config.number_of(name).is_none() {
            plan.leave(value.line, format!("{what}: {name}"), "it is no number; set the limit by a policy");
        }
    }
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
