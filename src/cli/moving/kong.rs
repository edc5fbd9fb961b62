//! Kong's declarative file (`kong.yml`, decK): services with routes, upstreams, plugins and consumers.

use super::parts::{self, ALL_VERBS};
use super::source::Node;
use super::{Api, Application, Plan, kong_plugins};

/// Fields that say nothing about calls.
const META: [&str; 7] = ["id", "name", "created_at", "updated_at", "tags", "ws_id", "enabled"];
/// What a consumer proves itself by, each with the plugin.
const CREDENTIALS: [&str; 7] = [
    "keyauth_credentials",
    "basicauth_credentials",
    "jwt_secrets",
    "oauth2_credentials",
    "hmacauth_credentials",
    "mtls_auth_credentials",
    "keyauth_enc_credentials",
];

/// Says what is to be made of a file.
pub(super) fn read(file: &Node) -> Plan {
    let mut plan = Plan::default();
    let known = [
        "_format_version",
        "_info",
        "_comment",
        "_transform",
        "services",
        "routes",
        "consumers",
        "upstreams",
        "plugins",
        "acls",
    ];
    parts::leave_unknown(&mut plan, file, "file", &[&known[..], &CREDENTIALS[..]].concat());
    for kind in CREDENTIALS {
        for one in file.list(kind) {
            leave_credential(&mut plan, one, kind, &reference(one, "consumer").unwrap_or_default());
        }
    }
    for plugin in file.list("plugins").iter().filter(|plugin| plugin.get("consumer").is_some()) {
        leave_for_consumer(&mut plan, plugin);
    }
    for service in file.list("services") {
        let name = named(service);
        if service.flag_of("enabled") == Some(false) {
            plan.leave(service.line, format!("service {name}"), "it is switched off");
            continue;
        }
        let own = service.list("routes").iter();
        let apart = file.list("routes").iter().filter(|route| reference(route, "service").as_ref() == Some(&name));
        let routes: Vec<&Node> = own.chain(apart).collect();
        parts::leave_unknown(
            &mut plan,
            service,
            &format!("service {name}"),
            &[&META[..], &["url", "protocol", "host", "port", "path", "read_timeout", "routes", "plugins"]].concat(),
        );
        if routes.is_empty() {
            plan.leave(service.line, format!("service {name}"), "no route leads to it");
        }
        for route in routes {
            read_route(&mut plan, file, service, route);
        }
    }
    for route in file.list("routes").iter().filter(|route| route.get("service").is_none()) {
        plan.leave(route.line, format!("route {}", named(route)), "it leads to no service");
    }
    for upstream in file.list("upstreams") {
        let what = format!("upstream {}", named(upstream));
        parts::leave_unknown(&mut plan, upstream, &what, &[&META[..], &["algorithm", "targets", "slots"]].concat());
    }
    read_consumers(&mut plan, file);
    plan
}

/// Returns what a thing is called.
pub(super) fn named(node: &Node) -> String {
    ["name", "username", "custom_id", "id"].iter().find_map(|field| node.text_of(field)).unwrap_or_default()
}

/// Returns the name that a field refers to, written as such or as an object with it.
fn reference(node: &Node, field: &str) -> Option<String> {
    let value = node.get(field)?;
    value.text().or_else(|| Some(named(value)))
}

fn leave_credential(plan: &mut Plan, one: &Node, kind: &str, consumer: &str) {
    let next = format!(
        "made anew: portcullis key api-key issue {consumer}, or keys of the application in the developer portal"
    );
    plan.leave(one.line, format!("{kind} of consumer {consumer}"), next);
}

fn leave_for_consumer(plan: &mut Plan, plugin: &Node) {
    let consumer = reference(plugin, "consumer").unwrap_or_default();
    let why = "what goes for one application alone is its plan: give its subscription another one";
    plan.leave(plugin.line, format!("plugin {} of consumer {consumer}", named(plugin)), why);
}

fn read_route(plan: &mut Plan, file: &Node, service: &Node, route: &Node) {
    let (of_service, of_route) = (named(service), named(route));
    let what = if of_route.is_empty() { format!("route of {of_service}") } else { format!("route {of_route}") };
    let known = [
        "paths",
        "methods",
        "hosts",
        "strip_path",
        "protocols",
        "plugins",
        "service",
        "https_redirect_status_code",
        "path_handling",
        "regex_priority",
    ];
    parts::leave_unknown(plan, route, &what, &[&META[..], &known[..]].concat());
    if let Some(hosts) = route.get("hosts") {
        let why = "it is served at every host; virtual hosts are of environments (docs/reference/gateway.md)";
        plan.leave(hosts.line, format!("{what}: hosts"), why);
    }
    let protocols = route.texts("protocols");
    if let Some(other) = protocols.iter().find(|protocol| !matches!(protocol.as_str(), "http" | "https")) {
        plan.leave(route.line, what, format!("it is for {other}; calls by HTTP alone are taken over"));
        return;
    }
    let paths = route.list("paths");
    if paths.is_empty() {
        plan.leave(route.line, what, "it has no path");
        return;
    }
    for path in paths {
        let text = path.text().unwrap_or_default();
        let context = text.trim_end_matches('/');
        if !parts::is_context(context) {
            let why = "an API has a path of its own: no expressions, and not / alone";
            plan.leave(path.line, format!("{what}: path {text}"), why);
            continue;
        }
        let name = match (of_route.is_empty(), paths.len() > 1) {
            (false, false) => of_route.clone(),
            (false, true) => format!("{of_route}{}", context.replace('/', "-")),
            (true, _) => format!("{of_service}{}", context.replace('/', "-")),
        };
        let keeps_path = route.flag_of("strip_path") == Some(false);
        let mut api = Api {
            name: parts::api_name(&name),
            context: context.to_owned(),
            verbs: verbs(route),
            timeout_ms: service.number_of("read_timeout"),
            tags: service.texts("tags"),
            line: path.line,
            ..Api::default()
        };
        lead(plan, file, service, if keeps_path { context } else { "" }, &mut api);
        for plugin in plugins(file, service, route) {
            kong_plugins::apply(plan, &mut api, plugin);
        }
        if let Some(acl) = plugins(file, service, route).into_iter().find(|plugin| named(plugin) == "acl") {
            api.only_for = Some(allowed(file, acl));
        }
        parts::add_api(plan, api);
    }
}

fn verbs(route: &Node) -> Vec<String> {
    let named = route.texts("methods");
    if named.is_empty() {
        ALL_VERBS.map(str::to_owned).to_vec()
    } else {
        named.iter().map(|verb| verb.to_uppercase()).collect()
    }
}

/// Sets where calls go: the service's address, or the targets of the upstream that its host names.
fn lead(plan: &mut Plan, file: &Node, service: &Node, further: &str, api: &mut Api) {
    let url = service.text_of("url").and_then(|url| url::Url::parse(&url).ok());
    let field = |name: &str| service.text_of(name);
    let scheme = url
        .as_ref()
        .map_or_else(|| field("protocol").unwrap_or_else(|| "http".to_owned()), |url| url.scheme().to_owned());
    let host =
        url.as_ref().and_then(|url| url.host_str().map(str::to_owned)).or_else(|| field("host")).unwrap_or_default();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = url
        .as_ref()
        .map_or_else(|| service.number_of("port").unwrap_or(usual), |url| url.port().map_or(usual, u64::from));
    let path = url.as_ref().map_or_else(|| field("path").unwrap_or_default(), |url| url.path().to_owned());
    let behind = format!("{}{further}", path.trim_end_matches('/'));
    let Some(upstream) = file.list("upstreams").iter().find(|upstream| named(upstream) == host) else {
        let place = if port == usual { host } else { format!("{host}:{port}") };
        api.backends = vec![(format!("{scheme}://{place}{behind}"), 1)];
        return;
    };
    match upstream.text_of("algorithm").as_deref() {
        None | Some("round-robin") => {}
        Some("least-connections") => api.by_load = true,
        Some(other) => {
            let why = "calls go to each in turn; sessions can keep a client with one (docs/reference/backends.md)";
            plan.leave(upstream.line, format!("upstream {host}: algorithm {other}"), why);
        }
    }
    for target in upstream.list("targets") {
        let place = target.text_of("target").unwrap_or_default();
        let weight = target.number_of("weight").unwrap_or(100);
        if weight > 0 {
            let place = if place.contains(':') { place } else { format!("{place}:8000") };
            api.backends.push((format!("{scheme}://{place}{behind}"), weight));
        }
    }
    if api.backends.is_empty() {
        parts::hold(plan, api, upstream.line, &format!("upstream {host}"), "it has no targets");
        api.backends.push((format!("{scheme}://{host}{behind}"), 1));
    }
}

/// Returns the plugins that count for a route: its own before its service's before those of all; one of each name.
fn plugins<'a>(file: &'a Node, service: &'a Node, route: &'a Node) -> Vec<&'a Node> {
    let apart = file.list("plugins").iter().filter(|plugin| plugin.get("consumer").is_none());
    let (mut of_route, mut of_service, mut of_all): (Vec<&Node>, Vec<&Node>, Vec<&Node>) =
        (route.list("plugins").iter().collect(), service.list("plugins").iter().collect(), Vec::new());
    for plugin in apart {
        match (reference(plugin, "route"), reference(plugin, "service")) {
            (Some(name), _) if name == named(route) => of_route.push(plugin),
            (Some(_), _) => {}
            (None, Some(name)) if name == named(service) => of_service.push(plugin),
            (None, Some(_)) => {}
            (None, None) => of_all.push(plugin),
        }
    }
    let mut found: Vec<&Node> = Vec::new();
    for plugin in of_route.into_iter().chain(of_service).chain(of_all) {
        if !found.iter().any(|there| named(there) == named(plugin)) {
            found.push(plugin);
        }
    }
    found.retain(|plugin| plugin.flag_of("enabled") != Some(false));
    // Proofs come first: limits look at them.
    found.sort_by_key(|plugin| {
        !matches!(named(plugin).as_str(), "key-auth" | "jwt" | "oauth2" | "openid-connect" | "basic-auth")
    });
    found
}

/// Returns the consumers that a list of groups lets call.
fn allowed(file: &Node, acl: &Node) -> Vec<String> {
    let config = acl.get("config");
    let list = |name: &str| config.map(|config| config.texts(name)).unwrap_or_default();
    let (allow, deny) = (list("allow"), list("deny"));
    let groups = |consumer: &Node| -> Vec<String> {
        let apart = file.list("acls").iter().filter(|acl| reference(acl, "consumer") == Some(named(consumer)));
        consumer.list("acls").iter().chain(apart).filter_map(|acl| acl.text_of("group")).collect()
    };
    let may = |consumer: &&Node| {
        let of = groups(consumer);
        let is_in = |wanted: &[String]| of.iter().any(|group| wanted.contains(group));
        (allow.is_empty() || is_in(&allow)) && !is_in(&deny)
    };
    file.list("consumers").iter().filter(may).map(named).collect()
}

fn read_consumers(plan: &mut Plan, file: &Node) {
    for consumer in file.list("consumers") {
        let name = named(consumer);
        let what = format!("consumer {name}");
        let known = ["username", "custom_id", "acls", "plugins"];
        parts::leave_unknown(plan, consumer, &what, &[&META[..], &known[..], &CREDENTIALS[..]].concat());
        for kind in CREDENTIALS {
            for one in consumer.list(kind) {
                leave_credential(plan, one, kind, &name);
            }
        }
        for plugin in consumer.list("plugins") {
            let why = "what goes for one application alone is its plan: give its subscription another one";
            plan.leave(plugin.line, format!("plugin {} of {what}", named(plugin)), why);
        }
        plan.applications.push(Application { name, subscriptions: Vec::new(), line: consumer.line });
    }
}
