//! APISIX's plugins: what each becomes of an API, or why it is left.

use super::apisix::Plugin;
use super::parts::{self, IS_CODE, LOOKS_ON, PACKS, UNKNOWN};
use super::source::Node;
use super::{Api, Level, Plan};

/// Plugins by which callers prove themselves in a way that there is here too.
pub(super) const PROVED: [&str; 4] = ["key-auth", "jwt-auth", "basic-auth", "openid-connect"];
/// Those by which they do it in a way that there is not.
const CLOSED: [&str; 8] =
    ["hmac-auth", "ldap-auth", "authz-keycloak", "authz-casdoor", "wolf-rbac", "cas-auth", "multi-auth", "jwe-decrypt"];
/// Switches of theirs that are as it is here.
const USUAL: [(&str, bool); 1] = [("hide_credentials", true)];
/// Those that do nothing to calls but to note them.
const LOOKING_ON: [&str; 22] = [
    "prometheus",
    "http-logger",
    "file-logger",
    "kafka-logger",
    "rocketmq-logger",
    "tcp-logger",
    "udp-logger",
    "syslog",
    "loggly",
    "loki-logger",
    "clickhouse-logger",
    "elasticsearch-logger",
    "skywalking-logger",
    "sls-logger",
    "splunk-hec-logging",
    "google-cloud-logging",
    "zipkin",
    "skywalking",
    "opentelemetry",
    "datadog",
    "request-id",
    "node-status",
];

/// Says in which turn a plugin is applied: proofs first, for restrictions and limits look at them.
pub(super) fn turn(name: &str) -> usize {
    if PROVED.contains(&name) {
        0
    } else if CLOSED.contains(&name) {
        1
    } else {
        2
    }
}

/// Applies the plugins that count for a route.
pub(super) fn apply_all(plan: &mut Plan, api: &mut Api, plugins: &[Plugin<'_>]) {
    for plugin in plugins {
        apply(plan, api, *plugin);
    }
    let ask: Vec<&Plugin<'_>> = plugins.iter().filter(|(name, _)| turn(name) < 2).collect();
    if ask.len() > 1 {
        let names: Vec<&str> = ask.iter().map(|(name, _)| *name).collect();
        parts::hold_several_proofs(plan, api, ask[1].1.line, &names);
    }
}

/// Applies a plugin to an API.
fn apply(plan: &mut Plan, api: &mut Api, (name, config): Plugin<'_>) {
    let line = config.line;
    let what = format!("plugin {name}");
    match name {
        "key-auth" => {
            parts::prove(api, "api_key");
            for field in ["header", "query"] {
                if config.text_of(field).is_some_and(|sent| !sent.eq_ignore_ascii_case("apikey")) {
                    let why = "keys are sent in the header or query parameter apikey here";
                    plan.leave(line, format!("{what}: {field}"), why);
                }
            }
            parts::leave_proof_settings(plan, api, config, &what, &["header", "query", "_meta"], &USUAL);
        }
        "jwt-auth" | "openid-connect" => {
            parts::prove(api, "oauth2");
            let why = "tokens are this cluster's; those of another server, once it is a key manager (docs/reference/key-managers.md)";
            plan.leave(line, &what, why);
            parts::leave_proof_settings(plan, api, config, &what, &["_meta"], &USUAL);
        }
        "basic-auth" => {
            parts::prove(api, "basic_auth");
            plan.leave(line, &what, "names and passwords are those of users here: portcullis user create");
            parts::leave_proof_settings(plan, api, config, &what, &["_meta"], &USUAL);
        }
        _ if CLOSED.contains(&name) => parts::close(plan, api, line, &what, "callers cannot prove themselves so"),
        "consumer-restriction" => restriction(plan, api, config, &what),
        "limit-count" => rate(plan, api, config, &what),
        "cors" => {
            let list = |field: &str| -> Vec<String> {
                let text = config.text_of(field).unwrap_or_default();
                text.split(',')
                    .map(str::trim)
                    .filter(|one| !one.is_empty() && *one != "**")
                    .map(str::to_owned)
                    .collect()
            };
            let has_credentials = config.flag_of("allow_credential") == Some(true);
            let (origins, methods, headers) = (list("allow_origins"), list("allow_methods"), list("allow_headers"));
            let methods: Vec<String> = methods.into_iter().filter(|verb| verb != "*").collect();
            let headers: Vec<String> = headers.into_iter().filter(|name| name != "*").collect();
            api.cors = Some(parts::cors(&origins, &methods, &headers, has_credentials));
            let known = ["allow_origins", "allow_methods", "allow_headers", "allow_credential"];
            parts::leave_unknown(plan, config, &what, &known);
        }
        "proxy-rewrite" => {
            if let Some(verb) = config.text_of("method") {
                api.request_policies.push(parts::step("changeHTTPMethod", &[("httpMethod", &verb)]));
            }
            let steps = headers(plan, config, &what);
            api.request_policies.extend(steps);
            parts::leave_unknown(plan, config, &what, &["uri", "regex_uri", "method", "headers"]);
        }
        "response-rewrite" => {
            let steps = headers(plan, config, &what);
            api.response_policies.extend(steps);
            parts::leave_unknown(plan, config, &what, &["headers"]);
        }
        "proxy-cache" => {
            api.cache_s = Some(config.number_of("cache_ttl").unwrap_or(300));
            let known = ["cache_ttl", "cache_strategy", "cache_zone", "_meta"];
            parts::leave_unknown(plan, config, &what, &known);
        }
        "ip-restriction"
        | "ua-restriction"
        | "referer-restriction"
        | "uri-blocker"
        | "request-validation"
        | "forward-auth"
        | "opa"
        | "csrf"
        | "public-api"
        | "chaitin-waf"
        | "acl" => {
            let why =
                "set it by deny policies, conditions of policies or schema validation (docs/reference/throttling.md)";
            parts::hold(plan, api, line, &what, why);
        }
        _ if LOOKING_ON.contains(&name) => plan.leave(line, what, LOOKS_ON),
        "gzip" | "brotli" => plan.leave(line, what, PACKS),
        "serverless-pre-function"
        | "serverless-post-function"
        | "ext-plugin-pre-req"
        | "ext-plugin-post-req"
        | "ext-plugin-post-resp"
        | "aws-lambda"
        | "azure-functions"
        | "openfunction"
        | "openwhisk" => parts::hold(plan, api, line, &what, IS_CODE),
        _ => parts::hold(plan, api, line, &what, UNKNOWN),
    }
}

/// Applies `consumer-restriction`: the consumers that it names are subscribed.
fn restriction(plan: &mut Plan, api: &mut Api, config: &Node, what: &str) {
    let names = config.texts("whitelist");
    if config.text_of("type").is_none_or(|kind| kind == "consumer_name") && !names.is_empty() {
        parts::hold_unknown(plan, api, config, what, &["type", "whitelist", "rejected_code", "rejected_msg", "_meta"]);
        parts::only_for(plan, api, config.line, what, names);
    } else {
        parts::hold(plan, api, config.line, what, "only a whitelist of consumers is taken over, as subscriptions");
    }
}

fn rate(plan: &mut Plan, api: &mut Api, config: &Node, what: &str) {
    let (line, known) = (
        config.line,
        [
            "count",
            "time_window",
            "key",
            "key_type",
            "policy",
            "rejected_code",
            "rejected_msg",
            "show_limit_quota_header",
            "allow_degradation",
        ],
    );
    parts::leave_unknown(plan, config, what, &known);
    let (Some(requests), Some(seconds)) = (config.number_of("count"), config.number_of("time_window")) else {
        let place = ["count", "time_window"].iter().find(|field| config.number_of(field).is_none());
        let line = place.and_then(|field| config.get(field)).map_or(line, |value| value.line);
        let field = place.copied().unwrap_or_default();
        plan.leave(line, format!("{what}: {field}"), "it is no number; set the limit by a policy");
        return;
    };
    let key = config.text_of("key").unwrap_or_else(|| "remote_addr".to_owned());
    let level = match key.trim_start_matches('$') {
        "consumer_name" if !api.proofs.is_empty() => Level::Plan,
        _ if config.text_of("key_type").as_deref() == Some("constant") => Level::Api,
        _ => {
            let why = "calls are counted by application or all together; by address: portcullis policy custom create --key $clientIp";
            plan.leave(line, format!("{what}: by {key}"), why);
            return;
        }
    };
    parts::limit(plan, api, parts::policy(level, requests, parts::per(seconds.max(1)), None, line));
}

/// Reads `headers`: names with values, or what to set, add and take away.
fn headers(plan: &mut Plan, config: &Node, what: &str) -> Vec<serde_json::Value> {
    let mut steps = Vec::new();
    let Some(headers) = config.get("headers") else { return steps };
    let is_sorted = headers.fields().iter().all(|(name, _)| matches!(name.as_str(), "set" | "add" | "remove"));
    let set = if is_sorted { headers.get("set").map(Node::fields).unwrap_or_default() } else { headers.fields() };
    for (name, value) in set {
        match value.text().filter(|text| !parts::is_template(text)) {
            Some(text) if text.is_empty() => steps.push(parts::remove_header(name)),
            Some(text) => steps.push(parts::set_header(name, &text)),
            None => plan.leave(value.line, format!("{what}: headers.{name}"), "values of a call cannot be used"),
        }
    }
    if is_sorted {
        for (name, value) in headers.get("add").map(Node::fields).unwrap_or_default() {
            plan.leave(
                value.line,
                format!("{what}: headers.add.{name}"),
                "a policy sets a field, and adds none beside it",
            );
        }
        steps.extend(headers.texts("remove").iter().map(|name| parts::remove_header(name)));
    }
    steps
}
