//! Kong's declarative file (`kong.yml`, decK): services with routes, upstreams, plugins and consumers.

use super::kong_references::{named, plugins, refers, spoken_of, tell_lost};
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
/// What a call must have for a route besides its path and verb.
const CONDITIONS: [&str; 5] = ["headers", "snis", "sources", "destinations", "expression"];

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
            leave_credential(&mut plan, one, kind, &spoken_of(one, "consumer"));
        }
    }
    for service in file.list("services") {
        let name = named(service);
        if service.flag_of("enabled") == Some(false) {
            plan.leave(service.line, format!("service {name}"), "it is switched off");
            continue;
        }
        let own = service.list("routes").iter();
        let apart = file.list("routes").iter().filter(|route| refers(route, "service", service));
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
    tell_lost(&mut plan, file);
    plan
}

fn leave_credential(plan: &mut Plan, one: &Node, kind: &str, consumer: &str) {
    let next = format!(
        "made anew: portcullis key api-key issue {consumer}, or keys of the application in the developer portal"
    );
    plan.leave(one.line, format!("{kind} of consumer {consumer}"), next);
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
    parts::leave_unknown(plan, route, &what, &[&META[..], &known[..], &CONDITIONS[..]].concat());
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
    let conditions: Vec<(u64, String)> = CONDITIONS
        .iter()
        .filter_map(|field| Some((route.get(field).filter(|value| !value.items().is_empty())?.line, field)))
        .map(|(line, field)| (line, format!("{what}: {field}")))
        .collect();
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
            transports: transports(&protocols),
            verbs: verbs(route),
            timeout_ms: service.number_of("read_timeout"),
            tags: service.texts("tags"),
            line: path.line,
            ..Api::default()
        };
        lead(plan, file, service, if keeps_path { context } else { "" }, &mut api);
        for (line, condition) in &conditions {
            parts::hold(plan, &mut api, *line, condition, "a path and verbs alone choose among APIs here");
        }
        kong_plugins::apply_all(plan, file, &mut api, &plugins(file, service, route));
        parts::add_api(plan, api);
    }
}

/// Returns the protocol that a route is for, where it is for one of the two; nothing where calls may come by both.
fn transports(protocols: &[String]) -> Vec<String> {
    let has = |wanted: &str| protocols.iter().any(|protocol| protocol == wanted);
    if has("http") == has("https") { Vec::new() } else { protocols.iter().take(1).cloned().collect() }
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
