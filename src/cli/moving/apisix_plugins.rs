//! APISIX's plugins: what each becomes of an API, or why it is left.

use super::apisix::Plugin;
use super::parts::{self, IS_CODE, LOOKS_ON};
use super::source::Node;
use super::{Api, Level, Plan};

/// Applies a plugin to an API.
pub(super) fn apply(plan: &mut Plan, api: &mut Api, (name, config): Plugin<'_>) {
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
        }
        "jwt-auth" | "openid-connect" => {
            parts::prove(api, "oauth2");
            let why = "tokens are this cluster's; those of another server, once it is a key manager (docs/reference/key-managers.md)";
            plan.leave(line, what, why);
        }
        "basic-auth" => {
            parts::prove(api, "basic_auth");
            plan.leave(line, what, "names and passwords are those of users here: portcullis user create");
        }
        "hmac-auth" | "ldap-auth" | "authz-keycloak" | "authz-casdoor" | "wolf-rbac" | "cas-auth" | "multi-auth"
        | "jwe-decrypt" => {
            parts::close(plan, api, line, &what, "callers cannot prove themselves so");
        }
        "consumer-restriction" => {
            let names = config.texts("whitelist");
            if config.text_of("type").is_none_or(|kind| kind == "consumer_name") && !names.is_empty() {
                api.only_for = Some(names);
            } else {
                parts::hold(plan, api, line, &what, "only a whitelist of consumers is taken over, as subscriptions");
            }
        }
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
        "proxy-cache" => api.cache_s = Some(config.number_of("cache_ttl").unwrap_or(300)),
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
        "prometheus" | "http-logger" | "file-logger" | "kafka-logger" | "tcp-logger" | "udp-logger" | "syslog"
        | "zipkin" | "skywalking" | "opentelemetry" | "datadog" | "request-id" | "node-status" | "loggly" => {
            plan.leave(line, what, LOOKS_ON);
        }
        "serverless-pre-function"
        | "serverless-post-function"
        | "ext-plugin-pre-req"
        | "ext-plugin-post-req"
        | "aws-lambda"
        | "azure-functions"
        | "openwhisk" => plan.leave(line, what, IS_CODE),
        _ => plan.leave(line, what, "it is not known here"),
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
    let (Some(requests), Some(seconds)) = (config.number_of("count"), config.number_of("time_window")) else { return };
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
