//! What the files of Kong and APISIX have in common: how names, proofs, limits and header fields become ours.

use serde_json::{Value, json};

use super::source::{Content, Node};
use super::{Api, Level, Plan, Policy, Unit};

/// Verbs of a route that names none.
pub(super) const ALL_VERBS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
/// Characters of an API's name.
const NAME_CHARS_MAX: usize = 60;
/// Why nothing is done about plugins that only look on.
pub(super) const LOOKS_ON: &str = "metrics, logs and statistics are there without it (docs/operations/observing.md)";
/// Why code is not taken over.
pub(super) const IS_CODE: &str =
    "gateways run no code of their users; an interceptor service does it (docs/reference/mediation.md)";

/// Why compression is not taken over.
pub(super) const PACKS: &str = "the operation policy compress packs answers (docs/reference/mediation.md)";
/// Why a plugin that nobody here has heard of holds an API.
pub(super) const UNKNOWN: &str = "it is not known here, and may be what kept callers away";
/// Why demands on tokens hold an API.
const MUST_HAVE: &str = "set it by scopes of operations (docs/reference/gateway-security.md) or at the key manager";

/// Returns a name that an API may have.
pub(super) fn api_name(text: &str) -> String {
    let plain = |one: char| if one.is_ascii_alphanumeric() || "-_. ".contains(one) { one } else { '-' };
    let name: String = text.chars().map(plain).take(NAME_CHARS_MAX).collect();
    let name = name.trim_matches(['-', ' ']).to_owned();
    if name.is_empty() { "api".to_owned() } else { name }
}

/// Says whether a path can be the context of an API.
pub(super) fn is_context(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    path.starts_with('/')
        && !parts.is_empty()
        && parts.iter().all(|part| !matches!(*part, "" | "." | ".."))
        && path.chars().all(|one| one.is_ascii_alphanumeric() || "/-_.~".contains(one))
}

/// Why a field without a counterpart is left.
const NOTHING_LIKE_IT: &str = "there is nothing like it here, or it is set elsewhere";

/// Returns the fields that say something and are not among those that are understood.
fn unknown<'a>(node: &'a Node, known: &'a [&str]) -> impl Iterator<Item = &'a (String, Node)> {
    let says = |value: &Node| value.content != Content::Nothing && !value.items().is_empty();
    node.fields().iter().filter(move |(name, value)| !known.contains(&name.as_str()) && says(value))
}

/// Notes every field that is not among those that are understood, as `WHAT: FIELD`.
pub(super) fn leave_unknown(plan: &mut Plan, node: &Node, what: &str, known: &[&str]) {
    for (name, value) in unknown(node, known) {
        plan.leave(value.line, format!("{what}: {name}"), NOTHING_LIKE_IT);
    }
}

/// Notes every field that is not among those that are understood, and keeps the API from being published where there is one.
pub(super) fn hold_unknown(plan: &mut Plan, api: &mut Api, node: &Node, what: &str, known: &[&str]) {
    for (name, value) in unknown(node, known) {
        hold(plan, api, value.line, &format!("{what}: {name}"), NOTHING_LIKE_IT);
    }
}

/// Notes the settings of a plugin by which callers prove themselves: not those in `known`, nor switches that are as they are
/// where nobody sets them (`usual`). What names scopes, claims or roles that a token must have keeps the API from being
/// published, and `anonymous` is told for what it was: a way in without proof.
pub(super) fn leave_proof_settings(
    plan: &mut Plan,
    api: &mut Api,
    config: &Node,
    what: &str,
    known: &[&str],
    usual: &[(&str, bool)],
) {
    for (name, value) in unknown(config, known) {
        let what = format!("{what}: {name}");
        if usual.iter().any(|(field, flag)| field == name && value.content == Content::Flag(*flag)) {
            continue;
        }
        match name.as_str() {
            "anonymous" | "anonymous_consumer" if value.text().is_some_and(|text| text.is_empty()) => {}
            "anonymous" | "anonymous_consumer" => {
                plan.leave(value.line, what, "callers without proof were let in by it; here they are turned away");
            }
            "hide_credentials" => {
                plan.leave(value.line, what, "what callers prove themselves by is always kept from backends here");
            }
            "mandatory_scope" | "required_scopes" | "claim_schema" => hold(plan, api, value.line, &what, MUST_HAVE),
            _ if name.ends_with("_required") => hold(plan, api, value.line, &what, MUST_HAVE),
            _ => plan.leave(value.line, what, NOTHING_LIKE_IT),
        }
    }
}

/// Notes that several plugins ask for a proof: every one had to be met there, any one is enough here.
pub(super) fn hold_several_proofs(plan: &mut Plan, api: &mut Api, line: u64, names: &[&str]) {
    let what = format!("plugins {}", names.join(", "));
    hold(plan, api, line, &what, "every one of them had to be met there; here one of the proofs is enough");
}

/// Applies who may call: applications subscribe to it, so callers must prove which one they are.
pub(super) fn only_for(plan: &mut Plan, api: &mut Api, line: u64, what: &str, names: Vec<String>) {
    if api.proofs.is_empty() {
        close(plan, api, line, what, "nobody proves who calls");
    }
    if api.proofs.iter().any(|proof| proof == "basic_auth") {
        hold(plan, api, line, what, "a password proves a user and no application, so anybody with one could call");
    }
    api.only_for = Some(names);
}

/// Adds an API, or its verbs to the one that differs in nothing else; another one at the same path stays out.
pub(super) fn add_api(plan: &mut Plan, mut api: Api) {
    if let Some(there) = plan.apis.iter_mut().find(|there| there.context == api.context) {
        let same = Api { name: there.name.clone(), verbs: there.verbs.clone(), line: there.line, ..api.clone() };
        if same == *there {
            api.verbs.retain(|verb| !there.verbs.contains(verb));
            there.verbs.append(&mut api.verbs);
            return;
        }
        let why = format!("{} has that path already (line {}), and differs in more than verbs", there.name, there.line);
        plan.leave(api.line, format!("route {} at {}", api.name, api.context), why);
        return;
    }
    let (wanted, mut number) = (api.name.clone(), 1);
    while plan.apis.iter().any(|there| there.name == api.name) {
        number += 1;
        api.name = format!("{}-{number}", wanted.chars().take(NAME_CHARS_MAX - 4).collect::<String>());
    }
    plan.apis.push(api);
}

/// Adds a limit, and returns its name: the same limit has one name.
pub(super) fn add_policy(plan: &mut Plan, policy: Policy) -> String {
    let is_same =
        |there: &&Policy| Policy { name: policy.name.clone(), line: policy.line, ..(*there).clone() } == policy;
    if let Some(there) = plan.policies.iter().find(is_same) {
        return there.name.clone();
    }
    plan.policies.push(policy.clone());
    policy.name
}

/// Returns a limit with a name that says what it allows.
pub(super) fn policy(level: Level, requests: u64, per: (u64, Unit), burst: Option<(u64, Unit)>, line: u64) -> Policy {
    let (number, unit) = per;
    let number = if number == 1 { String::new() } else { number.to_string() };
    let further = burst.map(|(count, unit)| format!("-{count}Per{unit:?}")).unwrap_or_default();
    Policy { name: format!("{requests}Per{number}{unit:?}{further}"), level, requests, per, burst, line }
}

/// Applies a limit to an API: to each application by a plan, or to all calls together.
pub(super) fn limit(plan: &mut Plan, api: &mut Api, policy: Policy) {
    let level = policy.level;
    let name = add_policy(plan, policy);
    match level {
        Level::Plan => api.plan = Some(name),
        Level::Api => api.limit = Some(name),
    }
}

/// Has callers prove themselves by a token until somebody decides: an API whose own way is not known here must not become open.
pub(super) fn close(plan: &mut Plan, api: &mut Api, line: u64, what: &str, why: &str) {
    if api.proofs.is_empty() {
        api.proofs.push("oauth2".to_owned());
    }
    plan.leave(line, what, format!("{why}; until you decide, {} asks for a token of this cluster", api.name));
}

/// Keeps an API from being published: without what is not taken over it would let pass more than before.
pub(super) fn hold(plan: &mut Plan, api: &mut Api, line: u64, what: &str, why: &str) {
    api.is_held = true;
    plan.leave(line, what, format!("{why}; {} is made, but not published", api.name));
}

/// Adds a proof.
pub(super) fn prove(api: &mut Api, proof: &str) {
    if !api.proofs.iter().any(|there| there == proof) {
        api.proofs.push(proof.to_owned());
    }
}

/// Returns an operation policy.
pub(super) fn step(name: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: serde_json::Map<String, Value> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({"policyName": name, "policyVersion": "v1", "parameters": parameters})
}

/// Returns the step that sets a header field.
pub(super) fn set_header(name: &str, value: &str) -> Value {
    step("addHeader", &[("headerName", name), ("headerValue", value)])
}

/// Returns the step that takes one away.
pub(super) fn remove_header(name: &str) -> Value {
    step("removeHeader", &[("headerName", name)])
}

/// Returns `corsConfiguration`.
pub(super) fn cors(origins: &[String], methods: &[String], headers: &[String], has_credentials: bool) -> Value {
    let mut cors = json!({
        "corsConfigurationEnabled": true,
        "accessControlAllowOrigins": if origins.is_empty() { vec!["*".to_owned()] } else { origins.to_vec() },
        "accessControlAllowCredentials": has_credentials,
    });
    for (name, items) in [("accessControlAllowMethods", methods), ("accessControlAllowHeaders", headers)] {
        if !items.is_empty() {
            cors[name] = json!(items);
        }
    }
    cors
}

/// Returns the time of a number of seconds as the contract can say it.
pub(super) fn per(seconds: u64) -> (u64, Unit) {
    [(86_400, Unit::Days), (3_600, Unit::Hour), (60, Unit::Min)]
        .into_iter()
        .find(|(length, _)| seconds.is_multiple_of(*length))
        .map_or((seconds, Unit::Sec), |(length, unit)| (seconds / length, unit))
}

/// Returns whether a text refers to something that is only known when a call is there.
pub(super) fn is_template(text: &str) -> bool {
    text.contains('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_names_and_times_are_what_the_contract_takes() {
        assert!(is_context("/orders") && is_context("/v1/orders.json"));
        for wrong in ["/", "orders", "/a//b", "/a/../b", "/a b", "/a/", "/{id}"] {
            assert!(!is_context(wrong), "{wrong}");
        }
        assert_eq!(api_name("a/b:c"), "a-b-c");
        assert_eq!(
            (per(60), per(7_200), per(86_400), per(90)),
            ((1, Unit::Min), (2, Unit::Hour), (1, Unit::Days), (90, Unit::Sec))
        );
        let both = policy(Level::Plan, 100, (1, Unit::Min), Some((5, Unit::Sec)), 1);
        assert_eq!(both.name, "100PerMin-5PerSec");
    }
}
