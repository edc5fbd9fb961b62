//! What things in Kong's files are called, how one refers to another, and which plugins so count for a route.

use super::Plan;
use super::kong_plugins::{looks_on, turn};
use super::source::{Content, Node};

/// Fields that a thing can be called by, the most telling first.
const NAMES: [&str; 4] = ["name", "username", "custom_id", "id"];

/// Returns what a thing is called.
pub(super) fn named(node: &Node) -> String {
    NAMES.iter().find_map(|field| node.text_of(field)).unwrap_or_default()
}

/// Returns how a field speaks of another thing: by a name or an id, written as such or as an object with it.
pub(super) fn spoken_of(node: &Node, field: &str) -> String {
    node.get(field).map(|value| value.text().unwrap_or_else(|| named(value))).unwrap_or_default()
}

/// Says whether a field refers to a thing: by its name or its id, written as such or as an object with either.
pub(super) fn refers(node: &Node, field: &str, to: &Node) -> bool {
    let Some(value) = node.get(field) else { return false };
    let is_called = |wanted: &str, by: &[&str]| by.iter().any(|name| to.text_of(name).as_deref() == Some(wanted));
    match (&value.content, value.text()) {
        (Content::Map(_), _) => {
            NAMES.iter().any(|name| value.text_of(name).is_some_and(|wanted| is_called(&wanted, &[name])))
        }
        (_, Some(wanted)) => is_called(&wanted, &NAMES),
        (_, None) => false,
    }
}

/// Returns the routes of a file, of services and apart.
fn routes(file: &Node) -> impl Iterator<Item = &Node> {
    file.list("services").iter().flat_map(|service| service.list("routes")).chain(file.list("routes"))
}

/// Says whether a plugin is switched on, and not for one consumer or group of them alone.
fn counts(plugin: &Node) -> bool {
    plugin.flag_of("enabled") != Some(false) && ["consumer", "consumer_group"].iter().all(|of| plugin.get(of).is_none())
}

/// Returns the plugins that count for a route: its own before its service's before those of all; one of each name.
pub(super) fn plugins<'a>(file: &'a Node, service: &'a Node, route: &'a Node) -> Vec<&'a Node> {
    let (mut of_route, mut of_service, mut of_all): (Vec<&Node>, Vec<&Node>, Vec<&Node>) =
        (route.list("plugins").iter().collect(), service.list("plugins").iter().collect(), Vec::new());
    for plugin in file.list("plugins") {
        match (plugin.get("route").is_some(), plugin.get("service").is_some()) {
            (true, _) if refers(plugin, "route", route) => of_route.push(plugin),
            (true, _) => {}
            (false, true) if refers(plugin, "service", service) => of_service.push(plugin),
            (false, true) => {}
            (false, false) => of_all.push(plugin),
        }
    }
    let mut found: Vec<&Node> = Vec::new();
    // One that is switched off does not stand in the way of a wider one.
    for plugin in of_route.into_iter().chain(of_service).chain(of_all).filter(|plugin| counts(plugin)) {
        if !found.iter().any(|there| named(there) == named(plugin)) {
            found.push(plugin);
        }
    }
    found.sort_by_key(|plugin| turn(&named(plugin)));
    found
}

/// Tells of what goes for one consumer alone, and of everything that refers to something that is not in the file. Whom such a
/// plugin was for cannot be known, so no API is published without it.
pub(super) fn tell_lost(plan: &mut Plan, file: &Node) {
    let services = file.list("services");
    let is_lost = |node: &Node, field: &str| {
        let is_there = match field {
            "service" => services.iter().any(|service| refers(node, field, service)),
            "consumer" => file.list("consumers").iter().any(|consumer| refers(node, field, consumer)),
            _ => routes(file).any(|route| refers(node, field, route)),
        };
        node.get(field).is_some() && !is_there
    };
    for route in file.list("routes").iter().filter(|route| is_lost(route, "service")) {
        let why = format!("there is no service {} in the file", spoken_of(route, "service"));
        plan.leave(route.line, format!("route {}", named(route)), why);
    }
    for group in file.list("acls").iter().filter(|group| is_lost(group, "consumer")) {
        let why = format!("there is no consumer {} in the file", spoken_of(group, "consumer"));
        plan.leave(group.line, format!("group {}", group.text_of("group").unwrap_or_default()), why);
    }
    let within = services.iter().chain(routes(file)).flat_map(|holder| holder.list("plugins"));
    let all = file.list("plugins").iter().chain(within);
    for plugin in all.filter(|plugin| plugin.flag_of("enabled") != Some(false)) {
        let name = named(plugin);
        if let Some(of) = ["consumer", "consumer_group"].into_iter().find(|of| plugin.get(of).is_some()) {
            let why = "what goes for one application alone is its plan: give its subscription another one";
            plan.leave(plugin.line, format!("plugin {name} of {of} {}", spoken_of(plugin, of)), why);
            continue;
        }
        let Some(field) = ["route", "service"].into_iter().find(|field| is_lost(plugin, field)) else { continue };
        let why = format!("there is no {field} {} in the file", spoken_of(plugin, field));
        let is_harmless = looks_on(&name);
        let further = if is_harmless { "" } else { ", so no API is published: any may be the one that it was for" };
        plan.leave(plugin.line, format!("plugin {name}"), why + further);
        plan.apis.iter_mut().for_each(|api| api.is_held |= !is_harmless);
    }
}
