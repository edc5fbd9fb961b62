//! APISIX's declarative file (`apisix.yaml`, standalone mode): routes with services, upstreams, plugins and consumers.

use super::parts::{self, ALL_VERBS};
use super::source::{Content, Node};
use super::{Api, Application, Plan, apisix_plugins};

/// Fields that say nothing about calls.
const META: [&str; 7] = ["id", "name", "desc", "labels", "create_time", "update_time", "status"];

/// A plugin with the place of its settings.
pub(super) type Plugin<'a> = (&'a str, &'a Node);

/// Says what is to be made of a file.
pub(super) fn read(file: &Node) -> Plan {
    let mut plan = Plan::default();
    let known = ["routes", "services", "upstreams", "consumers", "global_rules", "plugin_configs"];
    parts::leave_unknown(&mut plan, file, "file", &known);
    for route in file.list("routes") {
        read_route(&mut plan, file, route);
    }
    for consumer in file.list("consumers") {
        let name = consumer.text_of("username").unwrap_or_default();
        let what = format!("consumer {name}");
        parts::leave_unknown(&mut plan, consumer, &what, &[&META[..], &["username", "plugins"]].concat());
        for (plugin, settings) in consumer.get("plugins").map(Node::fields).unwrap_or_default() {
            let why = if apisix_plugins::PROVED.contains(&plugin.as_str()) {
                format!(
                    "made anew: portcullis key api-key issue {name}, or keys of the application in the developer portal"
                )
            } else {
                "what goes for one application alone is its plan: give its subscription another one".to_owned()
            };
            plan.leave(settings.line, format!("{plugin} of {what}"), why);
        }
        plan.applications.push(Application { name, subscriptions: Vec::new(), line: consumer.line });
    }
    plan
}

fn read_route(plan: &mut Plan, file: &Node, route: &Node) {
    let name = route.text_of("name").or_else(|| route.text_of("id")).unwrap_or_default();
    let what = format!("route {name}");
    if route.number_of("status") == Some(0) {
        plan.leave(route.line, what, "it is switched off");
        return;
    }
    let service = found(file, "services", route.text_of("service_id"));
    let known = [
        "uri",
        "uris",
        "methods",
        "host",
        "hosts",
        "upstream",
        "upstream_id",
        "service_id",
        "plugins",
        "plugin_config_id",
        "vars",
        "remote_addr",
        "remote_addrs",
        "filter_func",
        "script",
        "timeout",
    ];
    parts::leave_unknown(plan, route, &what, &[&META[..], &known[..]].concat());
    if let Some(service) = service {
        let of_service = format!("service {}", service.text_of("id").unwrap_or_default());
        parts::leave_unknown(
            plan,
            service,
            &of_service,
            &[&META[..], &["upstream", "upstream_id", "plugins", "hosts"]].concat(),
        );
    }
    for hosts in ["host", "hosts"].iter().filter_map(|field| route.get(field).or_else(|| service?.get(field))) {
        let why = "it is served at every host; virtual hosts are of environments (docs/reference/gateway.md)";
        plan.leave(hosts.line, format!("{what}: hosts"), why);
    }
    let uris: Vec<&Node> = route.list("uri").iter().chain(route.list("uris")).collect();
    if uris.is_empty() {
        plan.leave(route.line, what, "it has no uri");
        return;
    }
    for uri in &uris {
        let text = uri.text().unwrap_or_default();
        let (context, is_exact) = match text.strip_suffix("/*") {
            Some(context) => (context, false),
            None => (text.as_str(), true),
        };
        if !parts::is_context(context) {
            let why = "an API has a path of its own: no parameters, a star behind a slash alone, and not / alone";
            plan.leave(uri.line, format!("{what}: uri {text}"), why);
            continue;
        }
        let further = if uris.len() > 1 { context.replace('/', "-") } else { String::new() };
        let named = if name.is_empty() { context.replace('/', "-") } else { format!("{name}{further}") };
        let mut api = Api {
            name: parts::api_name(&named),
            context: context.to_owned(),
            is_exact,
            verbs: verbs(route),
            line: uri.line,
            ..Api::default()
        };
        let plugins = plugins(file, service, route);
        let behind = rewritten(plan, &plugins, context, is_exact, &what);
        lead(plan, file, service, route, &behind, &mut api);
        apisix_plugins::apply_all(plan, &mut api, &plugins);
        for field in ["vars", "remote_addr", "remote_addrs", "filter_func", "script"] {
            if let Some(value) = route.get(field) {
                let why = "calls are told apart by path, verb and host alone";
                parts::hold(plan, &mut api, value.line, &format!("{what}: {field}"), why);
            }
        }
        parts::add_api(plan, api);
    }
}

fn verbs(route: &Node) -> Vec<String> {
    let named = route.texts("methods");
    let known = |verb: &String| ALL_VERBS.contains(&verb.as_str());
    if named.is_empty() { ALL_VERBS.map(str::to_owned).to_vec() } else { named.into_iter().filter(known).collect() }
}

fn found<'a>(file: &'a Node, list: &str, id: Option<String>) -> Option<&'a Node> {
    let id = id?;
    file.list(list).iter().find(|one| one.text_of("id").as_ref() == Some(&id))
}

/// Returns the plugins that count for a route: its own, then those of its plugin config, its service, and of all.
fn plugins<'a>(file: &'a Node, service: Option<&'a Node>, route: &'a Node) -> Vec<Plugin<'a>> {
    let config = found(file, "plugin_configs", route.text_of("plugin_config_id"));
    let holders = [Some(route), config, service].into_iter().flatten().chain(file.list("global_rules"));
    let mut all: Vec<Plugin<'a>> = Vec::new();
    for (name, settings) in holders.filter_map(|holder| holder.get("plugins")).flat_map(Node::fields) {
        let is_off = settings.get("_meta").and_then(|meta| meta.flag_of("disable")) == Some(true);
        if !is_off && !all.iter().any(|(there, _)| *there == name.as_str()) {
            all.push((name, settings));
        }
    }
    all.sort_by_key(|(name, _)| apisix_plugins::turn(name));
    all
}

/// Returns the path at the backend for the API's own: the same, unless `proxy-rewrite` says otherwise in a way that is
/// understood.
fn rewritten(plan: &mut Plan, plugins: &[Plugin<'_>], context: &str, is_exact: bool, what: &str) -> String {
    let Some((_, rewrite)) = plugins.iter().find(|(name, _)| *name == "proxy-rewrite") else {
        return context.to_owned();
    };
    if let Some(expression) = rewrite.get("regex_uri") {
        let texts = rewrite.texts("regex_uri");
        if let [pattern, template] = texts.as_slice()
            && pattern.trim_end_matches('$') == format!("^{context}/(.*)")
            && let Some(path) = template.strip_suffix("/$1").filter(|path| path.is_empty() || parts::is_context(path))
        {
            return path.to_owned();
        }
        plan.leave(
            expression.line,
            format!("{what}: proxy-rewrite.regex_uri"),
            "only ^PATH/(.*) with PATH/$1 is taken over",
        );
    }
    match rewrite.get("uri").and_then(|uri| Some((uri.line, uri.text()?))) {
        Some((_, path)) if is_exact && parts::is_context(&path) => path,
        Some((line, _)) => {
            plan.leave(
                line,
                format!("{what}: proxy-rewrite.uri"),
                "only a plain path of a route without a star is taken over",
            );
            context.to_owned()
        }
        None => context.to_owned(),
    }
}

/// Sets where calls go: the upstream of the route, or else of its service.
fn lead(plan: &mut Plan, file: &Node, service: Option<&Node>, route: &Node, behind: &str, api: &mut Api) {
    let of = |holder: Option<&Node>| -> Option<Node> {
        let holder = holder?;
        holder.get("upstream").or_else(|| found(file, "upstreams", holder.text_of("upstream_id"))).cloned()
    };
    let Some(upstream) = of(Some(route)).or_else(|| of(service)) else {
        let what = format!("route of {}", api.name);
        parts::hold(plan, api, route.line, &what, "it has no upstream");
        api.backends.push(("http://127.0.0.1:1".to_owned(), 1));
        return;
    };
    let what = format!("upstream of {}", api.name);
    let known = ["nodes", "type", "scheme", "timeout", "pass_host"];
    parts::leave_unknown(plan, &upstream, &what, &[&META[..], &known[..]].concat());
    if upstream.text_of("pass_host").is_some_and(|how| how != "node") {
        plan.leave(upstream.line, format!("{what}: pass_host"), "backends see their own host, as with node");
    }
    match upstream.text_of("type").as_deref() {
        None | Some("roundrobin") => {}
        Some("least_conn") => api.by_load = true,
        Some(other) => {
            let why = "calls go to each in turn; sessions can keep a client with one (docs/reference/backends.md)";
            plan.leave(upstream.line, format!("{what}: type {other}"), why);
        }
    }
    let scheme = upstream.text_of("scheme").unwrap_or_else(|| "http".to_owned());
    if !matches!(scheme.as_str(), "http" | "https") {
        parts::hold(
            plan,
            api,
            upstream.line,
            &format!("{what}: scheme {scheme}"),
            "backends are called by http or https",
        );
    }
    // In seconds there.
    let wait = route.get("timeout").or_else(|| upstream.get("timeout"));
    api.timeout_ms = wait.and_then(|timeout| timeout.number_of("read")).map(|seconds| seconds.saturating_mul(1_000));
    let nodes = upstream.get("nodes");
    let mut add = |place: String, weight: u64| {
        if weight > 0 {
            api.backends
                .push((format!("{}://{place}{behind}", if scheme == "https" { "https" } else { "http" }), weight));
        }
    };
    match nodes.map(|nodes| &nodes.content) {
        Some(Content::Map(fields)) => {
            for (place, weight) in fields {
                add(place.clone(), if let Content::Number(weight) = weight.content { weight as u64 } else { 1 });
            }
        }
        Some(Content::List(list)) => {
            for node in list {
                let host = node.text_of("host").unwrap_or_default();
                let place = node.number_of("port").map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
                add(place, node.number_of("weight").unwrap_or(1));
            }
        }
        _ => {}
    }
    if api.backends.is_empty() {
        parts::hold(plan, api, upstream.line, &what, "it has no nodes; nothing is looked up in registries");
        api.backends.push(("http://127.0.0.1:1".to_owned(), 1));
    }
}
